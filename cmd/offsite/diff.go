package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/restore"
)

// diffAnswer is how one day differs from another. It names files: it is for the
// local console.
type diffAnswer struct {
	From    string       `json:"from"`
	To      string       `json:"to"`
	Added   int          `json:"added"`
	Removed int          `json:"removed"`
	Changed int          `json:"changed"`
	Same    int          `json:"same"`
	Names   []difference `json:"names"` // in the order of their paths
}

// difference is one file or link that is not the same in both days.
type difference struct {
	Change string `json:"change"` // added, removed or changed
	Path   string `json:"path"`
	Before int64  `json:"before"` // size in the first day
	Size   int64  `json:"size"`   // size in the second
}

func (d diffAnswer) text(w io.Writer) {
	for _, n := range d.Names {
		switch n.Change {
		case "added":
			fmt.Fprintf(w, "+ %s  %s\n", printable(n.Path), bytesText(n.Size))
		case "removed":
			fmt.Fprintf(w, "- %s  %s\n", printable(n.Path), bytesText(n.Before))
		default:
			fmt.Fprintf(w, "~ %s  %s, was %s\n", printable(n.Path), bytesText(n.Size), bytesText(n.Before))
		}
	}
	fmt.Fprintf(w, "%s to %s: %d added, %d removed, %d changed, %d the same\n", d.From, d.To, d.Added, d.Removed, d.Changed, d.Same)
}

func (a *app) diffVerb() verb {
	var unlock keyFlags
	return verb{
		use: "diff DAY DAY", short: "list the files that were added, removed or changed from one day to another",
		long: `DAY is as for restore. Files and links count, by their bytes and targets; a new time
alone is no change. Names of files are sealed, so this needs the restore key.`,
		example: "  offsite diff 2026-11-19 2026-11-20 --restore-key restore.key\n  offsite diff 2026-11-20#1 2026-11-20#2 --json",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) != 2 {
				return wrongUse("diff takes two days", "write offsite diff DAY DAY, the older one first")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) { unlock.add(f) },
		run: func(ctx context.Context, args []string) (answer, error) {
			l, err := a.openLibrary(ctx, &unlock)
			if err != nil {
				return nil, err
			}
			h, err := a.history(ctx, l)
			if err != nil {
				return nil, err
			}
			var days [2]*restore.Snapshot
			var names [2]string
			for i, day := range args {
				picked, note, err := h.pick(day)
				if err != nil {
					return nil, err
				}
				if note != "" {
					a.say("%s", note)
				}
				if days[i], err = restore.Open(ctx, l.store, l.key.Opener(), picked.ref); err != nil {
					return nil, err
				}
				names[i] = picked.Day
			}
			ans := diffAnswer{From: names[0], To: names[1], Names: []difference{}}
			if err := ans.compare(days[0].Entries(ctx), days[1].Entries(ctx)); err != nil {
				// Half a comparison would tell of changes that are none.
				return nil, fmt.Errorf("compare %s with %s: %w", names[0], names[1], err)
			}
			return ans, nil
		},
	}
}

// compare goes through two file tables, both in the order of their paths.
func (d *diffAnswer) compare(before, after iter.Seq2[restore.Entry, error]) error {
	nextOld, stopOld := iter.Pull2(withoutFolders(before))
	defer stopOld()
	nextNew, stopNew := iter.Pull2(withoutFolders(after))
	defer stopNew()
	x, err, more := nextOld()
	y, err2, more2 := nextNew()
	for more || more2 {
		if err != nil {
			return err
		}
		if err2 != nil {
			return err2
		}
		order := strings.Compare(x.Path, y.Path)
		if !more2 || more && order < 0 {
			d.add("removed", x.Path, x.Size, 0)
			x, err, more = nextOld()
			continue
		}
		if !more || order > 0 {
			d.add("added", y.Path, 0, y.Size)
			y, err2, more2 = nextNew()
			continue
		}
		if sameContent(x, y) {
			d.Same++
		} else {
			d.add("changed", x.Path, x.Size, y.Size)
		}
		x, err, more = nextOld()
		y, err2, more2 = nextNew()
	}
	return nil
}

func (d *diffAnswer) add(change, path string, before, size int64) {
	switch change {
	case "added":
		d.Added++
	case "removed":
		d.Removed++
	default:
		d.Changed++
	}
	d.Names = append(d.Names, difference{change, path, before, size})
}

// sameContent says whether two entries of one path are the same but for their time.
func sameContent(x, y restore.Entry) bool {
	return x.Type == y.Type && x.Size == y.Size && x.SHA256 == y.SHA256 && x.Target == y.Target
}

func withoutFolders(entries iter.Seq2[restore.Entry, error]) iter.Seq2[restore.Entry, error] {
	return func(yield func(restore.Entry, error) bool) {
		for e, err := range entries {
			if err == nil && e.Type == manifest.Folder {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}
