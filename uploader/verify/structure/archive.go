package structure

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

const (
	// maxInflate bounds what is held of one packed stream to be unpacked, and so the
	// memory. A stream that is longer is proved as far as that.
	maxInflate = 1 << 20
	// maxUnpacked ends the unpacking of what only grows.
	maxUnpacked = 64 << 20
)

// zipWalk follows the entries of a ZIP from its begin, proves what it may unpack,
// and looks at the directory at the end.
type zipWalk struct {
	allowed int64 // packed bytes that may still be unpacked
	head    []byte
	skip    int64 // name and extra field of the entry
	left    int64 // of the entry's data
	hold    []byte
	room    int // how much of the data is held
	method  uint16
	sum     uint32
	open    bool // the length of the entry is not known before its end
	done    bool // nothing more to follow
	broken  bool
}

const zipHead = 30

func (z *zipWalk) write(_ int64, p []byte) {
	for len(p) > 0 && !z.done && !z.broken {
		var n int
		switch {
		case len(z.head) < zipHead:
			n = min(zipHead-len(z.head), len(p))
			z.head = append(z.head, p[:n]...)
			if len(z.head) >= 4 && string(z.head[:4]) != "PK\x03\x04" {
				z.done = true // the directory, or what the end will show
				z.broken = string(z.head[:2]) != "PK"
			}
			if len(z.head) == zipHead && !z.done {
				z.entry()
			}
		case z.skip > 0:
			n = int(min(z.skip, int64(len(p))))
			z.skip -= int64(n)
		default:
			n = int(min(z.left, int64(len(p))))
			z.hold = append(z.hold, p[:min(n, z.room-len(z.hold))]...)
			z.left -= int64(n)
		}
		p = p[n:]
		if len(z.head) == zipHead && z.skip == 0 && (z.left == 0 || z.open && len(z.hold) == z.room) {
			z.prove()
			z.head, z.hold = z.head[:0], z.hold[:0]
			z.done = z.done || z.open
		}
	}
}

// entry reads the head of an entry.
func (z *zipWalk) entry() {
	le := binary.LittleEndian
	flags := le.Uint16(z.head[6:])
	z.method, z.sum = le.Uint16(z.head[8:]), le.Uint32(z.head[14:])
	z.left = int64(le.Uint32(z.head[18:]))
	z.skip = int64(le.Uint16(z.head[26:])) + int64(le.Uint16(z.head[28:]))
	z.open = flags&8 != 0 && z.left == 0
	if flags&1 != 0 || z.method != 0 && z.method != 8 {
		z.method = 0xffff // locked, or packed in another way
	}
	if z.left == undefined {
		z.done = true // the length is elsewhere
		return
	}
	z.room = int(min(z.left, z.allowed, maxInflate))
	if z.open {
		z.left = 1 << 62
		z.room = int(min(z.allowed, maxInflate))
	}
	if z.method == 0xffff || z.open && z.method != 8 {
		z.room = 0
	}
	z.allowed -= int64(z.room)
}

// prove unpacks what is held of an entry.
func (z *zipWalk) prove() {
	switch {
	case z.room == 0:
	case z.open:
		z.broken = !streamed(z.hold)
	case z.method == 0:
		z.broken = len(z.hold) < z.room || int64(z.room) == z.total() && crc32.ChecksumIEEE(z.hold) != z.sum
	default:
		z.broken = !inflates(flate.NewReader(bytes.NewReader(z.hold)), int64(z.room) == z.total(), z.sum)
	}
}

// streamed proves entries whose length stands behind them, as far as they are held:
// the end of an entry is where its packed stream ends. b begins with such a stream.
func streamed(b []byte) bool {
	le := binary.LittleEndian
	for {
		r, sum := bytes.NewReader(b), crc32.NewIEEE()
		n, err := io.Copy(sum, io.LimitReader(flate.NewReader(r), maxUnpacked))
		if n == maxUnpacked || errors.Is(err, io.ErrUnexpectedEOF) {
			return true // the rest is not held
		}
		if err != nil {
			return false
		}
		b = b[len(b)-r.Len():]
		if len(b) >= 4 && string(b[:4]) == "PK\x07\x08" {
			b = b[4:]
		}
		if len(b) < 12 {
			return true
		}
		if le.Uint32(b) != sum.Sum32() {
			return false
		}
		next := bytes.Index(b[:min(len(b), 24)], []byte("PK")) // sizes of 4 or of 8 bytes
		if next < 0 {
			return len(b) < 24
		}
		if b = b[next:]; len(b) < zipHead || string(b[:4]) != "PK\x03\x04" {
			return true // the directory, or not held
		}
		skip := zipHead + int(le.Uint16(b[26:])) + int(le.Uint16(b[28:]))
		if le.Uint16(b[6:])&8 == 0 || le.Uint16(b[8:]) != 8 || skip > len(b) {
			return true
		}
		b = b[skip:]
	}
}

