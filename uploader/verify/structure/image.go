package structure

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// jpegWalk follows the markers of a JPEG. Between them stands coded data, in which
// a 0xFF is followed by a zero or a restart marker; random bytes break that rule
// every 300 bytes or so.
type jpegWalk struct {
	mode     jpegMode
	skip     int  // bytes to leave out before mode goes on
	marker   byte // of the segment whose length comes
	length   int
	restarts bool // restart markers were announced
	broken   bool
	peek     int   // bytes until the one that counts the parts of the picture
	parts    int   // parts of a picture that is coded in one run; 0: it is not
	more     bool  // a segment said that more pictures follow
	whole    bool  // where the picture ends is not known before
	sparse   bool  // the coded data is one run to the end, of which samples are enough
	until    int64 // where the file, or the item, ends
	end      int64 // where the first picture ended
	next     bool  // another picture follows the first
}

const (
	// jpegWhole is how much at the begin and at the end of a picture is followed byte by
	// byte. Between, where coded data has no end in it, jpegPart of every BlockSize is, and
	// half of that in pictures beyond jpegLong: a damaged block holds four forbidden
	// markers in jpegPart, on average, and long pictures have many blocks.
	jpegWhole = 16 << 10
	jpegPart  = 1 << 10
	jpegLong  = 256 << 10
)

type jpegMode uint8

const (
	jpegMarker jpegMode = iota // 0xFF is due
	jpegCode                   // the marker's second byte is due
	jpegHigh                   // high byte of a length
	jpegLow
	jpegInterval // first byte of the restart interval
	jpegPeek     // bytes before the one that counts parts
	jpegScan     // coded data
	jpegEscape   // after a 0xFF in coded data
	jpegDone     // after the end of the picture
)

func (j *jpegWalk) write(off int64, p []byte) {
	for i := 0; i < len(p) && !j.broken; {
		if j.skip > 0 && j.mode != jpegPeek {
			n := min(j.skip, len(p)-i)
			j.skip -= n
			i += n
			continue
		}
		switch j.mode {
		case jpegScan:
			n, part := len(p), int64(jpegPart)
			if j.until > jpegLong {
				part /= 2
			}
			if at := off + int64(i); j.sparse && at > jpegWhole && at < j.until-jpegWhole {
				if at%BlockSize >= part {
					i = int(min(int64(i)+BlockSize-at%BlockSize, int64(len(p))))
					continue
				}
				n = int(min(int64(i)+part-at%BlockSize, int64(len(p))))
			}
			if i += coded(p[i:n]); i < n {
				i++
				j.mode = jpegEscape
			}
			continue
		case jpegDone:
			if off+int64(i) == j.end {
				j.next = p[i] == 0xff || p[i] == 0
			}
			return
		}
		j.step(p[i])
		i++
		if j.mode == jpegDone {
			j.end = off + int64(i)
		}
	}
}

// coded returns where the first 0xFF stands that is not followed by a zero in p, or
// the length of p.
func coded(p []byte) int {
	for at := 0; ; at += 2 {
		n := bytes.IndexByte(p[at:], 0xff)
		if n < 0 {
			return len(p)
		}
		if at += n; at+1 >= len(p) || p[at+1] != 0 {
			return at
		}
	}
}

func (j *jpegWalk) step(b byte) {
	switch j.mode {
	case jpegMarker:
		if b != 0xff {
			j.broken = true
		}
		j.mode = jpegCode
	case jpegCode:
		j.code(b)
	case jpegHigh:
		j.length = int(b) << 8
		j.mode = jpegLow
	case jpegLow:
		j.length |= int(b)
		if j.length < 2 {
			j.broken = true
			return
		}
		j.skip = j.length - 2
		j.more = j.more || j.marker == 0xe2
		switch {
		case j.marker == 0xda && j.skip > 0:
			j.skip--
			j.peek, j.mode = 1, jpegPeek
		case (j.marker == 0xc0 || j.marker == 0xc1) && j.skip >= 6:
			j.skip -= 6
			j.peek, j.mode = 6, jpegPeek
		case j.marker == 0xdd && j.skip == 2:
			j.skip--
			j.mode = jpegInterval
		default:
			j.mode = jpegMarker
		}
		j.restarts = j.restarts || j.marker == 0xdd
	case jpegInterval:
		j.mode = jpegMarker
	case jpegPeek:
		if j.peek--; j.peek > 0 {
			return
		}
		if j.mode = jpegMarker; j.marker != 0xda {
			j.parts = int(b)
			return
		}
		j.mode = jpegScan
		j.sparse = !j.whole && !j.more && j.parts > 0 && j.parts == int(b)
	case jpegEscape:
		switch {
		case b == 0:
			j.mode = jpegScan
		case b == 0xff:
		case b >= 0xd0 && b <= 0xd7 && j.restarts:
			j.mode = jpegScan
		case b == 0xc4, b >= 0xda && b <= 0xdd, b >= 0xe0 && b <= 0xef, b == 0xfe, b == 0xd9:
			j.code(b)
		default:
			j.broken = true
		}
	}
}

