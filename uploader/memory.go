package uploader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"

	"offsite/manifest/pack"
	"offsite/uploader/chunk"
	"offsite/uploader/statefile"
)

// memory is what this PC remembers of the files of the last committed set, so
// that an unchanged file need not be read again. It holds no names: a file is
// found by the keyed hash of its path. It may be lost or thrown away at any time;
// the next run then reads everything once and stores nothing twice.
type memory struct {
	block []byte
	at    map[[8]byte]uint32 // first half of the path's hash -> offset of its entry
}

// remembered is one file of the last committed set.
type remembered struct {
	Size    int64
	Mtime   int64 // ns
	Changed int64 // ns; the file system's own change time, 0 where it has none
	ID      uint64
	Read    int64 // when it was last read, seconds since 1970
	Kind    chunk.Kind
	Partly  uint8 // how often in a row it had changed in part; at most 15
	SHA256  [32]byte
	ids     []byte // chunk ids one behind the other
}

func (r *remembered) chunks() int { return len(r.ids) / 16 }

func (r *remembered) chunk(i int) (id pack.ChunkID) {
	copy(id[:], r.ids[16*i:])
	return id
}

func chunkIDs(b []byte) []pack.ChunkID {
	ids := make([]pack.ChunkID, len(b)/16)
	for i := range ids {
		copy(ids[i][:], b[16*i:])
	}
	return ids
}

const (
	memoryMagic  = "offsite files v1\n"
	memoryFixed  = 16 + 4 + 1 + 5*8 + 32 // hash, chunk count, kind and how often partly changed, five numbers, SHA-256
	maxMemory    = 4<<30 - 1             // offsets are 32 bits: some 30 million files
	memoryTrails = 4                     // CRC-32C of all before it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// memoryHead is how the memory of this source begins: that of another source must
// not speak for files that happen to have the same names, sizes and dates.
func (r *run) memoryHead() string {
	return memoryMagic + r.cfg.Key.Repository + " " + r.cfg.Source + "\n"
}

// loadMemory reads the file at path. A missing, damaged or foreign one is an empty
// memory: that costs reading, never correctness.
func loadMemory(path, head string) (*memory, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &memory{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read local state: %w", err)
	}
	m, ok := parseMemory(b, head)
	if !ok {
		return &memory{}, nil
	}
	return m, nil
}

func parseMemory(b []byte, head string) (*memory, bool) {
	n := len(b) - memoryTrails
	if n < len(head) || len(b) > maxMemory || string(b[:len(head)]) != head ||
		crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, false
	}
	m := &memory{block: b[:n], at: make(map[[8]byte]uint32, n/128)}
	for off := len(head); off < n; {
		if n-off < memoryFixed {
			return nil, false
		}
		count := int(binary.LittleEndian.Uint32(b[off+16:]))
		end := off + memoryFixed + 16*count
		if count > n/16 || end > n {
			return nil, false
		}
		m.at[[8]byte(b[off:])] = uint32(off)
		off = end
	}
	return m, true
}

// find returns what is remembered of the file whose path has this hash.
func (m *memory) find(hash [16]byte) (remembered, bool) {
	off, ok := m.at[[8]byte(hash[:])]
	if !ok {
		return remembered{}, false
	}
	b := m.block[off:]
	if [16]byte(b) != hash {
		return remembered{}, false // two paths share the first half; one of them is read again
	}
	le := binary.LittleEndian
	count := int(le.Uint32(b[16:]))
	r := remembered{Kind: chunk.Kind(b[20] & 15), Partly: b[20] >> 4}
	b = b[21:]
	for _, f := range []*int64{&r.Size, &r.Mtime, &r.Changed, &r.Read} {
		*f = int64(le.Uint64(b))
		b = b[8:]
	}
	r.ID = le.Uint64(b)
	copy(r.SHA256[:], b[8:])
	r.ids = b[40 : 40+16*count : 40+16*count]
	return r, true
}

// memoryWriter collects the entries of the next memory.
type memoryWriter struct{ b []byte }

func newMemoryWriter(head string, files int) *memoryWriter {
	w := &memoryWriter{b: make([]byte, 0, len(head)+files*(memoryFixed+32)+memoryTrails)}
	w.b = append(w.b, head...)
	return w
}

func (w *memoryWriter) add(hash [16]byte, r remembered, ids []pack.ChunkID) {
	le := binary.LittleEndian
	w.b = append(w.b, hash[:]...)
	w.b = le.AppendUint32(w.b, uint32(len(ids)))
	w.b = append(w.b, byte(r.Kind)|r.Partly<<4)
	for _, v := range []uint64{uint64(r.Size), uint64(r.Mtime), uint64(r.Changed), uint64(r.Read), r.ID} {
		w.b = le.AppendUint64(w.b, v)
	}
	w.b = append(w.b, r.SHA256[:]...)
	for i := range ids {
		w.b = append(w.b, ids[i][:]...)
	}
}

// save replaces the memory at path.
func (w *memoryWriter) save(path string) error {
	if len(w.b) > maxMemory {
		return errors.New("write local state: more files than it holds")
	}
	w.b = binary.LittleEndian.AppendUint32(w.b, crc32.Checksum(w.b, castagnoli))
	if err := statefile.Replace(path, w.b); err != nil {
		return fmt.Errorf("write local state: %w", err)
	}
	return nil
}