func (z *zipWalk) total() int64 { return int64(binary.LittleEndian.Uint32(z.head[18:])) }

// inflates reads r to its end. A stream that is not held whole may end early, but
// must not hold what no packer writes.
func inflates(r io.Reader, whole bool, sum uint32) bool {
	h := crc32.NewIEEE()
	n, err := io.Copy(h, io.LimitReader(r, maxUnpacked))
	switch {
	case n == maxUnpacked:
		return true
	case whole:
		return err == nil && h.Sum32() == sum
	}
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF)
}

func (z *zipWalk) finish(v *view) State {
	if z.open && !z.done && len(z.hold) > 0 {
		z.prove()
	}
	if z.broken {
		return Broken
	}
	end := bytes.LastIndex(v.tail, []byte("PK\x05\x06"))
	if end < 0 || len(v.tail)-end < 22 {
		return Short
	}
	le := binary.LittleEndian
	size, at := int64(le.Uint32(v.tail[end+12:])), int64(le.Uint32(v.tail[end+16:]))
	count := int(le.Uint16(v.tail[end+10:]))
	if at == undefined || size == undefined || count == 0xffff {
		return Sound // written in the long form
	}
	begin := v.size - int64(len(v.tail)) + int64(end) - size // where it stands even if something was put before the file
	if at > begin || begin < 0 {
		return Broken
	}
	dir := v.at(begin)
	if dir == nil {
		return Sound // out of sight
	}
	for dir = dir[:size]; count > 0; count-- {
		if len(dir) < 46 || string(dir[:4]) != "PK\x01\x02" {
			return Broken
		}
		n := 46 + int(le.Uint16(dir[28:])) + int(le.Uint16(dir[30:])) + int(le.Uint16(dir[32:]))
		if n > len(dir) || int64(le.Uint32(dir[42:])) > v.size && le.Uint32(dir[42:]) != undefined {
			return Broken
		}
		dir = dir[n:]
	}
	return Sound
}

// gzipWalk unpacks as much of a gzip file as it may.
type gzipWalk struct {
	allowed, size int64
	hold          []byte
}

func (g *gzipWalk) write(_ int64, p []byte) {
	room := min(g.allowed, g.size, maxWholeGzip)
	if room < g.size {
		room = min(room, maxInflate)
	}
	g.hold = append(g.hold, p[:min(int64(len(p)), room-int64(len(g.hold)))]...)
}

// maxWholeGzip is how long a gzip file may be to be proved to its end, where its
// checksum stands.
const maxWholeGzip = 8 << 20

func (g *gzipWalk) finish(v *view) State {
	if len(g.hold) == 0 {
		return Unknown
	}
	r, err := gzip.NewReader(bytes.NewReader(g.hold))
	if err != nil {
		return Broken
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxUnpacked))
	switch early := errors.Is(err, io.ErrUnexpectedEOF); {
	case n == maxUnpacked, err == nil:
		return Sound
	case early && int64(len(g.hold)) == v.size:
		return Short
	case early:
		return Sound // as far as it is held
	}
	return Broken
}

// sevenZipWalk looks at the head of a 7z file, which says how long the file is.
type sevenZipWalk struct{}

func (sevenZipWalk) write(int64, []byte) {}

func (sevenZipWalk) finish(v *view) State {
	le := binary.LittleEndian
	if len(v.head) < 32 {
		return Short
	}
	if crc32.ChecksumIEEE(v.head[12:32]) != le.Uint32(v.head[8:]) {
		return Broken
	}
	offset, size := le.Uint64(v.head[12:]), le.Uint64(v.head[20:])
	if offset > 1<<62 || size > 1<<62 || offset+size+32 > uint64(v.size) {
		return Short
	}
	return Sound
}
