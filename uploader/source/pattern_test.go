package source_test

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"offsite/uploader/source"
)

func TestPatternMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		dir           bool
		want          bool
	}{
		{"UNICONFIG6.FS5", "uniconfig6.fs5", false, true},
		{"UNICONFIG6.FS5", "sub/UNICONFIG6.FS5", false, true},
		{"/UNICONFIG6.FS5", "sub/UNICONFIG6.FS5", false, false},
		{"/*/UNICONFIG6.FS5", "sub/UNICONFIG6.FS5", false, true},
		{"*.tmp", "a/b/c.TMP", false, true},
		{"*.tmp", "a/b.tmp/c", false, false},
		{"*", "anything", false, true},
		{"*", "any/thing", false, true},
		{"/*", "any/thing", false, false},
		{"?", "ü", false, true},
		{"?", "\xff", false, true},
		{"??", "ü", false, false},
		{"a?c", "a/c", false, false},
		{"a*c", "a/c", false, false},
		{"MÜLLER*", "müller, jörg", false, true},
		{"\xff*", "\xffabc", false, true},
		{"\xff*", "\xfeabc", false, false},
		{"\xff", "\uFFFD", false, false},
		{"images/", "images", true, true},
		{"images/", "images", false, false},
		{"images/", "x/Images", true, true},
		{"/images/**", "images/a/b", false, true},
		{"/images/**", "images", true, false},
		{"**/x", "x", false, true},
		{"a/**/b", "a/b", false, true},
		{"a/**/b", "q/a/1/2/b", false, true},
		{"a/**/b", "a/1/2/c", false, false},
		{"/a/**/b/**/c", "a/b/x/b/y/c", false, true},
		{"/a/**/b/c", "a/b/x/b/c", false, true},
		{"a/b", "a/x/a/b", false, true},
		{"*a*b*c*", "xxaxxbxxcxx", false, true},
		{"*a*b*c*", "xxaxxcxxbxx", false, false},
		{"[a]", "[a]", false, true},
		{"[a]", "a", false, false},
		{"x", "", false, false},
		{"/**", "a", false, true},
	} {
		p, err := source.ParsePattern(c.pattern)
		must(t, err)
		if got := p.Match(c.path, c.dir); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.path, got)
		}
	}
	exact, err := source.ParseExact("A.txt")
	must(t, err)
	if exact.Match("a.txt", false) || !exact.Match("A.txt", false) {
		t.Error("an exact pattern does not mind case")
	}
	if (source.Pattern{}).Match("a", false) {
		t.Error("the zero pattern matches")
	}
}

func TestPatternRefusesWhatNeverMatches(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "/", "//", "a//b", "..", "a/../b", "./a", `a\b`, "a**", "**.txt", "a\x00", strings.Repeat("a", 1025)} {
		if p, err := source.ParsePattern(text); err == nil {
			t.Errorf("accepted %q as %v", text, p)
		}
	}
}

func TestPatternTakesBoundedTime(t *testing.T) {
	t.Parallel()
	p, err := source.ParsePattern(strings.Repeat("**/*a*a*/", 100) + "b")
	must(t, err)
	if p.Match(strings.Repeat("aaaaaaaa/", 500)+"c", false) {
		t.Error("matched")
	}
}

// FuzzPattern compares with the plainest possible matcher.
func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"*.tmp", "a/b.tmp"}, {"/a/**/b", "a/x/b"}, {"**/?/", "x/y"}, {"\xff*", "\xff"}, {"*ü*", "AÜ"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > 40 || len(name) > 40 {
			return
		}
		p, err := source.ParseExact(text)
		if err != nil || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || path.Clean(name) != name {
			return
		}
		segs := strings.Split(strings.Trim(text, "/"), "/")
		if !strings.HasPrefix(text, "/") {
			segs = append([]string{"**"}, segs...)
		}
		want := plain(segs, strings.Split(name, "/"))
		if got := p.Match(name, true); got != want {
			t.Errorf("%q on %q: %v, the plain matcher says %v", text, name, got, want)
		}
		folded, err := source.ParsePattern(text)
		must(t, err)
		if want && !folded.Match(name, true) {
			t.Errorf("%q on %q: ignoring case matches less", text, name)
		}
	})
}

func plain(glob, names []string) bool {
	switch {
	case len(glob) == 0:
		return len(names) == 0
	case glob[0] == "**" && len(glob) == 1:
		return len(names) > 0
	case glob[0] == "**":
		return plain(glob[1:], names) || len(names) > 0 && plain(glob, names[1:])
	}
	return len(names) > 0 && plainName(glob[0], names[0]) && plain(glob[1:], names[1:])
}

func plainName(glob, name string) bool {
	if glob == "" {
		return name == ""
	}
	g, gn := utf8.DecodeRuneInString(glob)
	if g == '*' {
		if plainName(glob[1:], name) {
			return true
		}
		_, n := utf8.DecodeRuneInString(name)
		return name != "" && plainName(glob, name[n:])
	}
	if name == "" {
		return false
	}
	_, n := utf8.DecodeRuneInString(name)
	return (g == '?' || glob[:gn] == name[:n]) && plainName(glob[gn:], name[n:])
}
