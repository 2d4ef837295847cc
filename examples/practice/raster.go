package practice

import (
	"encoding/binary"
	"hash/adler32"
	"hash/crc32"
)

// nibbles is a deflate stream that costs next to nothing to make: one dynamic block whose sixteen used codes are four
// bits long (fifteen small differences and the end mark), so that random nibbles, the end mark excepted, are a valid
// stream of noise. The rows use PNG's own prediction filters.
const (
	nibbleRow    = 1024 // bytes a row, filter byte included
	nibblePacked = nibbleRow / 2
)

// nibbleBytes maps a nibble of the stream to the byte it stands for (codes are written most significant bit first).
var nibbleBytes = [16]byte{
	0x0: 0, 0x8: 1, 0x4: 2, 0xc: 3, 0x2: 4, 0xa: 5, 0x6: 6, 0xe: 7,
	0x1: 249, 0x9: 250, 0x5: 251, 0xd: 252, 0x3: 253, 0xb: 254, 0x7: 255,
}

// bitWriter packs bits, least significant first, as deflate does.
type bitWriter struct {
	out  []byte
	acc  uint64
	have uint
}

func (w *bitWriter) put(v uint64, n uint) {
	w.acc |= v << w.have
	for w.have += n; w.have >= 8; w.have -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

// appendNibbles appends a zlib stream of rows rows.
func appendNibbles(dst []byte, r *rng, rows int) []byte {
	w := bitWriter{out: append(dst, 0x78, 0x01)}
	w.put(1|2<<1, 3)                               // last block, dynamic
	w.put(0|0<<5|8<<10, 14)                        // 257 literal codes, one distance code, twelve code lengths
	lengths := [12]uint64{0: 2, 2: 2, 3: 2, 11: 2} // in the order 16 17 18 0 8 7 9 6 10 5 11 4: used are 16, 18, 0, 4
	for _, n := range lengths {
		w.put(n, 3)
	}
	// Two-bit codes, bits reversed: 0 is 00, 4 is 10, 16 is 01, 18 is 11.
	eight := func() { w.put(2, 2); w.put(1, 2); w.put(1, 2); w.put(1, 2); w.put(0, 2) }
	eight()       // literals 0..7 have four bits (repeat 4, then 3)
	w.put(3, 2)   // 138 zeros
	w.put(127, 7) //
	w.put(3, 2)   // 103 zeros
	w.put(92, 7)  //
	eight()       // literals 249..255 and the end mark
	w.put(0, 2)   // no distance code
	sum := adler32.New()
	var row [nibbleRow]byte
	s, shift, carry := r.s, w.have, w.acc
	out := grow(w.out, rows*nibblePacked+64)
	for range rows {
		filter := uint64(8) // Sub
		for x := 0; x < nibbleRow; x += 16 {
			s += golden
			z := mix(s)
			z &^= z & (z >> 1) & (z >> 2) & (z >> 3) & 0x1111111111111111
			if x == 0 {
				if z&16 != 0 {
					filter = 4 // Up
				}
				z = z&^15 | filter
			}
			for i := 0; i < 16; i += 4 {
				v := z >> (4 * i)
				binary.LittleEndian.PutUint32(row[x+i:], uint32(nibbleBytes[v&15])|uint32(nibbleBytes[v>>4&15])<<8|
					uint32(nibbleBytes[v>>8&15])<<16|uint32(nibbleBytes[v>>12&15])<<24)
			}
			out = binary.LittleEndian.AppendUint64(out, z<<shift|carry)
			carry = z >> (64 - shift)
		}
		_, _ = sum.Write(row[:])
	}
	r.s = s
	w.out, w.acc, w.have = out, carry, shift
	w.put(15, 4)
	if w.have > 0 {
		w.put(0, 8-w.have)
	}
	return binary.BigEndian.AppendUint32(w.out, sum.Sum32())
}

// appendPNG appends an 8-bit grey image of about size bytes.
func appendPNG(dst []byte, r *rng, size int, scratch []byte) (out, used []byte) {
	rows := max(size/nibblePacked, 1)
	stream := appendNibbles(scratch[:0], r, rows)
	dst = append(dst, "\x89PNG\r\n\x1a\n"...)
	head := binary.BigEndian.AppendUint32(make([]byte, 0, 13), nibbleRow-1)
	head = binary.BigEndian.AppendUint32(head, uint32(rows))
	dst = appendPNGChunk(dst, "IHDR", append(head, 8, 0, 0, 0, 0))
	dst = appendPNGChunk(dst, "pHYs", []byte{0, 0, 0x0e, 0xc4, 0, 0, 0x0e, 0xc4, 1})
	for rest := stream; len(rest) > 0; {
		n := min(len(rest), 32<<10)
		dst = appendPNGChunk(dst, "IDAT", rest[:n])
		rest = rest[n:]
	}
	return appendPNGChunk(dst, "IEND", nil), stream
}

func appendPNGChunk(dst []byte, name string, data []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	from := len(dst)
	dst = append(append(dst, name...), data...)
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[from:]))
}

