package main

import (
	"bytes"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// encryptions are the ways in which ransomware writes over a file. Random bytes
// stand for cipher text.
var encryptions = [...]struct {
	name string
	do   func(b []byte, noise func([]byte))
}{
	{"whole", func(b []byte, noise func([]byte)) { noise(b) }},
	{"first 4 KiB", func(b []byte, noise func([]byte)) { noise(b[:min(len(b), 4096)]) }},
	{"every other 16 bytes", func(b []byte, noise func([]byte)) { alternate(b, noise) }},
	{"every other 16 bytes after 4 KiB", func(b []byte, noise func([]byte)) { alternate(b[min(len(b), 4096):], noise) }},
	{"4 KiB of every 64 KiB after 4 KiB", func(b []byte, noise func([]byte)) {
		for i := 4096; i < len(b); i += 64 << 10 {
			noise(b[i:min(i+4096, len(b))])
		}
	}},
}

func alternate(b []byte, noise func([]byte)) {
	for i := 0; i < len(b); i += 32 {
		noise(b[i:min(i+16, len(b))])
	}
}

// workshop changes files in a folder and puts everything back.
type workshop struct {
	rng    *rand.Rand
	noise  *rand.ChaCha8
	when   time.Time // the time that changed files get
	undo   []saved
	unseen bool // nobody could see what was done
	few    bool // it is less than 2 % of the set
	log    told // what the backup program says of it
}

// saved is a file as it was; nil data: it was not there.
type saved struct {
	path string
	data []byte
	time time.Time
}

func newWorkshop(seed uint64, when time.Time) *workshop {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return &workshop{rng: rand.New(rand.NewPCG(seed, 7)), noise: rand.NewChaCha8(key), when: when}
}

// keep remembers a file.
func (w *workshop) keep(path string) error {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		w.undo = append(w.undo, saved{path: path})
		return nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	w.undo = append(w.undo, saved{path, data, info.ModTime()})
	return nil
}

// restore puts everything back, the last change first.
func (w *workshop) restore() error {
	for i := len(w.undo) - 1; i >= 0; i-- {
		s := w.undo[i]
		if s.data == nil {
			if err := os.Remove(s.path); err != nil && !os.IsNotExist(err) {
				return err
			}
			continue
		}
		if err := writeAt(s.path, s.data, s.time); err != nil {
			return err
		}
	}
	w.undo = nil
	return nil
}

func writeAt(path string, data []byte, when time.Time) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if data == nil {
		data = []byte{}
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, when, when)
}

// edit rewrites a file.
func (w *workshop) edit(path string, do func([]byte) []byte) error {
	if err := w.keep(path); err != nil {
		return err
	}
	data := bytes.Clone(w.undo[len(w.undo)-1].data)
	return writeAt(path, do(data), w.when)
}

func (w *workshop) remove(path string) error {
	if err := w.keep(path); err != nil {
		return err
	}
	return os.Remove(path)
}

// encrypt damages a file in one of the ways. It reports whether that changed it.
func (w *workshop) encrypt(path string, way int) (changed bool, err error) {
	err = w.edit(path, func(b []byte) []byte {
		before := bytes.Clone(b)
		encryptions[way].do(b, func(p []byte) { w.noise.Read(p) })
		changed = !bytes.Equal(before, b)
		return b
	})
	return changed, err
}

// press makes smaller pictures of JPEG files. Packing all anew would take longer than
// all else, so beyond the first it takes one of those that it made, and tells them
// apart by a comment.
type press struct {
	made [][]byte
	n    int
}

const pressed = 50

func (p *press) small(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte("\xff\xd8\xff")) {
		return nil, nil
	}
	if len(p.made) < pressed {
		img, err := jpeg.Decode(bytes.NewReader(data))
		if err != nil {
			return nil, nil
		}
		var out bytes.Buffer
		if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 40}); err != nil {
			return nil, err
		}
		p.made = append(p.made, out.Bytes())
	}
	if p.n++; len(p.made) == 0 {
		return nil, nil
	}
	more, _ := realFile{name: "small", data: p.made[p.n%len(p.made)]}.again(p.n)
	return more.data, nil
}

// compress writes a JPEG anew with less quality, as a practice system does to save
// room. Anything else stays as it is.
func (w *workshop) compress(path string, p *press) (bool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	small, err := p.small(data)
	if err != nil || small == nil {
		return false, err
	}
	return true, w.edit(path, func([]byte) []byte { return small })
}
