package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"offsite/manifest/pack"
)

// Limits of the file table.
const (
	MaxPath        = 32 << 10 // bytes; Windows allows 32,767 UTF-16 units
	maxDirect      = 64       // chunk ids that stand in the row itself
	ListIDs        = 1024     // chunk ids of one chunk list: 16 KiB
	maxRow         = 1 << 20
	maxTableChunk  = 256 << 10
	tableMagic     = "offsite table v1\n"
	maxTableChunks = (4<<20 - 64) / 16 // the root is one chunk
)

// FileType says what a row of the file table stands for.
type FileType byte

// The types of rows. Sockets, pipes and devices are not stored.
const (
	File FileType = 1 + iota
	Folder
	Link
)

// Row is one line of the file table.
type Row struct {
	Type  FileType
	Path  string // relative, separated by slashes; bytes as the source had them
	Mode  uint32 // permission, setuid, setgid and sticky bits of Unix
	Mtime int64  // nanoseconds since 1970 UTC
	Owner *Owner // nil: the source's system has none
	Attrs uint32 // Windows file attributes; 0: none

	Size   int64    // of a file
	SHA256 [32]byte // of a file's bytes
	Target string   // of a link

	// Chunks holds the file's chunk ids, or, if Lists is set, the ids of chunks
	// that hold the chunk ids, ListIDs in each but the last.
	Chunks []pack.ChunkID
	Lists  bool
}

// Owner is the numeric owner of a file on Unix.
type Owner struct{ UID, GID uint32 }

const (
	flagLists = 1 << iota
	flagOwner
	flagAttrs
)

// AppendRow appends the row's bytes to b.
func AppendRow(b []byte, r *Row) ([]byte, error) {
	if err := r.validate(); err != nil {
		return b, fmt.Errorf("write row: %w", err)
	}
	var flags byte
	if r.Lists {
		flags |= flagLists
	}
	if r.Owner != nil {
		flags |= flagOwner
	}
	if r.Attrs != 0 {
		flags |= flagAttrs
	}
	body := make([]byte, 0, 96+len(r.Path)+len(r.Target)+16*len(r.Chunks))
	body = append(body, byte(r.Type), flags)
	body = binary.AppendUvarint(body, uint64(len(r.Path)))
	body = append(body, r.Path...)
	body = binary.AppendUvarint(body, uint64(r.Mode))
	body = binary.AppendVarint(body, r.Mtime)
	if r.Owner != nil {
		body = binary.AppendUvarint(body, uint64(r.Owner.UID))
		body = binary.AppendUvarint(body, uint64(r.Owner.GID))
	}
	if r.Attrs != 0 {
		body = binary.AppendUvarint(body, uint64(r.Attrs))
	}
	switch r.Type {
	case File:
		body = binary.AppendUvarint(body, uint64(r.Size))
		body = append(body, r.SHA256[:]...)
		body = binary.AppendUvarint(body, uint64(len(r.Chunks)))
		for _, id := range r.Chunks {
			body = append(body, id[:]...)
		}
	case Link:
		body = binary.AppendUvarint(body, uint64(len(r.Target)))
		body = append(body, r.Target...)
	}
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...), nil
}

// ReadRow reads one row from the front of b and returns the rest.
func ReadRow(b []byte) (*Row, []byte, error) {
	row, rest, err := readRow(b)
	if err != nil {
		return nil, nil, fmt.Errorf("read row: %w", err)
	}
	return row, rest, nil
}