// appendTIFF appends an uncompressed 8-bit grey page of about size bytes: paper grain and lines of dark marks.
func appendTIFF(dst []byte, r *rng, size int) []byte {
	const width, perStrip = 1240, 64
	rows := max(size/width, 1)
	strips := (rows + perStrip - 1) / perStrip
	type entry struct {
		tag, kind uint16
		n, value  uint32
	}
	const entries = 12
	extra := uint32(8 + 2 + entries*12 + 4)
	offsets, counts := extra+16, extra+16+uint32(strips)*4
	pixels := counts + uint32(strips)*4
	if strips == 1 {
		offsets, counts = pixels, width*uint32(rows)
	}
	dst = append(dst, 'I', 'I', 42, 0, 8, 0, 0, 0, entries, 0)
	for _, e := range [entries]entry{
		{256, 4, 1, width}, {257, 4, 1, uint32(rows)}, {258, 3, 1, 8}, {259, 3, 1, 1}, {262, 3, 1, 1},
		{273, 4, uint32(strips), offsets}, {277, 3, 1, 1}, {278, 4, 1, perStrip}, {279, 4, uint32(strips), counts},
		{282, 5, 1, extra}, {283, 5, 1, extra + 8}, {296, 3, 1, 2},
	} {
		dst = binary.LittleEndian.AppendUint16(dst, e.tag)
		dst = binary.LittleEndian.AppendUint16(dst, e.kind)
		dst = binary.LittleEndian.AppendUint32(dst, e.n)
		dst = binary.LittleEndian.AppendUint32(dst, e.value)
	}
	dst = append(dst, 0, 0, 0, 0)
	for range 2 {
		dst = append(dst, 150, 0, 0, 0, 1, 0, 0, 0)
	}
	for i := range strips {
		dst = binary.LittleEndian.AppendUint32(dst, pixels+uint32(i*perStrip*width))
	}
	for i := range strips {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(min(perStrip, rows-i*perStrip)*width))
	}
	n := rows * width
	dst = grow(dst, n)[:len(dst)+n]
	paintPage(dst[len(dst)-n:], r, width)
	return dst
}

// paintPage fills rows of grey pixels; width is a multiple of eight.
func paintPage(out []byte, r *rng, width int) {
	s := r.s
	marks := make([]uint64, width/8)
	for y := 0; len(out) > 0; y++ {
		if y%5 == 0 { // the strokes change every few rows; between lines of text there are none
			for x := range marks {
				marks[x] = 0
				if line := y / 5 % 6; line < 4 && x > 8 && x < len(marks)-8 {
					s += golden
					z := mix(s)
					marks[x] = (z & (z >> 9) & 0x0101010101010101) * 0xb0
				}
			}
		}
		const margin = 6 // the scanner's white
		for x := range margin {
			binary.LittleEndian.PutUint64(out[8*x:], 0xffffffffffffffff)
		}
		for x := margin; x < len(marks); x++ {
			s += golden
			binary.LittleEndian.PutUint64(out[8*x:], (mix(s)&0x0707070707070707|0xf0f0f0f0f0f0f0f0)-marks[x])
		}
		out = out[width:]
	}
	r.s = s
}
