package source

import (
	"context"
	"errors"
	"sync"
	"time"
)

// SameEntry gives tests the comparison that no file system here can provoke
// alone: on one that keeps change times and ids, these differ as well.
var SameEntry = sameEntry

// Spelled is how the names of live folders are compared where no ids tell.
var Spelled = spelled

// World is a source that exists in a test alone, so that hours of writing take no
// time. Its fields are changed through Do.
type World struct {
	mu     sync.Mutex
	files  map[string]Entry
	Name   string // of the newest set
	Volume Volume
	Open   int  // files that some program holds open
	Sure   bool // the test for open files finds every writer
	Zeros  bool // the newest large file ends in zeros
	Skew   time.Duration
	Looks  int
	gone   error
}

// NewWorld makes a world with one file that is so old.
func NewWorld(age time.Duration) *World {
	w := &World{files: map[string]Entry{}, Volume: Volume{Type: "ntfs", Serial: "1"}}
	w.Write("old", 1<<20)
	w.Shift(-age)
	return w
}

// Do changes the world.
func (w *World) Do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// Write gives a file a size, now.
func (w *World) Write(name string, size int64) {
	w.Do(func() {
		now := time.Now().Add(w.Skew).UnixNano()
		w.files[name] = Entry{Path: name, Size: size, ModTime: now, ChangeTime: now, Type: TypeFile, ID: w.files[name].ID}
	})
}

// Remove removes a file.
func (w *World) Remove(name string) { w.Do(func() { delete(w.files, name) }) }

// Shift moves the times of all files, and keeps their change times away from a file
// system that has none.
func (w *World) Shift(d time.Duration) {
	w.Do(func() {
		for name, e := range w.files {
			e.ModTime += int64(d)
			e.ChangeTime += int64(d)
			if w.Volume.Coarse {
				e.ChangeTime = 0
			}
			w.files[name] = e
		}
	})
}

// Vanish makes every look fail, until it is called with nil.
func (w *World) Vanish(err error) { w.Do(func() { w.gone = err }) }

func (w *World) look(context.Context) (Set, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Looks++
	if w.gone != nil {
		return Set{}, w.gone
	}
	if len(w.files) == 0 {
		return Set{}, errors.Join(ErrRootEmpty)
	}
	top := &folder{}
	for _, e := range w.files {
		top.entries = append(top.entries, e)
	}
	top.sort()
	d := &data{timed: true, name: w.Name, volumes: []Volume{w.Volume}}
	d.assemble(top, len(w.files))
	return Set{d}, nil
}

func (w *World) writers(context.Context, Set) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Open, w.Sure
}

func (w *World) unwritten(Set) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Zeros
}

// WaitIn is Wait in such a world.
func WaitIn(ctx context.Context, w *World, opt WaitOptions) (Set, error) {
	opt.eyes = w
	return Wait(ctx, opt)
}