func readRow(b []byte) (*Row, []byte, error) {
	f := fields{b: b}
	n := f.uvarint(maxRow)
	body := f.take(n)
	if f.err != nil {
		return nil, nil, f.err
	}
	rest := f.b
	f = fields{b: body}
	var r Row
	r.Type = FileType(f.byte())
	flags := f.byte()
	if flags&^(flagLists|flagOwner|flagAttrs) != 0 {
		return nil, nil, errors.New("unknown flag")
	}
	r.Lists = flags&flagLists != 0
	r.Path = string(f.take(f.uvarint(MaxPath)))
	r.Mode = uint32(f.uvarint(1<<32 - 1))
	r.Mtime = f.varint()
	if flags&flagOwner != 0 {
		r.Owner = &Owner{UID: uint32(f.uvarint(1<<32 - 1)), GID: uint32(f.uvarint(1<<32 - 1))}
	}
	if flags&flagAttrs != 0 {
		r.Attrs = uint32(f.uvarint(1<<32 - 1))
		if r.Attrs == 0 && f.err == nil {
			return nil, nil, errors.New("empty attributes")
		}
	}
	switch r.Type {
	case File:
		r.Size = int64(f.uvarint(1<<62 - 1))
		copy(r.SHA256[:], f.take(uint64(len(r.SHA256))))
		n := f.uvarint(maxRow / 16)
		ids := f.take(16 * n)
		if f.err == nil && n > 0 {
			r.Chunks = make([]pack.ChunkID, n)
			for i := range r.Chunks {
				copy(r.Chunks[i][:], ids[16*i:])
			}
		}
	case Link:
		r.Target = string(f.take(f.uvarint(MaxPath)))
	case Folder:
	default:
		return nil, nil, errors.New("unknown type")
	}
	if f.err != nil {
		return nil, nil, f.err
	}
	if len(f.b) != 0 {
		return nil, nil, errors.New("bytes behind the last field")
	}
	if err := r.validate(); err != nil {
		return nil, nil, err
	}
	return &r, rest, nil
}

func (r *Row) validate() error {
	if err := ValidPath(r.Path); err != nil {
		return err
	}
	switch r.Type {
	case File:
		if r.Size < 0 || (r.Size == 0) != (len(r.Chunks) == 0) {
			return errors.New("size and chunks disagree")
		}
		if !r.Lists && len(r.Chunks) > maxDirect {
			return errors.New("too many chunk ids in the row")
		}
		if r.Lists && (len(r.Chunks) == 0 || len(r.Chunks) > maxRow/32) {
			return errors.New("too few or too many chunk lists")
		}
		if r.Target != "" {
			return errors.New("a file with a link target")
		}
	case Folder, Link:
		if r.Size != 0 || r.Chunks != nil || r.Lists || r.SHA256 != [32]byte{} {
			return errors.New("a folder or link with content")
		}
		if (r.Type == Link) != (r.Target != "") {
			return errors.New("link and target disagree")
		}
		if len(r.Target) > MaxPath || strings.ContainsRune(r.Target, 0) {
			return errors.New("bad link target")
		}
	default:
		return errors.New("unknown type")
	}
	return nil
}

// ValidPath says whether p may stand in a file table: relative, not empty, no
// empty, "." or ".." segment, no NUL. What else a name may be depends on where it
// is restored to, and is judged there.
func ValidPath(p string) error {
	if p == "" || len(p) > MaxPath {
		return errors.New("path is empty or too long")
	}
	if strings.IndexByte(p, 0) >= 0 {
		return errors.New("path holds a NUL")
	}
	for s := range strings.SplitSeq(p, "/") {
		if s == "" || s == "." || s == ".." {
			return errors.New("path has an empty, . or .. segment")
		}
	}
	return nil
}

// AppendRoot writes the root chunk of a file table: the ids of the chunks that
// hold its rows, in order.
func AppendRoot(b []byte, chunks []pack.ChunkID) ([]byte, error) {
	if len(chunks) > maxTableChunks {
		return nil, fmt.Errorf("write file table: %d chunks are more than the root holds (%d)", len(chunks), maxTableChunks)
	}
	b = append(b, tableMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(chunks)))
	for _, id := range chunks {
		b = append(b, id[:]...)
	}
	return b, nil
}

// ParseRoot reads what AppendRoot writes.
func ParseRoot(b []byte) ([]pack.ChunkID, error) {
	rest, ok := strings.CutPrefix(string(b), tableMagic)
	if !ok || len(rest) < 4 {
		return nil, errors.New("read file table: not a version 1 root")
	}
	n := int(binary.LittleEndian.Uint32([]byte(rest)))
	rest = rest[4:]
	if n > maxTableChunks || len(rest) != 16*n {
		return nil, errors.New("read file table: root has another length than it says")
	}
	ids := make([]pack.ChunkID, n)
	for i := range ids {
		copy(ids[i][:], rest[16*i:])
	}
	return ids, nil
}

