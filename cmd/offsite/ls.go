package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/restore"
)

// listing is what stands in a folder of a day.
type listing struct {
	Day     string   `json:"day"`
	Path    string   `json:"path"`
	Entries []listed `json:"entries"`

	zone *time.Location
}

// listed is one entry. A folder has the sum of what is below it.
type listed struct {
	Type   string    `json:"type"` // file, folder or link
	Path   string    `json:"path"`
	Size   int64     `json:"size"`
	Files  int64     `json:"files"` // in and below a folder
	Time   time.Time `json:"time"`
	Target string    `json:"target,omitempty"`
	SHA256 string    `json:"sha256,omitempty"` // of a file's bytes
}

// sums is a listing as sha256sum writes one, so that sha256sum -c checks a
// restored day.
type sums struct{ listing }

func (s sums) text(w io.Writer) {
	for _, e := range s.Entries {
		if e.Type != "file" {
			continue
		}
		// A name with a line end or a backslash is escaped as sha256sum does it.
		name := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(e.Path)
		mark := ""
		if name != e.Path {
			mark = `\`
		}
		fmt.Fprintf(w, "%s%s  %s\n", mark, e.SHA256, name)
	}
}

func (l listing) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, e := range l.Entries {
		files := ""
		if e.Type == "folder" {
			files = fmt.Sprintf("%d files", e.Files)
		}
		name := shownName(e.Path, e.Type, e.Target)
		fmt.Fprintf(t, "%s\t%s\t%s\t  %s\n", files, bytesText(e.Size), e.Time.In(l.zone).Format("2006-01-02 15:04"), name)
	}
	t.Flush()
}

// shownName is an entry's name on the console. It is shown as it is only when it can
// do nothing to a terminal.
func shownName(path, kind, target string) string {
	switch name := printable(path); kind {
	case "folder":
		return name + "/"
	case "link":
		return name + " -> " + printable(target)
	default:
		return name
	}
}

// printable writes a name that a terminal would obey as a quoted one.
func printable(name string) string {
	for _, r := range name {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\ufffd' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return fmt.Sprintf("%q", name)
		}
	}
	return name
}

func (a *app) lsVerb() verb {
	var unlock keyFlags
	var recursive, hashes bool
	return verb{
		use: "ls DAY [PATH]", short: "list the files of a stored day",
		long: `DAY is latest, a date such as 2026-11-20, or 2026-11-20#2 for its second
revision. Names of files are sealed, so this needs the restore key. With --sha256
all files are listed with their hashes, as sha256sum -c in a restored day wants it.`,
		example: "  offsite ls latest --restore-key restore.key\n  offsite ls 2026-11-20 images --recursive\n  offsite ls latest --sha256 > SHA256SUMS",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return wrongUse("ls needs a day, and may have a path", "write offsite ls DAY [PATH], such as offsite ls latest")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&recursive, "recursive", false, "list what is in folders, too")
			f.BoolVar(&hashes, "sha256", false, "list all files with the SHA-256 of their bytes, for sha256sum -c")
			unlock.add(f)
		},
		run: func(ctx context.Context, args []string) (answer, error) {
			l, s, err := a.openDay(ctx, args[0], &unlock)
			if err != nil {
				return nil, err
			}
			below := ""
			if len(args) == 2 {
				below = cleanPath(args[1])
			}
			ans := listing{Day: s.day.Day, Path: below, Entries: []listed{}, zone: l.zone}
			if err := ans.collect(ctx, s.Snapshot, recursive || hashes); err != nil {
				return nil, err
			}
			if len(ans.Entries) == 0 && below != "" {
				return nil, wrongUse("there is no "+quoted(below)+" in "+ans.Day, "offsite ls "+ans.Day+" lists the top")
			}
			if hashes {
				return sums{ans}, nil
			}
			return ans, nil
		},
	}
}

// cleanPath writes a path as file tables do.
func cleanPath(p string) string {
	p = strings.TrimPrefix(path.Clean(strings.ReplaceAll(p, `\`, "/")), "/")
	if p == "." {
		return ""
	}
	return p
}

// openedDay is a snapshot that verbs read.
type openedDay struct {
	*restore.Snapshot
	day snapshot
}

// openDay opens the store, finds the day and opens its index.
func (a *app) openDay(ctx context.Context, day string, unlock *keyFlags) (*library, openedDay, error) {
	l, err := a.openLibrary(ctx, unlock)
	if err != nil {
		return nil, openedDay{}, err
	}
	h, err := a.history(ctx, l)
	if err != nil {
		return nil, openedDay{}, err
	}
	picked, note, err := h.pick(day)
	if err != nil {
		return nil, openedDay{}, err
	}
	if note != "" {
		a.say("%s", note)
	}
	for _, d := range h.Damaged {
		a.say("damaged: %s", d)
	}
	s, err := restore.Open(ctx, l.store, l.key.Opener(), picked.ref)
	if err != nil {
		return nil, openedDay{}, err
	}
	return l, openedDay{s, picked}, nil
}

// collect fills the listing with the entries at or below its path.
func (l *listing) collect(ctx context.Context, s *restore.Snapshot, recursive bool) error {
	prefix := l.Path + "/"
	if l.Path == "" {
		prefix = ""
	}
	index := map[string]int{} // folders that are listed
	for e, err := range s.Entries(ctx) {
		if err != nil {
			return err
		}
		rest, in := strings.CutPrefix(e.Path, prefix)
		self := e.Path == l.Path && e.Type != manifest.Folder
		if !in && !self {
			continue
		}
		if e.Type == manifest.File {
			for _, up := range folders(e.Path) {
				if i, ok := index[up]; ok {
					l.Entries[i].Size += e.Size
					l.Entries[i].Files++
				}
			}
		}
		if !recursive && !self && strings.Contains(rest, "/") {
			continue
		}
		one := listed{Type: "file", Path: e.Path, Size: e.Size, Time: time.Unix(0, e.Mtime).UTC(), Target: e.Target}
		switch e.Type {
		case manifest.File:
			one.SHA256 = hex.EncodeToString(e.SHA256[:])
		case manifest.Folder:
			one.Type = "folder"
			index[e.Path] = len(l.Entries)
		case manifest.Link:
			one.Type = "link"
		}
		l.Entries = append(l.Entries, one)
	}
	return nil
}

// folders are those that a path lies in.
func folders(p string) []string {
	var out []string
	for i, r := range p {
		if r == '/' {
			out = append(out, p[:i])
		}
	}
	return out
}
