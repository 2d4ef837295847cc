// Package source lists the files of one finished backup and decides when such a
// set has settled.
//
// What it promises: a Set is made by Scan or Wait alone and never changes; its
// entries are sorted by the bytes of their slash-separated paths, the same on
// every operating system; whatever could not be listed is an entry with an error
// and never a silent gap; a file opened through a Set is the regular file that
// was listed, reached without following a link below the root; and nothing in
// a source is ever written.
//
// What it refuses: a root that is missing, is no folder or is empty; roots that
// overlap; and a source that is, holds or lies inside a folder that was named as
// live data, because copying a running database gives a torn copy.
//
// Texts of errors name roots, which come from the configuration, but never a
// file below one: such names can be patient data and errors end up in logs.
// Callers that talk to the person at the console find the name in a field.
package source

import (
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"
)

// Type is what kind of thing an entry is.
type Type uint8

// The types of entries. TypeOther is a socket, pipe, device or foreign reparse
// point: it is listed and never opened.
const (
	TypeOther Type = iota
	TypeDir
	TypeFile
	TypeSymlink
)

// String returns the word for t.
func (t Type) String() string {
	switch t {
	case TypeDir:
		return "dir"
	case TypeFile:
		return "file"
	case TypeSymlink:
		return "symlink"
	default:
		return "other"
	}
}

// FileID is the file system's own name for a file: device and inode on Unix,
// volume serial and file index on Windows. The zero FileID means that the file
// system has none.
type FileID struct{ Device, Index uint64 }

// Entry is one file, folder, link or other thing in a Set. Times are
// nanoseconds since 1970 UTC, so that an entry stays small; a time outside the
// years 1678 to 2262 is moved to the nearer end.
type Entry struct {
	// Path is relative, with slashes; with several roots its first segment is
	// the root's name. On Unix it holds the raw bytes, which need not be UTF-8.
	Path string
	// LinkTarget is the text of a symbolic link, as it stands in the link.
	LinkTarget string
	// Err is why a folder could not be listed whole or an entry not looked at.
	// It names no path.
	Err        error
	Size       int64 // of a regular file; 0 for everything else
	ModTime    int64
	ChangeTime int64 // of the metadata; 0: the file system keeps none
	ID         FileID
	Mode       uint32 // Unix permission, setuid, setgid and sticky bits; 0 on Windows
	UID, GID   uint32 // Unix only
	Attributes uint32 // Windows file attributes; 0 elsewhere
	Type       Type
}

// Modified returns the modification time.
func (e Entry) Modified() time.Time { return time.Unix(0, e.ModTime) }

// Totals are counts over a Set.
type Totals struct {
	Files, Dirs, Symlinks, Others int
	// Bytes is the sum of the sizes of regular files.
	Bytes int64
	// Unreadable counts the entries with an error.
	Unreadable int
	// Excluded counts what the exclude patterns left out. An excluded folder
	// counts once, whatever it holds.
	Excluded int
}

// RootInfo is a root as it was found.
type RootInfo struct {
	Name     string // first path segment of its entries when there are several roots
	Path     string // absolute, as configured
	Resolved string // with every link on the way followed, once, at the start
	Linked   bool   // the root itself was a link
}

// Set is the files of one backup as they were listed. Only Scan and Wait make
// one; the zero Set is not valid. It is safe for concurrent use.
type Set struct{ d *data }

type data struct {
	roots   []RootInfo
	entries []Entry
	totals  Totals
	newest  int64 // 0: nothing that tells
	quiet   time.Duration
	timed   bool // every regular file has a change time
	live    int  // live folders that could not be compared
	opt     Options

	written int64 // newest modification of a regular file
	volumes []Volume
	name    string // of the candidate
	stamp   Stamp
	disk    string
	moved   bool
	proof   Proof
	finder  *finder  // nil for a set that Scan made
	members []string // what stands in the root itself and belongs to the set; nil: all

	ahead, away int // of Found
}

// Valid reports whether Scan or Wait made s.
func (s Set) Valid() bool { return s.d != nil }

// Roots returns the roots of s.
func (s Set) Roots() []RootInfo {
	if s.d == nil {
		return nil
	}
	return slices.Clone(s.d.roots)
}

// Len returns the number of entries.
func (s Set) Len() int {
	if s.d == nil {
		return 0
	}
	return len(s.d.entries)
}

// At returns entry i in the order of Entries.
func (s Set) At(i int) Entry { return s.d.entries[i] }

// Entries yields every entry, sorted by the bytes of the path.
func (s Set) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for i := range s.Len() {
			if !yield(s.d.entries[i]) {
				return
			}
		}
	}
}

