package structure

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// pager hands on the first bytes of every page.
type pager struct {
	page int64 // bytes
	keep int   // bytes of each page
	part []byte
}

func (g *pager) write(off int64, p []byte, each func(number int64, begin []byte)) {
	end := off + int64(len(p))
	for number := off / g.page; number*g.page < end; number++ {
		at := number * g.page
		from, to := max(at-off, 0), min(at+int64(g.keep)-off, int64(len(p)))
		switch {
		case from >= to:
		case to-from == int64(g.keep):
			each(number, p[from:to])
		default:
			g.part = append(g.part, p[from:to]...)
			if len(g.part) == g.keep {
				each(number, g.part)
				g.part = g.part[:0]
			}
		}
	}
}

// oddPages is the share of pages, one in so many, that may look odd in a good
// database: pages that are no longer in use hold anything.
const oddPages = 100

// sqliteWalk looks at the begin of every page.
type sqliteWalk struct {
	pager
	maps       bool // pages with maps of pages are in use
	pages, odd int64
}

func newSQLite(head []byte) walker {
	size := int64(binary.BigEndian.Uint16(head[16:]))
	if size == 1 {
		size = 64 << 10
	}
	if size < 512 || size&(size-1) != 0 || len(head) < 100 {
		return oddWalk{}
	}
	return &sqliteWalk{pager: pager{page: size, keep: 32}, maps: binary.BigEndian.Uint32(head[52:]) != 0}
}

// oddWalk is for files whose head alone is wrong.
type oddWalk struct{}

func (oddWalk) write(int64, []byte) {}
func (oddWalk) finish(*view) State  { return Broken }

func (s *sqliteWalk) write(off int64, p []byte) {
	s.pager.write(off, p, func(number int64, b []byte) {
		if number == 0 {
			return
		}
		s.pages++
		if !s.plausible(b) {
			s.odd++
		}
	})
}

// plausible says whether a page may begin so.
func (s *sqliteWalk) plausible(b []byte) bool {
	head := 8
	switch b[0] {
	case 2, 5:
		head = 12
	case 10, 13:
	case 0: // the number of the page that goes on, or nothing
		return true
	case 1, 3, 4:
		return s.maps
	default:
		return false
	}
	if s.maps && b[0] == 5 {
		return true
	}
	cells := int64(binary.BigEndian.Uint16(b[3:]))
	if cells > s.page/4 {
		return false
	}
	for at := head; at+2 <= len(b) && cells > 0; at, cells = at+2, cells-1 {
		if c := int64(binary.BigEndian.Uint16(b[at:])); c >= s.page || c < int64(head) {
			return false
		}
	}
	return true
}

func (s *sqliteWalk) finish(v *view) State {
	be := binary.BigEndian
	if s.odd*oddPages > s.pages {
		return Broken
	}
	// The count in the head holds only if the program that changed the file last
	// knew of it.
	if be.Uint32(v.head[24:]) == be.Uint32(v.head[92:]) && int64(be.Uint32(v.head[28:]))*s.page > v.size {
		return Short
	}
	return Sound
}

// innoWalk proves number, change mark and checksum of every page of an InnoDB file.
type innoWalk struct {
	page       int
	full       bool // the newer form of checksum
	hold       []byte
	number     uint32
	pages, odd int
	declared   uint32 // pages that the file says it has
}

// somePages is one in how many pages of a long file the checksum is proved for: an
// odd number, for damage comes in powers of two.
const somePages = 3

// isInnoDB says whether a file begins with the page that describes a table space.
func isInnoDB(head []byte) bool {
	return len(head) >= 64 && binary.BigEndian.Uint32(head[4:]) == 0 && binary.BigEndian.Uint16(head[24:]) == 8
}

func newInnoDB(head []byte) walker {
	flags := binary.BigEndian.Uint32(head[54:])
	w := &innoWalk{full: flags&0x10 != 0, declared: binary.BigEndian.Uint32(head[46:])}
	size := flags >> 6 & 15
	if w.full {
		size = flags & 15
	}
	w.page = 16 << 10
	if size > 0 && size <= 7 {
		w.page = 512 << size
	}
	if !w.full && flags>>1&15 != 0 {
		return nil // its pages are packed, each in its own way
	}
	return w
}

func (w *innoWalk) write(_ int64, p []byte) {
	for len(p) > 0 {
		if len(w.hold) == 0 && len(p) >= w.page {
			w.look(p[:w.page])
			p = p[w.page:]
			continue
		}
		n := min(w.page-len(w.hold), len(p))
		w.hold = append(w.hold, p[:n]...)
		p = p[n:]
		if len(w.hold) == w.page {
			w.look(w.hold)
			w.hold = w.hold[:0]
		}
	}
}

func (w *innoWalk) look(p []byte) {
	if !w.sound(p) {
		w.odd++
	}
	w.pages++
	w.number++
}

func (w *innoWalk) sound(p []byte) bool {
	be := binary.BigEndian
	number, sum := be.Uint32(p[4:]), be.Uint32(p)
	if number == 0 && sum == 0 && lastData(p) == 0 {
		return true // never used
	}
	if number != w.number {
		return false
	}
	if w.number >= allBlocks && w.number%somePages != 0 {
		return w.full || be.Uint32(p[20:]) == be.Uint32(p[len(p)-4:])
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	end := len(p) - 8
	if w.full {
		return be.Uint32(p[len(p)-4:]) == crc32.Checksum(p[:len(p)-4], table)
	}
	if be.Uint32(p[20:]) != be.Uint32(p[end+4:]) {
		return false // written in part
	}
	if sum == 0xdeadbeef {
		return true // checksums are switched off
	}
	if sum == crc32.Checksum(p[4:26], table)^crc32.Checksum(p[38:end], table) {
		return true
	}
	// Older ones have another sum, which is not worked out; its begin and end differ.
	return sum != be.Uint32(p[end:])
}

func (w *innoWalk) finish(v *view) State {
	switch {
	case w.odd*oddPages > w.pages:
		return Broken
	case len(w.hold) > 0, w.declared > uint32(w.pages):
		return Short
	}
	return Sound
}

// indexWalk reads the head of a MyISAM index, which says how long the index and
// the data of the table are.
type indexWalk struct{ data int64 }

func (*indexWalk) write(int64, []byte) {}

func (x *indexWalk) finish(v *view) State {
	if len(v.head) < 76 {
		return Short
	}
	be := binary.BigEndian
	key, data := int64(be.Uint64(v.head[60:])), int64(be.Uint64(v.head[68:]))
	switch {
	case key < 0 || data < 0:
		return Broken
	case key > v.size:
		return Short
	}
	x.data = data
	return Sound
}

// tapeWalk looks at the end of an SQL Server backup: the set must have been closed.
type tapeWalk struct{}

func (tapeWalk) write(int64, []byte) {}

func (tapeWalk) finish(v *view) State {
	if len(v.tail) < 2*BlockSize || v.size%512 != 0 {
		return Short
	}
	if string(v.tail[len(v.tail)-BlockSize:][:4]) != "SFMB" {
		return Short
	}
	end := bytes.LastIndex(v.tail, []byte("ESET"))
	if end < 0 || len(v.tail)-end < 52 || !tapeSum(v.tail[end:]) {
		return Broken
	}
	return Sound
}

// tapeSum proves the checksum of a block's head.
func tapeSum(b []byte) bool {
	var x uint16
	for i := range 25 {
		x ^= binary.LittleEndian.Uint16(b[2*i:])
	}
	return x == binary.LittleEndian.Uint16(b[50:])
}