// code handles the second byte of a marker outside of coded data.
func (j *jpegWalk) code(b byte) {
	switch {
	case b == 0xff: // filling
	case b == 0xd8, b == 0x01:
		j.mode = jpegMarker
	case b == 0xd9:
		j.mode = jpegDone
	case b < 0xc0, b >= 0xd0 && b <= 0xd7:
		j.broken = true
	default:
		j.marker, j.mode = b, jpegHigh
	}
}

func (j *jpegWalk) finish(v *view) State {
	switch {
	case j.broken:
		return Broken
	case j.mode != jpegDone:
		return Short
	case v.size-j.end > v.size/4 && !j.next:
		return Broken // an end in the midst of the file is chance
	}
	return Sound
}

// pngWalk follows the chunks of a PNG and proves their checksums.
type pngWalk struct {
	head   []byte // of a chunk, as far as it has come
	left   int64  // of the chunk's data and checksum
	sum    uint32
	stored []byte
	broken bool
	done   bool
	at     int64 // bytes of the signature that were left out
	chunks int
}

// pngWhole is how many chunks are summed up before only every other is: they are 8
// KiB mostly, and damage that is spread over a file hits many.
const pngWhole = 16

func (w *pngWalk) write(_ int64, p []byte) {
	if w.at < 8 {
		n := min(8-w.at, int64(len(p)))
		w.at += n
		p = p[n:]
	}
	for len(p) > 0 && !w.broken && !w.done {
		switch {
		case len(w.head) < 8:
			n := min(8-len(w.head), len(p))
			w.head = append(w.head, p[:n]...)
			p = p[n:]
			if len(w.head) == 8 {
				w.begin()
			}
		case w.left > 4:
			n := min(w.left-4, int64(len(p)))
			if w.summed() {
				w.sum = crc32.Update(w.sum, crc32.IEEETable, p[:n])
			}
			w.left -= n
			p = p[n:]
		default:
			n := min(w.left, int64(len(p)))
			w.stored = append(w.stored, p[:n]...)
			w.left -= n
			p = p[n:]
			if w.left == 0 {
				w.broken = w.summed() && binary.BigEndian.Uint32(w.stored) != w.sum
				w.chunks++
				w.done = string(w.head[4:]) == "IEND"
				w.head, w.stored = w.head[:0], w.stored[:0]
			}
		}
	}
}

func (w *pngWalk) summed() bool { return w.chunks < pngWhole || w.chunks%2 == 0 }

func (w *pngWalk) begin() {
	length := binary.BigEndian.Uint32(w.head)
	for _, c := range w.head[4:] {
		if c|0x20 < 'a' || c|0x20 > 'z' {
			w.broken = true
		}
	}
	w.broken = w.broken || length > 1<<31-1
	w.left = int64(length) + 4
	w.sum = crc32.ChecksumIEEE(w.head[4:])
}

func (w *pngWalk) finish(*view) State {
	switch {
	case w.broken:
		return Broken
	case !w.done:
		return Short
	}
	return Sound
}

// tiffWalk looks at the first directory of a TIFF, if it stands near the begin or
// the end of the file, which is where programs put it.
type tiffWalk struct{ raw bool }

func (*tiffWalk) write(int64, []byte) {}

func (t *tiffWalk) finish(v *view) State {
	if len(v.head) < 16 {
		return Short
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if v.head[0] == 'M' {
		order = binary.BigEndian
	}
	if order.Uint16(v.head[2:]) == 43 {
		if at := order.Uint64(v.head[8:]); at < 16 || at >= uint64(v.size) {
			return Short
		}
		return Sound
	}
	at := int64(order.Uint32(v.head[4:]))
	switch {
	case at < 8:
		return Broken
	case at+6 > v.size:
		return Short
	}
	dir := v.at(at)
	if len(dir) < 2 {
		return Sound // out of sight
	}
	n := int(order.Uint16(dir))
	if n == 0 || n > 4096 {
		return Broken
	}
	var strip, bytes uint64
	for last := -1; n > 0 && len(dir) >= 2+12; n-- {
		tag, kind, count := int(order.Uint16(dir[2:])), order.Uint16(dir[4:]), order.Uint32(dir[6:])
		if tag <= last || kind == 0 || kind > 18 {
			return Broken
		}
		value := uint64(order.Uint32(dir[10:]))
		if kind == 3 {
			value = uint64(order.Uint16(dir[10:]))
		}
		switch {
		case tag == 259:
			t.raw = value == 1
		case tag == 273 && count == 1:
			strip = value
		case tag == 279 && count == 1:
			bytes = value
		}
		last = tag
		dir = dir[12:]
	}
	if strip+bytes > uint64(v.size) {
		return Short
	}
	return Sound
}