// Find returns the entry with the given path.
func (s Set) Find(path string) (Entry, bool) {
	if s.d == nil {
		return Entry{}, false
	}
	i, ok := search(s.d.entries, path)
	if !ok {
		return Entry{}, false
	}
	return s.d.entries[i], true
}

func search(entries []Entry, path string) (int, bool) {
	return slices.BinarySearchFunc(entries, path, func(e Entry, p string) int {
		return strings.Compare(e.Path, p)
	})
}

// Totals returns the counts over s.
func (s Set) Totals() Totals {
	if s.d == nil {
		return Totals{}
	}
	return s.d.totals
}

// Newest returns the time of the newest change that the file system shows in
// the whole set: the latest modification or metadata change of any file, link or
// folder. Folders out of which an entry was excluded do not count, because an
// excluded file that comes and goes touches them. It is zero when nothing tells.
func (s Set) Newest() time.Time {
	if s.d == nil || s.d.newest == 0 {
		return time.Time{}
	}
	return time.Unix(0, s.d.newest)
}

// Written returns the newest time that a regular file's content was written, as its
// modification time tells. It is zero when there is no file.
func (s Set) Written() time.Time {
	if s.d == nil || s.d.totals.Files == 0 {
		return time.Time{}
	}
	return time.Unix(0, s.d.written)
}

// Moment returns the time that the set belongs to, as far as its files tell: its
// newest change; but where a backup renames what stood before, the newest time that
// a content was written.
func (s Set) Moment() time.Time {
	if s.d != nil && s.d.moved {
		return s.Written()
	}
	return s.Newest()
}

// Stamp returns the date in the set's name; zero if there is none.
func (s Set) Stamp() Stamp {
	if s.d == nil {
		return Stamp{}
	}
	return s.d.stamp
}

// Name returns what the source calls the set: empty where only one can stand
// there. It is for the console alone.
func (s Set) Name() string {
	if s.d == nil {
		return ""
	}
	return s.d.name
}

// Disk returns the name of the known disk that the set stands on, if disks are
// known at all.
func (s Set) Disk() string {
	if s.d == nil {
		return ""
	}
	return s.d.disk
}

// Away returns how many folders of the layout Computers could not be reached when s
// was found to be the newest set.
func (s Set) Away() int {
	if s.d == nil {
		return 0
	}
	return s.d.away
}

// Ahead returns how many sets were left out because their names have a date in the
// future.
func (s Set) Ahead() int {
	if s.d == nil {
		return 0
	}
	return s.d.ahead
}

// Volumes returns the volumes of the roots, in their order.
func (s Set) Volumes() []Volume {
	if s.d == nil {
		return nil
	}
	return slices.Clone(s.d.volumes)
}

// ChangeTimes reports whether every regular file carries a change time that no
// program can set. Without, a file that is rewritten with its old size and time
// cannot be told from an untouched one.
func (s Set) ChangeTimes() bool {
	return s.d != nil && s.d.timed && !slices.ContainsFunc(s.d.volumes, func(v Volume) bool { return v.Coarse })
}

// Proof returns what showed that the set had settled.
func (s Set) Proof() Proof {
	if s.d == nil {
		return Proof{}
	}
	return s.d.proof
}

// Quiet returns for how long Wait saw that nothing changed. It is zero for a set
// that was merely scanned.
func (s Set) Quiet() time.Duration {
	if s.d == nil {
		return 0
	}
	return s.d.quiet
}

// LiveUnchecked returns how many of the folders named as live data could not be
// looked at (a server that is switched off): of those, only the folders above that
// exist were compared with the roots.
func (s Set) LiveUnchecked() int {
	if s.d == nil {
		return 0
	}
	return s.d.live
}

// Within returns the path of e relative to its own root, which is what patterns
// are matched against.
func (s Set) Within(e Entry) string {
	if s.d == nil || len(s.d.roots) < 2 {
		return e.Path
	}
	_, rel, _ := strings.Cut(e.Path, "/")
	return rel
}

// locate returns the root that holds path and the path relative to it.
func (s Set) locate(path string) (RootInfo, string, error) {
	if s.d == nil {
		return RootInfo{}, "", ErrNoSet
	}
	if !fs.ValidPath(strings.ToValidUTF8(path, "?")) || path == "." {
		return RootInfo{}, "", ErrNotListed
	}
	if len(s.d.roots) == 1 {
		return s.d.roots[0], path, nil
	}
	name, rel, _ := strings.Cut(path, "/")
	for _, r := range s.d.roots {
		if r.Name == name && rel != "" {
			return r, rel, nil
		}
	}
	return RootInfo{}, "", ErrNotListed
}
