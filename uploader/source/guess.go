package source

import (
	"context"
	"fmt"
	"strings"
)

// Guess says which layout a folder looks like, by the names that stand in it. It is
// advice for a person: nothing else here depends on it.
func Guess(ctx context.Context, folder string) (Kind, error) {
	l := Layout{Scan: Options{Roots: []Root{{Path: folder}}, FollowRoot: true}}
	infos, _, err := resolve(l.Scan)
	if err != nil {
		return "", fmt.Errorf("guess layout: %w", err)
	}
	top, err := l.top(infos[0])
	if err != nil {
		return "", fmt.Errorf("guess layout: %w", err)
	}
	g := guess{names: map[string]bool{}, stems: map[string]int{}, days: map[string]bool{}, numbers: map[string]int{}}
	for _, e := range top {
		g.names[strings.ToLower(e.Path)] = true
	}
	for _, e := range top {
		g.count(e)
	}
	return g.kind(), context.Cause(ctx)
}

// guess counts what names look like.
type guess struct {
	names       map[string]bool
	dated       int             // folders with a date
	stems       map[string]int  // of files with a date
	days        map[string]bool // of the week, in names
	numbers     map[string]int  // names by what is left without a number
	predecessor int
	full, incs  int
}

func (g *guess) count(e Entry) {
	stamp, stem := findStamp(e.Path, e.Modified())
	if e.Type == TypeFile {
		switch kind, _, _ := linkOf(e); kind {
		case full:
			g.full++
		case increment:
			g.incs++
		}
	}
	switch {
	case e.Type == TypeDir && !stamp.IsZero():
		g.dated++
		return
	case e.Type == TypeFile && !stamp.IsZero():
		g.stems[stem]++
		return
	case e.Type != TypeDir && e.Type != TypeFile:
		return
	}
	if day, _, ok := findWeekday(e.Path); ok {
		g.days[day.String()] = true
		return
	}
	if base, sure, ok := renamed(e.Path); ok && e.Type == TypeDir && (sure || g.names[base]) {
		g.predecessor++
		return
	}
	if m := shifted.FindStringSubmatch(e.Path); m != nil {
		g.numbers[strings.ToLower(m[1]+m[3])]++
	}
}

// kind weighs the counts. One name proves little: a rotation shows in several.
func (g *guess) kind() Kind {
	most := func(m map[string]int) (n int) {
		for _, v := range m {
			n = max(n, v)
		}
		return n
	}
	switch {
	case g.full > 0 && g.incs > 0:
		return Chain
	case g.dated > 1 && g.dated >= most(g.stems):
		return Dated
	case most(g.stems) > 1:
		return Archives
	case len(g.days) > 1:
		return Weekdays
	case g.predecessor > 0:
		return Renamed
	case most(g.numbers) > 2:
		return Numbered
	}
	return Folder
}
