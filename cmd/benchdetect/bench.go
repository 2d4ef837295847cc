package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// bench is all years together.
type bench struct {
	days, every int
	mib         int64
	seed        uint64
	layouts     []string
	corpus      []string
	parent      string
	verbose     bool
	out         io.Writer
	now         func() time.Time

	scores map[string]*score
	press  press
}

// score is what became of one kind of day.
type score struct {
	days, wrong int
}

// count notes the outcome of one day.
func (b *bench) count(kind string, wrong bool) {
	s := b.scores[kind]
	if s == nil {
		s = new(score)
		b.scores[kind] = s
	}
	s.days++
	if wrong {
		s.wrong++
	}
}

// run lives every year and prints the result. It reports whether all targets were
// met.
func (b *bench) run(ctx context.Context) (bool, error) {
	b.scores = make(map[string]*score)
	dir, err := os.MkdirTemp(b.parent, "offsite-detect-")
	if err != nil {
		return false, fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	names := b.layouts
	if len(names) == 0 {
		names = layoutNames()
	}
	real, err := readCorpus(b.corpus)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(b.out, "a year of %d days for each of %d layouts, %d MiB, %d real files, seed %d\n", b.days, len(names), b.mib, len(real), b.seed)
	for i, name := range names {
		l, ok := layoutNamed(name)
		if !ok {
			return false, fmt.Errorf("find layout: there is no %q", name)
		}
		started := b.now()
		y := newYear(b, l, fmt.Sprintf("%s/%d", dir, i), real)
		err := y.live(ctx)
		if ctx.Err() != nil { // what was seen so far is worth showing
			fmt.Fprintf(b.out, "  %-10s stopped on day %d\n", name, y.day)
			b.table()
			return false, ctx.Err()
		}
		if err != nil {
			return false, fmt.Errorf("live year of layout %s: %w", name, err)
		}
		if err := os.RemoveAll(y.dir); err != nil {
			return false, err
		}
		fmt.Fprintf(b.out, "  %-10s %3d files at the end, %v\n", name, y.files, b.now().Sub(started).Round(time.Second))
	}
	return b.table(), nil
}

// table prints the scores, and whether each is within its target: not one clean day
// in 1,000 blamed, and nothing else missed.
func (b *bench) table() bool {
	met := true
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nkind of day\tdays\tmissed or false\tper 1,000\ttarget")
	for _, kind := range slices.Sorted(maps.Keys(b.scores)) {
		s := b.scores[kind]
		target := 0.0
		if isClean(kind) {
			target = 1
		}
		if kind == blind || strings.HasSuffix(kind, few) || strings.HasSuffix(kind, unlogged) {
			fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\tnone\n", kind, s.days, s.wrong, float64(s.wrong)*1000/float64(s.days))
			continue
		}
		per := float64(s.wrong) * 1000 / float64(s.days)
		word := "met"
		if per > target {
			word, met = "NOT MET", false
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%g, %s\n", kind, s.days, s.wrong, per, target, word)
	}
	t.Flush()
	return met
}

// cleanDay and afterChange are the kinds of day on which nothing is wrong.
const (
	cleanDay    = "clean day"
	afterChange = "clean day after an acknowledged change"
)

// blind is the kind of damage that nobody can see who does not know the format: noise
// in place of some packed bytes, few in all, that were not there the day before.
const (
	blind      = "encrypted: 4 KiB of every 64 KiB of less than 4 MiB that is new, packed, and of a format that nobody knows"
	blindBelow = 4 << 20
)

// unlogged marks faults of a copy over the one before, of which no log tells: what it did
// not come to is as it was.
const unlogged = ", over the one before, without a log"

// few marks days on which less was damaged than must be noticed.
const few = ", less than 2 % of all"

func isClean(kind string) bool { return kind == cleanDay || kind == afterChange }
