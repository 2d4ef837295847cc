package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/providers"
	"offsite/uploader/source"
)

const (
	// maxFound bounds what find lists: nobody reads more, and it is held in memory.
	maxFound = 100_000
	// maxRemembered bounds the stored bytes that find keeps, because the indexes of
	// many days share most of their objects.
	maxRemembered = 256 << 20
)

// findAnswer says which days hold what. It names files: it is for the local console.
type findAnswer struct {
	Pattern string      `json:"pattern"`
	Days    int         `json:"days"`  // that were looked through
	Found   []foundFile `json:"found"` // newest first

	zone *time.Location
}

// foundFile is an entry as it was in one day, or in several in a row.
type foundFile struct {
	Day    string    `json:"day"`   // the newest day that holds it so
	Since  string    `json:"since"` // the oldest
	Type   string    `json:"type"`  // file, folder or link
	Path   string    `json:"path"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`
	Target string    `json:"target,omitempty"`
	SHA256 string    `json:"sha256,omitempty"`

	entry restore.Entry
	last  int // number of the newest day
}

func (f findAnswer) text(w io.Writer) {
	if len(f.Found) == 0 {
		fmt.Fprintf(w, "nothing matches in %s\n", count(f.Days, "day"))
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DAY\tTHE SAME SINCE\tSIZE\tTIME\tPATH")
	for _, e := range f.Found {
		name := shownName(e.Path, e.Type, e.Target)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", e.Day, e.Since, bytesText(e.Size), e.Time.In(f.zone).Format("2006-01-02 15:04"), name)
	}
	t.Flush()
}

func (a *app) findVerb() verb {
	var unlock keyFlags
	var days []string
	return verb{
		use: "find PATTERN [--day DAY...]", short: "find in which days a file stands, and where it changed",
		long: `PATTERN is as for source.required: * is any text within a name, ** any folders, and
letters match whatever their case. A name without a slash is found in every folder.
Each line is one state of a file, with the newest day that holds it and since when it
was the same. Without --day all days that have not lapsed are looked through. Names of
files are sealed, so this needs the restore key.`,
		example: "  offsite find patients.fs5 --restore-key restore.key\n  offsite find 'images/**/*.jpg' --day 2026-11-20 --day latest",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) != 1 {
				return wrongUse("find takes one pattern", "write it in quotes, such as '*.fs5'")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.StringArrayVar(&days, "day", nil, "look through this `DAY` only; may be given several times")
			unlock.add(f)
		},
		run: func(ctx context.Context, args []string) (answer, error) {
			pattern, err := source.ParsePattern(strings.ReplaceAll(args[0], `\`, "/"))
			if err != nil {
				return nil, wrongUse(err.Error(), "write a name such as '*.fs5'")
			}
			return a.find(ctx, pattern, days, &unlock)
		},
	}
}

func (a *app) find(ctx context.Context, pattern source.Pattern, days []string, unlock *keyFlags) (answer, error) {
	l, err := a.openRemembering(ctx, unlock)
	if err != nil {
		return nil, err
	}
	h, err := a.history(ctx, l)
	if err != nil {
		return nil, err
	}
	chosen, err := a.daysToLookThrough(h, days)
	if err != nil {
		return nil, err
	}
	ans := findAnswer{Pattern: pattern.String(), Found: []foundFile{}, zone: l.zone}
	newest := map[string]int{} // number in Found of the newest state of a path
	var damage error
	for _, d := range chosen { // oldest first
		s, err := restore.Open(ctx, l.store, l.key.Opener(), d.ref)
		if err == nil {
			err = ans.lookThrough(ctx, s, d.Day, pattern, newest)
		}
		if exit, _ := judge(err); err != nil && exit != exitDamaged {
			return nil, err
		}
		if err != nil {
			a.say("%s: %v", d.Day, err)
			damage = fmt.Errorf("look through %s: %w", d.Day, err)
		}
	}
	slices.SortFunc(ans.Found, func(x, y foundFile) int {
		return cmp.Or(cmp.Compare(y.last, x.last), strings.Compare(x.Path, y.Path))
	})
	return ans, damage
}

// daysToLookThrough are those that are named, or all that have not lapsed.
func (a *app) daysToLookThrough(h history, names []string) ([]snapshot, error) {
	if len(names) == 0 {
		for _, d := range h.Days {
			if d.Source != h.Days[0].Source {
				return nil, wrongUse("the store holds several sources", "name the one of this configuration with --config FILE")
			}
		}
		return slices.DeleteFunc(slices.Clone(h.Days), func(d snapshot) bool { return d.Until.Before(a.now()) }), nil
	}
	named := map[string]bool{}
	for _, name := range names {
		d, note, err := h.pick(name)
		if err != nil {
			return nil, err
		}
		if note != "" {
			a.say("%s", note)
		}
		named[d.ref.Key] = true
	}
	return slices.DeleteFunc(slices.Clone(h.Days), func(d snapshot) bool { return !named[d.ref.Key] }), nil
}

// lookThrough adds what matches in one day. Rows that are lost hide nothing else.
func (f *findAnswer) lookThrough(ctx context.Context, s *restore.Snapshot, day string, pattern source.Pattern, newest map[string]int) error {
	f.Days++
	var lost error
	for e, err := range s.Entries(ctx) {
		var rows *restore.LostRows
		if errors.As(err, &rows) {
			lost = err
			continue
		}
		if err != nil {
			return err
		}
		if !pattern.Match(e.Path, e.Type == manifest.Folder) {
			continue
		}
		if i, ok := newest[e.Path]; ok && f.Found[i].last == f.Days-1 && sameContent(f.Found[i].entry, e) {
			f.Found[i].Day, f.Found[i].last = day, f.Days
			continue
		}
		if len(f.Found) == maxFound {
			return wrongUse(fmt.Sprintf("more than %d states of files match", maxFound), "write a narrower pattern, or name days with --day")
		}
		newest[e.Path] = len(f.Found)
		f.Found = append(f.Found, foundOf(e, day, f.Days))
	}
	return lost
}

func foundOf(e restore.Entry, day string, number int) foundFile {
	one := foundFile{Day: day, Since: day, Type: "file", Path: e.Path, Size: e.Size, Time: time.Unix(0, e.Mtime).UTC(), Target: e.Target, last: number}
	one.entry = restore.Entry{Type: e.Type, Size: e.Size, SHA256: e.SHA256, Target: e.Target} // no more: its chunks take room
	switch e.Type {
	case manifest.File:
		one.SHA256 = hex.EncodeToString(e.SHA256[:])
	case manifest.Folder:
		one.Type = "folder"
	case manifest.Link:
		one.Type = "link"
	}
	return one
}

// openRemembering is openLibrary of a store whose objects are fetched once, however
// many days need them.
func (a *app) openRemembering(ctx context.Context, unlock *keyFlags) (*library, error) {
	at, c, err := a.readFrom()
	if err != nil {
		return nil, err
	}
	l, err := a.openLibraryAt(ctx, at, unlock.with, c, unlock)
	if err != nil || at.Address.Scheme == "dir" {
		return l, err
	}
	if unlock.with != "" {
		if at, err = a.storeWith(at, unlock.with); err != nil {
			return nil, err
		}
	}
	d, err := a.openDriver(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", at.Name, err)
	}
	l.store = providers.NewStore(d, providers.Options{Log: a.log(), Cache: &memory{objects: map[string][]byte{}}, MinRate: slowest(at),
		Near: func(string) bool { return true }})
	return l, nil
}

// memory is a cache that lasts as long as the verb. When it is full it takes no more.
type memory struct {
	mu      sync.Mutex // guards both
	objects map[string][]byte
	size    int
}

func (m *memory) Get(key string, v providers.Version) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.objects[key+"\x00"+string(v)]
	return slices.Clone(data), ok
}

func (m *memory) Put(key string, v providers.Version, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := key + "\x00" + string(v)
	if _, ok := m.objects[at]; !ok && m.size+len(data) <= maxRemembered {
		m.objects[at] = slices.Clone(data)
		m.size += len(data)
	}
}
