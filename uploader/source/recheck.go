package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ChangeKind is how an entry differs from what was listed.
type ChangeKind uint8

// The kinds of change.
const (
	Added ChangeKind = iota + 1
	Removed
	Changed
)

// String returns the word for k.
func (k ChangeKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "unknown"
}

// Change is one entry that differs.
type Change struct {
	Path string
	Kind ChangeKind
}

// Recheck scans again with the same options and returns what differs from s,
// sorted by path. Times of folders do not count: what is in them does.
func (s Set) Recheck(ctx context.Context) ([]Change, error) {
	if !s.Valid() {
		return nil, fmt.Errorf("check source again: %w", ErrNoSet)
	}
	now, err := scan(ctx, s.d.opt)
	if err != nil {
		return nil, fmt.Errorf("check source again: %w", err)
	}
	changes, err := s.joined(ctx)
	if err != nil {
		return nil, fmt.Errorf("check source again: %w", err)
	}
	differ(s.d.entries, now.d.entries, func(c Change) bool {
		changes = append(changes, c)
		return true
	})
	if len(changes) > 0 && s.coarse() && shiftedClock(s, now) {
		changes = nil
	}
	if len(changes) == 0 {
		changes = s.stale(ctx)
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return changes, nil
}

// same reports whether two looks found the same.
func same(a, b Set) bool {
	if !slices.EqualFunc(a.d.volumes, b.d.volumes, func(v, w Volume) bool { return v.Serial == w.Serial }) {
		return false // another disk in the same place
	}
	equal := true
	differ(a.d.entries, b.d.entries, func(Change) bool {
		equal = false
		return false
	})
	return equal || a.coarse() && shiftedClock(a, b)
}

// coarse reports whether a root stands on a file system that keeps local time.
func (s Set) coarse() bool {
	return slices.ContainsFunc(s.d.volumes, func(v Volume) bool { return v.Coarse })
}

// shiftedClock reports whether two looks differ by nothing but the hour: where a
// file system keeps local time, every time moves when the clocks change.
func shiftedClock(a, b Set) bool {
	const zoneStep, most = int64(30 * time.Minute), int64(26 * time.Hour)
	if len(a.d.entries) != len(b.d.entries) {
		return false
	}
	var shift int64
	for i := range a.d.entries {
		x, y := a.d.entries[i], b.d.entries[i]
		if x.Path != y.Path {
			return false
		}
		if x.Type != TypeFile || y.Type != TypeFile {
			continue
		}
		by := y.ModTime - x.ModTime
		if shift == 0 {
			shift = by
		}
		if by != shift || by%zoneStep != 0 || by > most || by < -most {
			return false
		}
		x.ModTime, x.ChangeTime, y.ChangeTime = y.ModTime, 0, 0
		if !sameEntry(&x, &y) {
			return false
		}
	}
	return shift != 0
}

// differ yields the differences of two sorted lists until yield is false.
func differ(old, now []Entry, yield func(Change) bool) {
	for len(old) > 0 || len(now) > 0 {
		var c Change
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].Path < now[0].Path:
			c, old = Change{old[0].Path, Removed}, old[1:]
		case len(old) == 0 || now[0].Path < old[0].Path:
			c, now = Change{now[0].Path, Added}, now[1:]
		default:
			equal := sameEntry(&old[0], &now[0])
			c = Change{old[0].Path, Changed}
			old, now = old[1:], now[1:]
			if equal {
				continue
			}
		}
		if !yield(c) {
			return
		}
	}
}

func sameEntry(a, b *Entry) bool {
	if a.Type != b.Type || (a.Err == nil) != (b.Err == nil) || a.LinkTarget != b.LinkTarget {
		return false
	}
	if a.Type == TypeDir {
		// Windows sets the archive bit and others of a folder when its content
		// changes; the content is compared by itself.
		return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.ID == b.ID
	}
	return sameFile(*a, *b) && a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.Attributes == b.Attributes
}
