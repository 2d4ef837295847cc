package structure

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
)

// zipWalk follows the entries of a ZIP from its begin, proves what it may unpack,
// and looks at the directory at the end.
type zipWalk struct {
	allowed int64 // packed bytes that may still be unpacked
	head    []byte
	skip    int64 // name and extra field of the entry
	left    int64 // of the entry's data
	method  uint16
	sum     uint32 // that the entry must have
	got     uint32 // that what is not packed has so far
	part    bool   // not all of the entry is unpacked
	open    bool   // the length of the entry is not known before its end
	tail    []byte // of such an entry, what stands behind its data
	stream  *unpacker
	inflate inflater
	done    bool // nothing more can be followed
	broken  bool
}

const (
	zipHead = 30
	// zipBehind is the longest that stands between the data of an entry and the next: a
	// mark, the checksum, two lengths of eight bytes, and the begin of what follows.
	zipBehind = 4 + 4 + 16 + 2
	// What is packed in a way that is not known here, or locked.
	zipStored, zipDeflated, zipOther = 0, 8, 0xffff
)

func (z *zipWalk) write(_ int64, p []byte) {
	for len(p) > 0 && !z.done && !z.broken {
		p = p[z.step(p):]
	}
}

// step takes some of p and returns how much.
func (z *zipWalk) step(p []byte) (n int) {
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
	case z.open:
		return z.unknown(p)
	default:
		n = int(min(z.left, int64(len(p))))
		if z.left -= int64(n); z.method == zipStored {
			z.got = crc32.Update(z.got, crc32.IEEETable, p[:n])
		}
		if z.stream != nil {
			z.stream.write(p[:min(int64(n), z.allowed)])
			z.allowed -= min(int64(n), z.allowed)
			z.broken = z.stream.wrong()
		}
	}
	if len(z.head) == zipHead && z.skip == 0 && z.left == 0 && !z.open {
		z.prove()
	}
	return n
}

// entry reads the head of an entry.
func (z *zipWalk) entry() {
	le := binary.LittleEndian
	flags := le.Uint16(z.head[6:])
	z.method, z.sum, z.got = le.Uint16(z.head[8:]), le.Uint32(z.head[14:]), 0
	z.left = int64(le.Uint32(z.head[18:]))
	z.skip = int64(le.Uint16(z.head[26:])) + int64(le.Uint16(z.head[28:]))
	z.open = flags&8 != 0 && z.left == 0
	if flags&1 != 0 || z.method != zipStored && z.method != zipDeflated {
		z.method = zipOther
	}
	switch {
	case z.left == undefined, z.open && z.method != zipDeflated:
		z.done = true // the length is elsewhere
	case z.method == zipDeflated && z.allowed > 0:
		z.part = !z.open && z.left > z.allowed
		z.stream = newUnpacker(z.inflate.open, z.allowed)
	case z.open:
		z.done = true
	case z.method == zipDeflated:
		z.method = zipOther
	}
}

// unknown takes bytes of an entry whose length stands behind it: it ends where its
// packed stream does.
func (z *zipWalk) unknown(p []byte) int {
	if z.stream != nil {
		n := z.stream.write(p[:min(int64(len(p)), z.allowed)])
		z.allowed -= int64(n)
		switch {
		case z.stream.whole():
			z.got, z.tail = z.stream.sum, z.tail[:0]
			z.end()
		case z.stream.done, z.allowed == 0:
			z.broken = z.stream.wrong()
			z.done = true // where the next begins is not known
			z.end()
		}
		return n
	}
	n := min(zipBehind-len(z.tail), len(p))
	had := len(z.tail)
	z.tail = append(z.tail, p[:n]...)
	if len(z.tail) < zipBehind {
		return n
	}
	b := z.tail
	if string(b[:4]) == "PK\x07\x08" {
		b = b[4:]
	}
	if binary.LittleEndian.Uint32(b) != z.got {
		z.broken = true
		return n
	}
	for _, size := range []int{4 + 8, 4 + 16} { // lengths of 4 or of 8 bytes
		if string(b[size:][:min(2, len(b)-size)]) == "PK" {
			z.open, z.head = false, z.head[:0]
			used := len(z.tail) - len(b) + size
			if used < had { // what came before belongs to the next head
				z.head = append(z.head, z.tail[used:had]...)
				used = had
			}
			return used - had
		}
	}
	z.done = true
	return n
}

// end closes the stream of an entry.
func (z *zipWalk) end() {
	if z.stream != nil {
		z.stream.close()
		z.stream = nil
	}
}

// prove judges an entry that has come to its end.
func (z *zipWalk) prove() {
	switch {
	case z.method == zipStored:
		z.broken = z.got != z.sum
	case z.stream != nil:
		s := z.stream
		z.broken = z.broken || s.wrong() || !z.part && (s.whole() && s.sum != z.sum || !s.done && z.total() > 0)
		z.end()
	}
	z.head = z.head[:0]
}

func (z *zipWalk) total() int64 { return int64(binary.LittleEndian.Uint32(z.head[18:])) }

func (z *zipWalk) finish(v *view) State {
	z.end()
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

// gzipWalk unpacks as much of a gzip file as it may, to the checksum at its end.
type gzipWalk struct {
	allowed, size int64
	stream        *unpacker
}

func newGzip(size, allowed int64) *gzipWalk {
	g := &gzipWalk{allowed: min(allowed, size), size: size}
	if g.allowed > 0 {
		g.stream = newUnpacker(func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }, g.allowed)
	}
	return g
}

func (g *gzipWalk) write(off int64, p []byte) {
	if g.stream != nil && off < g.allowed {
		g.stream.write(p[:min(int64(len(p)), g.allowed-off)])
	}
}

func (g *gzipWalk) finish(*view) State {
	if g.stream == nil {
		return Sound // as far as its begin goes
	}
	g.stream.close()
	switch {
	case g.stream.wrong():
		return Broken
	case errors.Is(g.stream.err, io.ErrUnexpectedEOF) && g.allowed == g.size:
		return Short
	}
	return Sound // as far as it was unpacked
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
