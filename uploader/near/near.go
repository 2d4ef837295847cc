// Package near keeps copies of small objects that never change in a folder of this
// PC, so that a nightly run asks a store for them once and not every night.
//
// It promises that what it gives is what it was given: each copy is stored with its
// hash, and one that is damaged is forgotten. It may be emptied at any time. It
// holds nothing that the store does not: sealed objects stay sealed.
//
// It refuses to grow for ever: Trim removes what was not asked for since Open.
package near

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"offsite/providers"
	"offsite/uploader/statefile"
)

// Folder is a cache in a folder. Safe for concurrent use.
type Folder struct {
	path string

	mu   sync.Mutex
	used map[string]bool // names of files that were asked for, or put
}

var _ providers.Cache = (*Folder)(nil)

// Open makes the folder if it is missing.
func Open(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of copies: %w", err)
	}
	return &Folder{path: path, used: make(map[string]bool)}, nil
}

// name is the file of one version of a key.
func (f *Folder) name(key string, v providers.Version) string {
	sum := sha256.Sum256([]byte(key + "\x00" + string(v)))
	return hex.EncodeToString(sum[:])
}

// Get returns a copy, if there is one and it is whole.
func (f *Folder) Get(key string, v providers.Version) ([]byte, bool) {
	name := f.name(key, v)
	b, err := os.ReadFile(filepath.Join(f.path, name))
	if err != nil || len(b) < sha256.Size {
		return nil, false
	}
	data, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := f.sum(name, data); !bytes.Equal(sum, want[:]) {
		return nil, false // the next Put replaces it
	}
	f.touch(name)
	return data, true
}

// sum binds a copy to its name too, so that files that were mixed up are not taken
// for one another.
func (f *Folder) sum(name string, data []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write(data)
	return [sha256.Size]byte(h.Sum(nil))
}

// Put keeps a copy. What cannot be written is not kept; that costs a request.
func (f *Folder) Put(key string, v providers.Version, data []byte) {
	name := f.name(key, v)
	sum := f.sum(name, data)
	if statefile.Replace(filepath.Join(f.path, name), data, sum[:]) == nil {
		f.touch(name)
	}
}

func (f *Folder) touch(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used[name] = true
}

// Trim removes the copies that nobody asked for since Open. It is for the end of a
// run that looked at everything it needs.
func (f *Folder) Trim() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("trim folder of copies: %w", err)
	}
	for _, e := range entries {
		if f.used[e.Name()] || e.IsDir() {
			continue
		}
		if err := os.Remove(filepath.Join(f.path, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("trim folder of copies: %w", err)
		}
	}
	return nil
}
