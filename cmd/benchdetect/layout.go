package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"offsite/examples/practice"
	"offsite/uploader/source"
)

// layout is how a practice's backups stand. The newest set is found as the program
// finds it, by the layout's kind.
type layout struct {
	name string
	kind source.Kind
	// fresh: each backup is written where nothing stood, so that a copy that was
	// stopped leaves gaps; otherwise it leaves what was there before.
	fresh bool
	// copies is how many folders take turns: disks, or computers.
	copies int
	// packed: the set is an archive of the database, not a tree.
	packed string
	// log is what the backup program keeps: "lines", "robocopy" or nothing.
	log string
	// apart: the images stand in a root of their own.
	apart bool
}

// layouts are those that practices have.
var layouts = [...]layout{
	{name: "folder", kind: source.Folder, log: "lines"},
	{name: "renamed", kind: source.Renamed, fresh: true},
	{name: "archives", kind: source.Archives, packed: "zip", fresh: true},
	{name: "dated", kind: source.Dated, fresh: true, log: "robocopy"},
	{name: "weekdays", kind: source.Weekdays, packed: "bak"},
	{name: "numbered", kind: source.Numbered, packed: "bdf"},
	{name: "disks", kind: source.Disks, copies: 5, log: "lines"},
	{name: "computers", kind: source.Computers, copies: 3, log: "lines"},
	{name: "chain", kind: source.Chain, packed: "chain", fresh: true},
	{name: "roots", kind: source.Folder, apart: true, log: "lines"},
	{name: "unlogged", kind: source.Folder},
}

func layoutNames() (names []string) {
	for _, l := range layouts {
		names = append(names, l.name)
	}
	return names
}

func layoutNamed(name string) (layout, bool) {
	for _, l := range layouts {
		if l.name == name {
			return l, true
		}
	}
	return layout{}, false
}

// kept is how many backups stand side by side where there are several, which is
// what practices have room for.
const kept = 3

// sets is what the configuration of this layout would name.
func (y *year) sets() source.Layout {
	l := source.Layout{Kind: y.layout.kind, Now: at(evening(y.day))}
	place := y.path("copy")
	roots := []source.Root{{Path: place}}
	switch {
	case y.layout.apart:
		roots = []source.Root{{Name: "db", Path: filepath.Join(place, "databackup")}, {Name: "images", Path: filepath.Join(place, "real")}}
	case y.layout.kind == source.Disks:
		roots[0].Path = filepath.Join(place, "disk")
		for i := range y.layout.copies {
			l.Disks = append(l.Disks, source.Disk{Name: fmt.Sprint(i), Marker: marker(i)})
		}
	case y.layout.kind == source.Computers:
		roots = nil
		for i := range y.layout.copies {
			if dir := filepath.Join(place, fmt.Sprint("pc", i)); exists(dir) {
				roots = append(roots, source.Root{Path: dir})
			}
		}
	}
	l.Scan.Roots = roots
	return l
}

// marker is the file by which a disk is known.
func marker(disk int) string { return fmt.Sprintf("DISK%d.id", disk) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// target is where the backup of the day goes.
func (y *year) target() string {
	place := y.path("copy")
	switch {
	case y.pinned != "":
		return y.pinned
	case y.layout.kind == source.Renamed:
		return filepath.Join(place, "opendental")
	case y.layout.kind == source.Dated:
		return filepath.Join(place, date(y.day))
	case y.layout.kind == source.Disks:
		return filepath.Join(place, "disk")
	case y.layout.kind == source.Computers:
		return filepath.Join(place, fmt.Sprint("pc", y.day%y.layout.copies))
	}
	return place
}

// connect puts the disk in place that is due on a day.
func (y *year) connect(day int) error {
	if y.layout.kind != source.Disks {
		return os.MkdirAll(y.path("copy"), 0o755)
	}
	disk, away := y.path("copy", "disk"), func(i int) string { return y.path("away", fmt.Sprint(i)) }
	want := day % y.layout.copies
	if exists(filepath.Join(disk, marker(want))) {
		return nil
	}
	for i := range y.layout.copies {
		if exists(filepath.Join(disk, marker(i))) {
			if err := os.MkdirAll(y.path("away"), 0o755); err != nil {
				return err
			}
			if err := os.Rename(disk, away(i)); err != nil {
				return err
			}
		}
	}
	if exists(away(want)) {
		return os.Rename(away(want), disk)
	}
	return writeAt(filepath.Join(disk, marker(want)), []byte("put here by a person\n"), practice.Evening(0))
}

// makeRoom does what a backup program does with the backups that stand there.
func (y *year) makeRoom() error {
	place := y.path("copy")
	switch y.layout.kind {
	case source.Renamed:
		old := func(n int) string { return filepath.Join(place, fmt.Sprintf("opendentalbackup_%d", n)) }
		if err := os.Rename(y.target(), old(y.day+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.RemoveAll(old(y.day + 1 - kept)) // people do
	case source.Dated:
		return os.RemoveAll(filepath.Join(place, date(max(y.day-kept, 0))))
	case source.Numbered:
		old := func(n int) string { return filepath.Join(place, fmt.Sprintf("BackupArchive%03d.BDF", n)) }
		names := []string{filepath.Join(place, "Backup.BDF")}
		for n := range kept {
			names = append(names, old(n+1))
		}
		for i := len(names) - 1; i > 0; i-- {
			if err := os.Rename(names[i-1], names[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	case source.Archives, source.Chain:
		return y.purge()
	}
	return nil
}

// purge removes archives that are too old, and of chains all but the last two.
func (y *year) purge() error {
	limit := kept
	if y.layout.kind == source.Chain {
		limit = 12
	}
	files, err := list(y.path("copy"))
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return filepath.Ext(f) == ".vbm" })
	slices.SortFunc(files, func(a, b string) int { return y.aged(a).Compare(y.aged(b)) })
	for _, f := range files[:max(len(files)-limit, 0)] {
		if err := os.Remove(y.path("copy", f)); err != nil {
			return err
		}
	}
	return nil
}

// members are the files of the newest set, below its target.
func (y *year) members() ([]string, error) {
	if y.layout.packed != "" {
		return y.names, nil
	}
	return list(y.target())
}
