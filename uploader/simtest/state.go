package simtest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"offsite/manifest"
)

// State is what a source held at one moment: relative path, separated by slashes,
// to what stood there.
type State map[string]Item

// Item is one file, folder or link.
type Item struct {
	Type   manifest.FileType
	Size   int64
	SHA256 [32]byte
	Mtime  int64  // nanoseconds since 1970
	Mode   uint32 // permission, setuid, setgid and sticky bits; 0 on Windows
	Target string // of a link
}

// ReadState reads a whole source by plain means: it shares no code with what it is
// compared with. Things that are neither file, folder nor link are left out.
func ReadState(root string) (State, error) {
	state := make(State)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		item := Item{Mtime: info.ModTime().UnixNano(), Mode: unixMode(info.Mode())}
		switch info.Mode().Type() {
		case 0:
			item.Type = manifest.File
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			item.Size, item.SHA256 = int64(len(b)), sha256.Sum256(b)
		case fs.ModeDir:
			item.Type = manifest.Folder
		case fs.ModeSymlink:
			item.Type = manifest.Link
			if item.Target, err = os.Readlink(path); err != nil {
				return err
			}
		default:
			return nil
		}
		state[filepath.ToSlash(rel)] = item
		return nil
	})
	return state, err
}

// compare returns an error that says how row differs from the item.
func (i Item) compare(row *manifest.Row) error {
	switch {
	case row.Type != i.Type:
		return fmt.Errorf("type %d instead of %d", row.Type, i.Type)
	case row.Target != i.Target:
		return fmt.Errorf("link to %q instead of %q", row.Target, i.Target)
	case row.Mode != i.Mode:
		return fmt.Errorf("mode %o instead of %o", row.Mode, i.Mode)
	// A folder's time moves with what is in it and is taken when it is listed.
	case row.Mtime != i.Mtime && i.Type != manifest.Folder:
		return fmt.Errorf("time %d instead of %d", row.Mtime, i.Mtime)
	case row.Size != i.Size:
		return fmt.Errorf("%d bytes instead of %d", row.Size, i.Size)
	case row.SHA256 != i.SHA256:
		return fmt.Errorf("SHA-256 %x instead of %x", row.SHA256, i.SHA256)
	}
	return nil
}

// Same returns an error that says where a folder that was restored from a snapshot
// differs from what the source was. Times and modes of folders are left out.
func (c *Checker) Same(store, key string, got State) error {
	want := c.expected[store+" "+key]
	for path, item := range want {
		have, ok := got[path]
		if item.Type == manifest.Folder {
			have.Mtime, have.Mode = item.Mtime, item.Mode
		}
		if !ok || have != item {
			return fmt.Errorf("%q: %+v instead of %+v", path, have, item)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			return fmt.Errorf("%q: the source did not have it", path)
		}
	}
	return nil
}
