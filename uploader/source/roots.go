package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// resolve turns the configured roots into folders that exist, and refuses what
// must not be scanned. It returns how many live folders could not be looked at.
func resolve(opt Options) ([]RootInfo, int, error) {
	if len(opt.Roots) == 0 {
		return nil, 0, errors.New("no folder is configured")
	}
	if len(opt.Roots) > MaxRoots {
		return nil, 0, fmt.Errorf("more than %d folders are configured", MaxRoots)
	}
	infos := make([]RootInfo, 0, len(opt.Roots))
	names := map[string]bool{}
	for _, r := range opt.Roots {
		info, err := resolveRoot(r, opt.FollowRoot)
		if err != nil {
			return nil, 0, &RootError{r.Path, err}
		}
		// Names that differ in case alone would meet when restored on Windows.
		key := strings.ToLower(info.Name)
		if len(opt.Roots) > 1 && (!validName(info.Name) || names[key]) {
			return nil, 0, &RootError{r.Path, ErrRootName}
		}
		names[key] = true
		infos = append(infos, info)
	}
	for i, a := range infos {
		for _, b := range infos[:i] {
			if overlap(a.Resolved, b.Resolved) {
				return nil, 0, &RootError{a.Path, ErrRootOverlap}
			}
		}
	}
	unchecked := 0
	for _, live := range opt.Live {
		ok, err := refuseLive(infos, live)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			unchecked++
		}
	}
	return infos, unchecked, nil
}

func resolveRoot(r Root, follow bool) (RootInfo, error) {
	if r.Path == "" {
		return RootInfo{}, ErrRootMissing
	}
	abs, err := filepath.Abs(r.Path)
	if err != nil {
		return RootInfo{}, bare(err)
	}
	info := RootInfo{Name: r.Name, Path: abs}
	if info.Name == "" {
		info.Name = filepath.Base(abs)
	}
	st, err := os.Lstat(abs)
	if err != nil {
		return RootInfo{}, unreadable(err)
	}
	// Windows junctions and mount points are irregular to package os.
	info.Linked = st.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0
	if info.Linked && !follow {
		return RootInfo{}, ErrRootLink
	}
	if info.Resolved, err = filepath.EvalSymlinks(abs); err != nil {
		return RootInfo{}, unreadable(err)
	}
	if st, err = os.Stat(info.Resolved); err != nil {
		return RootInfo{}, unreadable(err)
	}
	if !st.IsDir() {
		return RootInfo{}, ErrRootNotFolder
	}
	return info, nil
}

func validName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\\\x00")
}

// refuseLive returns an error when live is, holds or lies inside one of the
// roots. The bool is false when live itself could not be looked at, so that only
// the folders above it were compared.
func refuseLive(infos []RootInfo, live string) (bool, error) {
	if live == "" {
		return false, nil
	}
	abs, err := filepath.Abs(live)
	if err != nil {
		return false, nil
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err == nil {
		_, err = os.Stat(resolved)
	}
	for _, info := range infos {
		if overlap(info.Path, abs) || err == nil && overlap(info.Resolved, resolved) {
			return false, &RootError{info.Path, fmt.Errorf("%w (live folder %s)", ErrLive, abs)}
		}
	}
	return err == nil, nil
}

// overlap reports whether one folder is the other or lies inside it: whether any
// folder on the way up from one is the other on disk. That finds links, other
// spellings, drive letters of one share, bind mounts and short names alike. Where a
// server gives its folders no ids, or cannot be reached, their names still tell.
func overlap(a, b string) bool { return climbs(a, b) || climbs(b, a) || named(a, b) || named(b, a) }

// named reports whether the name of outer begins that of inner.
func named(inner, outer string) bool {
	in, out := spelled(inner), strings.TrimSuffix(spelled(outer), string(filepath.Separator))
	return in == out || strings.HasPrefix(in, out+string(filepath.Separator))
}

// climbs reports whether a folder on the way from inner up to the top is outer.
func climbs(inner, outer string) bool {
	want, err := os.Stat(outer)
	if err != nil {
		return false
	}
	for {
		if st, err := os.Stat(inner); err == nil && os.SameFile(st, want) {
			return true
		}
		up := filepath.Dir(inner)
		if up == inner {
			return false
		}
		inner = up
	}
}
