package restore

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

const (
	markerHead = "offsite restore 1\n"
	maxMarker  = 4 << 10
	// keptFolders is how many opened folders are kept: workers mostly write where
	// they wrote before, and a process may have 256 files open on some systems.
	keptFolders = 48

	folderMode = 0o700 // of folders while they are filled
	fileMode   = 0o600
)

// systemNames stand in the top folder of an otherwise empty disk.
var systemNames = [...]string{"lost+found", "System Volume Information", "$RECYCLE.BIN",
	".DS_Store", ".Trashes", ".fseventsd", ".Spotlight-V100"}

// target is the folder that is restored to. Folders below it are opened step by
// step, each only if it is a folder and not a link to one, and kept open for a
// while. It is safe for concurrent use.
type target struct {
	root  *os.Root
	fresh bool // nothing was here before
	folds bool // capital and small letters are the same here

	naming sync.Mutex // held while a file gets its name, where two names can be one

	mu   sync.Mutex // guards what follows
	open map[string]*folder
	idle *list.List // of *folder, the last used one first
}

// folder is an opened folder below the target.
type folder struct {
	*os.Root
	path string
	refs int
	elem *list.Element
}

// openTarget opens or makes the target folder and puts the marker into it. digest
// names the snapshot.
func openTarget(to, digest string, into bool) (*target, error) {
	if err := os.MkdirAll(to, folderMode); err != nil {
		return nil, fmt.Errorf("make target folder: %w", err)
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return nil, fmt.Errorf("open target folder: %w", err)
	}
	t := &target{root: root, open: make(map[string]*folder), idle: list.New()}
	if err := t.mark(digest, into); err != nil {
		root.Close()
		return nil, err
	}
	_, err = root.Lstat(strings.ToUpper(markerName))
	t.folds = err == nil
	return t, nil
}

// mark looks at what is in the target and writes the marker.
func (t *target) mark(digest string, into bool) error {
	empty, err := t.empty()
	if err != nil {
		return fmt.Errorf("look into target folder: %w", err)
	}
	want := markerHead + digest + "\n"
	have, err := t.marker()
	switch {
	case err != nil:
		return fmt.Errorf("read marker of an earlier restore: %w", err)
	case have == want:
		return nil
	case have != "" && have != "unfinished" && !into:
		return fmt.Errorf("%w: an earlier restore of another snapshot was not finished there", ErrTargetNotEmpty)
	case have == "" && !empty && !into:
		return ErrTargetNotEmpty
	case have != "":
		if err := t.root.Remove(markerName); err != nil {
			return fmt.Errorf("replace marker: %w", err)
		}
	}
	t.fresh = empty
	f, err := t.root.OpenFile(markerName, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	_, err = f.WriteString(want)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	return nil
}

// empty reports whether the target holds nothing but what systems put there.
func (t *target) empty() (bool, error) {
	d, err := t.root.Open(".")
	if err != nil {
		return false, err
	}
	defer d.Close()
	names, err := d.Readdirnames(len(systemNames) + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	for _, name := range names {
		known := false
		for _, s := range systemNames {
			known = known || name == s
		}
		if !known {
			return false, nil
		}
	}
	return true, nil
}

// marker returns what the marker holds, or nothing if there is none.
func (t *target) marker() (string, error) {
	info, err := t.root.Lstat(markerName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxMarker {
		return "", fmt.Errorf("%s is no marker", markerName)
	}
	b, err := t.root.ReadFile(markerName)
	if err == nil && len(b) == 0 {
		b = []byte("unfinished") // by a crash while it was written
	}
	return string(b), err
}

// unmark says that the restore is done.
func (t *target) unmark() error { return t.root.Remove(markerName) }

func (t *target) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.open {
		if f.path != "" {
			f.Close()
		}
	}
	t.root.Close()
}

// parent opens the folder that path stands in and returns it with the last part of
// path. It must be released.
func (t *target) parent(p string) (*folder, string, error) {
	dir, base := path.Split(p)
	f, err := t.folder(strings.TrimSuffix(dir, "/"), false)
	return f, base, err
}

var errNoFolder = errors.New("a link or file stands where its folder must be")

// folder opens a folder; with make it is made where it is missing, as are those
// above it. It must be released.
func (t *target) folder(p string, make bool) (*folder, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.folderLocked(p, make)
}

func (t *target) folderLocked(p string, make bool) (*folder, error) {
	if f, ok := t.open[p]; ok {
		if f.elem != nil {
			t.idle.Remove(f.elem)
			f.elem = nil
		}
		f.refs++
		return f, nil
	}
	if p == "" {
		f := &folder{Root: t.root, refs: 2} // never idle
		t.open[p] = f
		return f, nil
	}
	dir, base := path.Split(p)
	above, err := t.folderLocked(strings.TrimSuffix(dir, "/"), make)
	if err != nil {
		return nil, err
	}
	defer t.releaseLocked(above)
	root, err := openFolder(above.Root, base)
	if make && errors.Is(err, fs.ErrNotExist) {
		if err = above.Mkdir(base, folderMode); err == nil {
			root, err = openFolder(above.Root, base)
		}
	}
	if err != nil {
		return nil, err
	}
	f := &folder{Root: root, path: p, refs: 1}
	t.open[p] = f
	return f, nil
}

// openFolder opens a folder by its name in another, but no link.
func openFolder(above *os.Root, name string) (*os.Root, error) {
	before, err := above.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !before.IsDir() || before.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 {
		return nil, errNoFolder
	}
	root, err := above.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	after, err := root.Stat(".")
	if err != nil || !os.SameFile(before, after) {
		root.Close()
		return nil, errors.Join(errNoFolder, err)
	}
	return root, nil
}

func (t *target) release(f *folder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.releaseLocked(f)
}

func (t *target) releaseLocked(f *folder) {
	if f.refs--; f.refs > 0 {
		return
	}
	f.elem = t.idle.PushFront(f)
	for t.idle.Len() > keptFolders {
		old := t.idle.Remove(t.idle.Back()).(*folder)
		delete(t.open, old.path)
		old.Close()
	}
}

// remove removes a file.
func (t *target) remove(p string) error {
	above, base, err := t.parent(p)
	if err != nil {
		return err
	}
	defer t.release(above)
	return above.Remove(base)
}

// makeFolder makes a folder whose parent is there, or takes the one that is there
// already. The folder can be written to until its final mode is set.
func (t *target) makeFolder(p string) error {
	above, base, err := t.parent(p)
	if err != nil {
		return err
	}
	defer t.release(above)
	err = above.Mkdir(base, folderMode)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := above.Lstat(base)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errNoFolder
	}
	if info.Mode()&folderMode != folderMode {
		// Of an earlier restore that had come as far as this folder's mode.
		if err := above.Chmod(base, info.Mode().Perm()|folderMode); err != nil {
			return err
		}
	}
	return t.sweep(p)
}

// sweep removes the unfinished files that an earlier restore left in a folder.
func (t *target) sweep(p string) error {
	f, err := t.folder(p, false)
	if err != nil {
		return err
	}
	defer t.release(f)
	d, err := f.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1000)
		for _, name := range names {
			if strings.HasPrefix(name, partialPrefix) {
				if err := f.Remove(name); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