// ParseList reads a chunk list: chunk ids one behind the other.
func ParseList(b []byte) ([]pack.ChunkID, error) {
	if len(b) == 0 || len(b)%16 != 0 || len(b) > 16*ListIDs {
		return nil, errors.New("read chunk list: bad length")
	}
	ids := make([]pack.ChunkID, len(b)/16)
	for i := range ids {
		copy(ids[i][:], b[16*i:])
	}
	return ids, nil
}

// TableBuilder writes a file table chunk by chunk, in one pass and little memory.
// A chunk of the table ends behind a row.
type TableBuilder struct {
	// Put stores one chunk of the table or of a chunk list and returns its id.
	Put func(plain []byte) (pack.ChunkID, error)
	// Cut says, by the path of a row, whether a chunk ends behind it. It must be
	// keyed, and about one path in a hundred should say yes, so that a changed row
	// changes one chunk and chunk sizes betray nothing about names.
	Cut func(path string) bool

	buf    []byte
	last   string
	rows   int64
	chunks []pack.ChunkID
}

// Add appends a row. Rows come in ascending order of their paths' bytes. The row's
// Chunks are the file's own chunk ids, however many; Add makes lists of them.
func (t *TableBuilder) Add(r Row) error {
	if t.rows > 0 && r.Path <= t.last {
		return errors.New("write file table: rows are not in order")
	}
	if r.Type == File && len(r.Chunks) > maxDirect {
		lists, err := t.putLists(r.Chunks)
		if err != nil {
			return err
		}
		r.Chunks, r.Lists = lists, true
	}
	var err error
	if t.buf, err = AppendRow(t.buf, &r); err != nil {
		return err
	}
	t.rows++
	t.last = r.Path
	if len(t.buf) >= maxTableChunk || t.Cut(r.Path) {
		return t.flush()
	}
	return nil
}

func (t *TableBuilder) putLists(ids []pack.ChunkID) ([]pack.ChunkID, error) {
	var lists []pack.ChunkID
	buf := make([]byte, 0, 16*ListIDs)
	for len(ids) > 0 {
		n := min(len(ids), ListIDs)
		buf = buf[:0]
		for _, id := range ids[:n] {
			buf = append(buf, id[:]...)
		}
		id, err := t.Put(buf)
		if err != nil {
			return nil, err
		}
		lists = append(lists, id)
		ids = ids[n:]
	}
	return lists, nil
}

func (t *TableBuilder) flush() error {
	if len(t.buf) == 0 {
		return nil
	}
	id, err := t.Put(t.buf)
	if err != nil {
		return err
	}
	t.chunks = append(t.chunks, id)
	t.buf = t.buf[:0]
	return nil
}

// Finish writes the last chunk and the root, and returns what a record says of
// the table.
func (t *TableBuilder) Finish() (Table, error) {
	if err := t.flush(); err != nil {
		return Table{}, err
	}
	root, err := AppendRoot(nil, t.chunks)
	if err != nil {
		return Table{}, err
	}
	id, err := t.Put(root)
	if err != nil {
		return Table{}, err
	}
	return Table{Root: id.String(), Chunks: int64(len(t.chunks)), Rows: t.rows}, nil
}

// fields reads hostile bytes field by field; after the first error every further
// read gives zero.
type fields struct {
	b   []byte
	err error
}

func (f *fields) fail(what string) {
	if f.err == nil {
		f.err = errors.New(what)
	}
	f.b = nil
}

func (f *fields) byte() byte {
	s := f.take(1)
	if len(s) == 0 {
		return 0
	}
	return s[0]
}

func (f *fields) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(f.b)
	switch {
	case n <= 0:
		f.fail("bad number")
	case v > limit:
		f.fail("number over its limit")
	case n > 1 && f.b[n-1] == 0:
		f.fail("number in a longer form than needed")
	default:
		f.b = f.b[n:]
		return v
	}
	return 0
}

func (f *fields) varint() int64 {
	u := f.uvarint(1<<64 - 1)
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.b)) {
		f.fail("row is cut short")
		return nil
	}
	s := f.b[:n]
	f.b = f.b[n:]
	return s
}
