package dir

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// maxKnown bounds the memory of folders seen; a store has a few hundred.
const maxKnown = 4096

// errLink is what a link in the store gets.
var errLink = errors.New("a link lies in the store")

// openFile opens a file for reading, after refusing links on the way. os.Root
// keeps even a link set in this moment inside the store.
func (h *folder) openFile(name string) (*os.File, fs.FileInfo, error) {
	if err := h.realDirs(path.Dir(name)); err != nil {
		return nil, nil, err
	}
	return openReal(h.root, name)
}

// openReal opens a file for reading that is no link itself.
func openReal(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	seen, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !seen.Mode().IsRegular() && !seen.IsDir() {
		return nil, nil, errLink
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// openFolder opens a folder below the root as a root of its own, so that looking
// at many files in it costs one step each and not one per level.
func (h *folder) openFolder(dir string) (*os.Root, error) {
	if err := h.realDirs(dir); err != nil {
		return nil, err
	}
	return h.root.OpenRoot(dir)
}

// realDirs refuses a path to dir that leads over a link.
func (h *folder) realDirs(dir string) error {
	if dir == "." || h.isKnown(h.real, dir) {
		return nil
	}
	if err := h.realDirs(path.Dir(dir)); err != nil {
		return err
	}
	info, err := h.root.Lstat(dir)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return errLink
	}
	if !info.IsDir() {
		return fs.ErrNotExist
	}
	h.know(h.real, dir)
	return nil
}

// makeDirs makes dir and what is missing above it, each synced into its parent
// if durable is set, but never the root.
func (h *folder) makeDirs(dir string, durable bool) error {
	seen := h.real
	if durable {
		seen = h.kept
	}
	if dir == "." || h.isKnown(seen, dir) {
		return nil
	}
	parent := path.Dir(dir)
	if err := h.makeDirs(parent, durable); err != nil {
		return err
	}
	err := h.root.Mkdir(dir, dirMode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := h.root.Lstat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return errLink
	}
	// Synced even when somebody else made it: he may not have come that far.
	if durable {
		if err := h.syncDir(parent); err != nil {
			return err
		}
	}
	h.know(seen, dir)
	return nil
}

func (h *folder) isKnown(set map[string]bool, dir string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return set[dir]
}

func (h *folder) know(set map[string]bool, dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(set) >= maxKnown {
		clear(set)
	}
	set[dir] = true
}

func (h *folder) forgetDirs() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.real)
	clear(h.kept)
}

func (h *folder) sameFile(a, b string) bool {
	x, errX := h.root.Lstat(a)
	y, errY := h.root.Lstat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// syncer lets writers into the same folder share its syncs: those who come while
// one is running share the next.
type syncer struct {
	mu      sync.Mutex
	waiting map[string]*batch
	running map[string]*sync.Mutex
}

type batch struct {
	done chan struct{}
	err  error
}

// syncDir returns after a sync of dir that began after the call.
func (h *folder) syncDir(dir string) error {
	s := &h.sync
	s.mu.Lock()
	if b := s.waiting[dir]; b != nil {
		s.mu.Unlock()
		<-b.done
		return b.err
	}
	if s.waiting == nil {
		s.waiting, s.running = map[string]*batch{}, map[string]*sync.Mutex{}
	}
	b := &batch{done: make(chan struct{})}
	s.waiting[dir] = b
	turn := s.running[dir]
	if turn == nil {
		turn = new(sync.Mutex)
		s.running[dir] = turn
	}
	s.mu.Unlock()

	turn.Lock()
	s.mu.Lock()
	delete(s.waiting, dir)
	s.mu.Unlock()
	b.err = syncDir(h.root, dir)
	turn.Unlock()
	close(b.done)
	return b.err
}

// leasePath is where the lease of key lies.
func leasePath(key string) string { return leaseFolder + "/" + key }

// under reports whether keys below the folder dir can begin with prefix and sort
// after the key after.
func under(dir, prefix, after string) bool {
	below := dir + "/"
	if !strings.HasPrefix(below, prefix) && !strings.HasPrefix(prefix, below) {
		return false
	}
	return after < below || strings.HasPrefix(after, below)
}
