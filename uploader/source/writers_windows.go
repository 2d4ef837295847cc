package source

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/windows"
)

// maxPicks is how many of the newest and of the largest files of a set are looked
// at one by one. Whoever writes a set has one of them open, nearly always.
const maxPicks = 1000

// picks returns the files of a set that changed last and those that are largest.
func (s Set) picks(n int) []Entry {
	var files []Entry
	for e := range s.Entries() {
		if e.Type == TypeFile && e.Err == nil {
			files = append(files, e)
		}
	}
	if len(files) <= 2*n {
		return files
	}
	slices.SortFunc(files, func(a, b Entry) int { return cmp.Compare(lastChange(b), lastChange(a)) })
	rest := files[n:]
	slices.SortFunc(rest, func(a, b Entry) int { return cmp.Compare(b.Size, a.Size) })
	return files[:2*n]
}

// writers opens the newest and the largest files of a set for a moment without
// allowing others to write. A program that has one open for writing makes that
// fail, on this PC and on a server alike, so it is sure. For that moment a program
// that wants to begin writing is refused in turn; this is why it happens only once
// all else has been quiet for long.
func (f *finder) writers(ctx context.Context, set Set) (open int, sure bool) {
	for _, e := range set.picks(maxPicks) {
		if ctx.Err() != nil {
			return open, false
		}
		if set.held(e) {
			open++
		}
	}
	return open, set.Totals().Files <= 2*maxPicks
}

// held reports whether some program has a file open for writing.
func (s Set) held(e Entry) bool {
	info, rel, err := s.locate(e.Path)
	if err != nil {
		return false
	}
	name, err := windows.UTF16PtrFromString(verbatim(filepath.Join(info.Resolved, filepath.FromSlash(rel))))
	if err != nil {
		return false
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return kept(err)
	}
	_ = windows.CloseHandle(h)
	return false
}

// kept reports whether another program keeps a file for itself.
func kept(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}

// verbatim writes a path so that it may have more than 260 characters.
func verbatim(path string) string {
	switch {
	case strings.HasPrefix(path, `\\?\`), strings.HasPrefix(path, `\\.\`):
		return path
	case strings.HasPrefix(path, `\\`):
		return `\\?\UNC\` + path[2:]
	}
	return `\\?\` + path
}

// stale returns the files that a listing shows as they were although they are no
// longer so: Windows brings a listing up to date when the writer closes the file.
// Of those that are held open, the open file itself tells.
func (s Set) stale(ctx context.Context) []Change {
	var changes []Change
	for _, e := range s.picks(maxPicks) {
		if ctx.Err() != nil {
			break
		}
		if !s.held(e) {
			continue
		}
		if f, err := s.Open(e); errors.Is(err, ErrChanged) {
			changes = append(changes, Change{e.Path, Changed})
		} else if err == nil {
			_ = f.Close()
		}
	}
	return changes
}
