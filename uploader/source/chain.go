package source

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// link is what a file is in a chain of backups.
type link uint8

const (
	metadata  link = iota // belongs to whatever is there
	full                  // stands by itself
	increment             // needs a full one, and those between
)

// linkWords say what a file is, by its extension or by a word in its name or in
// that of its folder.
var linkWords = map[string]link{
	"vbk": full, "bak": full, "full": full, "fbk": full,
	"vib": increment, "vrb": increment, "dif": increment, "diff": increment, "trn": increment, "inc": increment,
	"incr": increment, "incremental": increment, "differential": increment, "log": increment, "tlog": increment, "tran": increment,
}

var words = regexp.MustCompile(`[a-z]+`)

// linkOf tells what a file is, and the series it belongs to: its path without the
// date and without the words that tell the link. A word in a name counts for more
// than the extension: SERVER_DB_DIFF_20261120.bak is an increment.
func linkOf(e Entry) (kind link, series string, at time.Time) {
	at = e.Modified()
	dir, base := path.Split(strings.ToLower(e.Path))
	ext := strings.TrimPrefix(path.Ext(base), ".")
	stamp, left := findStamp(strings.TrimSuffix(base, "."+ext), e.Modified())
	if !stamp.IsZero() {
		at = stamp.In(time.UTC)
	}
	kind, known := linkWords[ext]
	drop := func(text string) string {
		return words.ReplaceAllStringFunc(text, func(w string) string {
			if k, ok := linkWords[w]; ok && (known || k == full) {
				kind = k
				return ""
			}
			return w
		})
	}
	if !known {
		return metadata, "", at
	}
	series = drop(dir)
	return kind, series + drop(left), at
}

// chain is the one set of a folder with chains: of each series the newest full
// backup and everything after it, and all that is neither. Older chains are left
// out; a series of increments alone is an error.
func (l Layout) chain(ctx context.Context) (Found, error) {
	c := Candidate{opt: l.Scan}
	c.opt.Roots = append(slices.Clone(l.Scan.Roots), l.Also...)
	all, err := scan(ctx, l.Scan)
	if err != nil {
		return Found{}, err
	}
	start := map[string]time.Time{} // of each series
	found := map[string]bool{}
	for e := range all.Entries() {
		if e.Type != TypeFile {
			continue
		}
		switch kind, series, at := linkOf(e); {
		case kind == full && !at.Before(start[series]):
			start[series] = at
		case kind == increment:
			found[series] = true
		}
	}
	if len(start) == 0 && len(found) == 0 {
		return Found{}, &RootError{all.Roots()[0].Path, ErrNoSets}
	}
	for series := range found {
		if _, ok := start[series]; !ok {
			return Found{}, &RootError{all.Roots()[0].Path, ErrNoFull}
		}
	}
	older := map[string]bool{}
	for e := range all.Entries() {
		if kind, series, at := linkOf(e); e.Type == TypeFile && kind != metadata && at.Before(start[series]) {
			older[e.Path] = true
		}
	}
	if len(older) > 0 {
		c.opt.Roots[0].skip = func(path string) bool { return older[path] }
	}
	return Found{Sets: []Candidate{c}}, nil
}
