package restore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
)

// LostRows is the error for a part of the file table that cannot be read: the rows
// of one of its chunks, or those behind a row that is wrong. How many they are is
// not known. It is an ErrDamaged.
type LostRows struct {
	Chunk, Of int // which of the table's chunks
	Err       error
}

// Error names no path.
func (l *LostRows) Error() string {
	return fmt.Sprintf("rows of the file table are lost (part %d of %d): %v", l.Chunk+1, l.Of, l.Err)
}

// Unwrap gives ErrDamaged and the cause.
func (l *LostRows) Unwrap() []error { return []error{ErrDamaged, l.Err} }

// Entries yields every entry in the order of the bytes of their paths, one chunk of
// the file table in memory at a time. A *LostRows does not end the sequence: what
// follows it are the entries behind the lost ones. Any other error ends it.
func (s *Snapshot) Entries(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for row, err := range s.rows(ctx, s.newChunks(), 0) {
			var e Entry
			if err == nil {
				e = *row
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Under yields the entry with the path and, if it is a folder, what is below it. An
// empty path means everything. Errors are as with Entries.
func (s *Snapshot) Under(ctx context.Context, top string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r := s.newChunks()
		first := 0
		if top != "" {
			first = s.chunkBefore(ctx, r, top)
		}
		for row, err := range s.rows(ctx, r, first) {
			switch {
			case err != nil:
				if !yield(Entry{}, err) {
					return
				}
			case top == "" || row.Path == top || below(row.Path, top):
				if !yield(*row, nil) {
					return
				}
			case row.Path > top && !besides(row.Path, top):
				return
			}
		}
	}
}

// Find returns the entry with the path.
func (s *Snapshot) Find(ctx context.Context, path string) (Entry, bool, error) {
	var lost error
	for e, err := range s.Under(ctx, path) {
		switch {
		case err == nil && e.Path == path:
			return e, true, nil
		case err == nil:
			return Entry{}, false, lost // its rows come first
		case !isDamage(err):
			return Entry{}, false, err
		}
		lost = err
	}
	return Entry{}, false, lost
}

// below reports whether path is inside of folder.
func below(path, folder string) bool {
	return len(path) > len(folder) && path[len(folder)] == '/' && path[:len(folder)] == folder
}

// besides reports whether path sorts before what is inside of folder, as "a!" and
// "a.b" do between "a" and "a/b".
func besides(path, folder string) bool {
	return len(path) > len(folder) && path[len(folder)] <= '/' && path[:len(folder)] == folder
}

// chunkBefore returns the number of the last chunk of the table that can hold path,
// found by halving: each step reads the first row of one chunk. With damage in the
// way it is the first chunk.
func (s *Snapshot) chunkBefore(ctx context.Context, r *chunks, path string) int {
	damage := false
	n := sort.Search(len(s.table), func(i int) bool {
		b, err := r.read(ctx, s.table[i])
		if err == nil {
			var row *manifest.Row
			if row, _, err = manifest.ReadRow(b); err == nil {
				return row.Path > path
			}
		}
		damage = true
		return true
	})
	if damage {
		return 0
	}
	return max(n-1, 0)
}

// rows yields the rows from the table's chunk number first on. Each is a row of its
// own that stays valid.
func (s *Snapshot) rows(ctx context.Context, r *chunks, first int) iter.Seq2[*manifest.Row, error] {
	return func(yield func(*manifest.Row, error) bool) {
		last := ""
		for i := first; i < len(s.table); i++ {
			b, err := r.read(ctx, s.table[i])
			if err != nil && !isDamage(err) {
				yield(nil, fmt.Errorf("read file table: %w", err))
				return
			}
			b = bytes.Clone(b) // whoever gets the rows may read on with r
			for err == nil && len(b) > 0 {
				var row *manifest.Row
				row, b, err = manifest.ReadRow(b)
				if err == nil && row.Path <= last {
					err = errors.New("rows are out of order")
				}
				if err != nil {
					break
				}
				last = row.Path
				if !yield(row, nil) {
					return
				}
			}
			if err != nil && !yield(nil, &LostRows{i, len(s.table), err}) {
				return
			}
		}
	}
}

// chunkIDs yields the chunks of a file, its chunk lists resolved one at a time.
func (s *Snapshot) chunkIDs(ctx context.Context, r *chunks, e *Entry) iter.Seq2[pack.ChunkID, error] {
	return func(yield func(pack.ChunkID, error) bool) {
		for _, id := range e.Chunks {
			if !e.Lists {
				if !yield(id, nil) {
					return
				}
				continue
			}
			b, err := r.read(ctx, id)
			var ids []pack.ChunkID
			if err == nil {
				if ids, err = manifest.ParseList(b); err != nil {
					err = fmt.Errorf("%w: %w", ErrDamaged, err)
				}
			}
			if err != nil {
				yield(id, err)
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
		}
	}
}

// chunkNumber returns the id of one chunk of a file.
func (s *Snapshot) chunkNumber(ctx context.Context, r *chunks, e *Entry, n int) (pack.ChunkID, error) {
	if !e.Lists {
		return e.Chunks[n], nil
	}
	b, err := r.read(ctx, e.Chunks[n/manifest.ListIDs])
	if err != nil {
		return pack.ChunkID{}, err
	}
	ids, err := manifest.ParseList(b)
	if err != nil || n%manifest.ListIDs >= len(ids) {
		return pack.ChunkID{}, fmt.Errorf("%w: chunk list", ErrDamaged)
	}
	return ids[n%manifest.ListIDs], nil
}

// keptTable bounds the opened packs that a chunks keeps: the file table of a
// practice with 200,000 files, or one pack and the small ones of later days.
const keptTable = 24 << 20

// chunks reads single chunks of the file table. Nothing else proves a row, so packs
// are fetched whole and proved by their names; where one is damaged, what can still
// be opened of it is proved chunk by chunk. It belongs to one goroutine.
type chunks struct {
	s     *Snapshot
	packs []*tablePack // the last used one first
	size  int
}

type tablePack struct {
	*opened
	number int
	flawed error // why its name does not prove it; nil: it does
	frame  int   // the frame that data holds; -1: none
	data   []byte
	room   []byte
}

func (s *Snapshot) newChunks() *chunks { return &chunks{s: s} }

// read returns the bytes of a chunk, from whichever of its places is well. They
// are valid until the next read.
func (c *chunks) read(ctx context.Context, id pack.ChunkID) ([]byte, error) {
	var first error
	for l := range c.s.places(id) {
		b, err := c.readAt(ctx, l, id)
		if err == nil {
			return b, nil
		}
		if !isDamage(err) {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		_, first = c.s.locate(id)
	}
	return nil, first
}

func (c *chunks) readAt(ctx context.Context, l pack.Location, id pack.ChunkID) ([]byte, error) {
	p, err := c.pack(ctx, l)
	if err != nil {
		return nil, err
	}
	if p.opened == nil {
		return nil, p.flawed
	}
	i, err := p.frameAt(l.Frame)
	if err != nil {
		return nil, err
	}
	if p.frame != i {
		p.frame = -1
		if p.data, p.room, err = p.opened.frame(p.room, i); err != nil {
			return nil, err
		}
		p.frame = i
	}
	b, err := cut(p.data, l.Offset, l.Length)
	if err == nil && p.flawed != nil && !c.s.named(ctx, b, id) {
		return nil, p.flawed
	}
	return b, err
}

// pack returns the opened pack, from those that are kept if it is there.
func (c *chunks) pack(ctx context.Context, l pack.Location) (*tablePack, error) {
	at := slices.IndexFunc(c.packs, func(p *tablePack) bool { return p.number == l.PackNo })
	if at < 0 {
		p, err := c.open(ctx, l)
		if err != nil {
			return nil, err
		}
		c.packs = append(c.packs, p)
		c.size += p.size()
		at = len(c.packs) - 1
	}
	p := c.packs[at]
	copy(c.packs[1:at+1], c.packs[:at])
	c.packs[0] = p
	for len(c.packs) > 1 && c.size > keptTable {
		last := len(c.packs) - 1
		c.size -= c.packs[last].size()
		c.packs[last] = nil
		c.packs = c.packs[:last]
	}
	return p, nil
}

func (c *chunks) open(ctx context.Context, l pack.Location) (*tablePack, error) {
	p := &tablePack{number: l.PackNo, frame: -1}
	pin := c.s.source.pins[l.Pack.Name]
	var err error
	p.opened, err = c.s.source.whole(ctx, pin, true, new([]byte))
	if err == nil || !isDamage(err) {
		return p, err
	}
	p.flawed = err
	c.s.note(Damage{manifest.PackKey(pin.Name), err})
	if p.opened, err = c.s.source.part(ctx, pin); err != nil && !isDamage(err) {
		return nil, err
	}
	return p, nil
}

// size is about what is kept of the pack.
func (p *tablePack) size() int {
	if p.opened == nil {
		return 0
	}
	return len(p.plain) + headPiece + tailPiece
}

// named reports whether bytes have the name of a chunk. The naming secrets are read
// when they are needed first. That they come from the store does no harm: with
// secrets of a thief's choice, too, no other bytes have a name that the signed
// record leads to.
func (s *Snapshot) named(ctx context.Context, b []byte, id pack.ChunkID) bool {
	s.naming.Do(func() {
		sealed, err := s.source.store.Read(ctx, manifest.SecretsKey, "")
		if err != nil {
			return
		}
		text, err := s.source.opener.Open(sealed)
		if err != nil {
			return
		}
		defer clear(text)
		var signed struct {
			Payload struct {
				Secrets string `json:"secrets"`
			} `json:"payload"`
		}
		if json.Unmarshal(text, &signed) != nil {
			return
		}
		if secrets, err := seal.ParseSecrets([]byte(signed.Payload.Secrets)); err == nil {
			s.namer = secrets.Namer()
		}
	})
	return s.namer != nil && pack.ChunkID(s.namer.Chunk(b)) == id
}

// chosen says which entries are wanted.
type chosen struct {
	paths []string
	found []bool
}

// wants reports whether the entry was asked for, and whether it is a folder on the
// way to one that was.
func (c *chosen) wants(path string) (wanted, onTheWay bool) {
	if len(c.paths) == 0 {
		return true, false
	}
	for i, p := range c.paths {
		if path == p || below(path, p) {
			c.found[i], wanted = true, true
		}
		onTheWay = onTheWay || below(p, path)
	}
	return wanted, onTheWay
}

// newChosen takes paths as people type them. One that names the whole snapshot
// stands for no choice at all.
func newChosen(paths []string) *chosen {
	c := &chosen{}
	for _, p := range paths {
		p = strings.TrimPrefix(path.Clean("/"+filepath.ToSlash(p)), "/")
		if p == "" {
			return &chosen{}
		}
		c.paths = append(c.paths, p)
	}
	c.found = make([]bool, len(c.paths))
	return c
}
