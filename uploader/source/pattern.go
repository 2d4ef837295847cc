package source

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPattern is the longest pattern in bytes. Real ones have some tens; the
// limit bounds the time a match can take.
const MaxPattern = 1024

// Pattern is a small glob over the path of an entry relative to its root:
//
//	?        one character, but no slash
//	*        any run of characters without a slash
//	**       as a whole segment: any number of folders, also none
//	/at/top  a pattern that starts with a slash is matched from the root on
//	a/b      any other pattern may start in any folder
//	name/    a pattern that ends with a slash matches folders alone
//
// There are no classes, no braces and no escapes: file names of practice systems
// hold brackets, and a pattern that means what it shows needs no manual. Letters
// match whatever their case unless the pattern was made by ParseExact. A byte that is not UTF-8 counts as
// one character and matches only itself. The zero Pattern matches nothing.
type Pattern struct {
	text     string
	segments []string
	dirs     bool
	exact    bool
}

// ParsePattern reads a pattern that ignores case.
func ParsePattern(text string) (Pattern, error) { return parsePattern(text, false) }

// ParseExact reads a pattern that minds case.
func ParseExact(text string) (Pattern, error) { return parsePattern(text, true) }

func parsePattern(text string, exact bool) (Pattern, error) {
	fail := func(why string) (Pattern, error) {
		return Pattern{}, fmt.Errorf("parse pattern %.60q: %w", text, errors.New(why))
	}
	if len(text) > MaxPattern {
		return fail("longer than 1024 bytes")
	}
	p := Pattern{text: text, exact: exact}
	body, anchored := strings.CutPrefix(text, "/")
	body, p.dirs = strings.CutSuffix(body, "/")
	if body == "" {
		return fail("no name in it")
	}
	if !anchored {
		p.segments = append(p.segments, "**")
	}
	for seg := range strings.SplitSeq(body, "/") {
		switch {
		case seg == "":
			return fail("two slashes in a row")
		case seg == "." || seg == "..":
			return fail("a segment of dots never matches")
		case strings.ContainsAny(seg, "\\\x00"):
			return fail("use / between folders")
		case seg != "**" && strings.Contains(seg, "**"):
			return fail("** must stand alone between slashes")
		}
		p.segments = append(p.segments, seg)
	}
	return p, nil
}

// String returns the text that p was read from.
func (p Pattern) String() string { return p.text }

// Match reports whether p matches the path, relative to its root.
func (p Pattern) Match(path string, dir bool) bool {
	if len(p.segments) == 0 || path == "" || p.dirs && !dir {
		return false
	}
	if len(p.segments) == 2 && p.segments[0] == "**" && p.segments[1] != "**" {
		return matchName(p.segments[1], path[strings.LastIndexByte(path, '/')+1:], p.exact)
	}
	// One place to go back to is enough: a later ** can take over whatever an
	// earlier one could still give up, so the time stays within len(p)*len(path).
	segs, rest, more := p.segments, path, true
	back, backRest, canBack := segs, "", false
	for {
		switch {
		case len(segs) > 0 && segs[0] == "**":
			if len(segs) == 1 {
				return more // what stands under a folder, not the folder itself
			}
			segs = segs[1:]
			back, backRest, canBack = segs, rest, more
			continue
		case len(segs) > 0 && more:
			name, after, found := strings.Cut(rest, "/")
			if matchName(segs[0], name, p.exact) {
				segs, rest, more = segs[1:], after, found
				continue
			}
		case len(segs) == 0 && !more:
			return true
		}
		if !canBack {
			return false
		}
		_, after, found := strings.Cut(backRest, "/")
		if !found {
			return false
		}
		segs, rest, more = back, after, true
		backRest = after
	}
}

// matchName matches one segment.
func matchName(glob, name string, exact bool) bool {
	backGlob, backName := "", ""
	canBack := false
	for {
		if glob != "" && glob[0] == '*' {
			glob = glob[1:]
			backGlob, backName, canBack = glob, name, true
			continue
		}
		if glob == "" && name == "" {
			return true
		}
		if glob != "" && name != "" && glob[0]|name[0] < utf8.RuneSelf {
			if glob[0] == name[0] || glob[0] == '?' || !exact && lower(glob[0]) == lower(name[0]) {
				glob, name = glob[1:], name[1:]
				continue
			}
		} else if glob != "" && name != "" {
			g, gn := utf8.DecodeRuneInString(glob)
			c, cn := utf8.DecodeRuneInString(name)
			if glob[0] == '?' || sameRune(g, c, glob[:gn], name[:cn], exact) {
				glob, name = glob[gn:], name[cn:]
				continue
			}
		}
		if !canBack || backName == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(backName)
		backName = backName[n:]
		glob, name = backGlob, backName
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func sameRune(a, b rune, rawA, rawB string, exact bool) bool {
	if a == utf8.RuneError || b == utf8.RuneError || exact {
		return rawA == rawB
	}
	if a == b {
		return true
	}
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return false
}
