package practice

import (
	"encoding/binary"
	"math/bits"
)

// A JPEG here is a real header followed by random entropy-coded bits. That decodes because the Huffman tables leave
// exactly one code unused, sixteen one bits in a row, and a run of sixteen always covers one whole byte 0xff; such a
// byte is written only as the stuffed pair ff 00 with a zero bit on either side. So any decoder walks the whole scan and
// finds noise, and the byte statistics are those of a photograph: dense, stuffed, and not uniform.

const (
	// Mean bits that one 8x8 block takes from such a stream, measured by decoding; a test holds it.
	jpegBlockBits = 86
	jpegMaxSide   = 8192
)

// Annex K of ITU-T T.81, luminance, used for all components. The DC table goes on to sixteen bits (the added codes mean
// zero) so that it, too, leaves only the all-ones code unused.
var (
	jpegDCCounts = [16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	jpegDCValues = []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 0, 0, 0, 0, 0}
	jpegACCounts = [16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d}
	jpegACValues = []byte{
		0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
		0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0,
		0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28,
		0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
		0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
		0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
		0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
		0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5,
		0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
		0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8,
		0xf9, 0xfa,
	}
	jpegQuant = [64]byte{
		16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51,
		61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77,
		113, 121, 112, 100, 120, 92, 101, 103, 99,
	}
)

// appendJPEG appends a baseline JPEG of about size bytes, colour (4:2:0, with EXIF) or grey (with JFIF), and returns its
// width and height.
func appendJPEG(dst []byte, r *rng, size int, colour bool, when string) (out []byte, width, height int) {
	data := max(size-760, 256)
	blocks := data * 8 / jpegBlockBits
	// The scan must not run dry: leave two per cent and five standard deviations.
	blocks -= blocks/50 + 5*isqrt(blocks)
	side, perMCU := 8, 1
	if colour {
		side, perMCU = 16, 6
	}
	mcus := max(blocks/perMCU, 1)
	across := max(min(isqrt(mcus*4/3), jpegMaxSide/side), 1)
	width, height = across*side, max(mcus/across, 1)*side

	dst = append(dst, 0xff, 0xd8)
	if colour {
		dst = appendEXIF(dst, when)
	} else {
		dst = append(dst, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 1, 0x01, 0x2c, 0x01, 0x2c, 0, 0)
	}
	dst = append(dst, 0xff, 0xdb, 0, 67, 0)
	dst = append(dst, jpegQuant[:]...)
	components := []byte{1, 0x11, 0}
	scan := []byte{1, 0x00}
	if colour {
		components = []byte{1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0}
		scan = []byte{1, 0x00, 2, 0x00, 3, 0x00}
	}
	dst = append(dst, 0xff, 0xc0, 0, byte(8+len(components)), 8, byte(height>>8), byte(height), byte(width>>8), byte(width),
		byte(len(components)/3))
	dst = append(dst, components...)
	dst = appendHuffman(dst, 0x00, jpegDCCounts, jpegDCValues)
	dst = appendHuffman(dst, 0x10, jpegACCounts, jpegACValues)
	dst = append(dst, 0xff, 0xda, 0, byte(6+len(scan)), byte(len(scan)/2))
	dst = append(dst, scan...)
	dst = append(dst, 0, 63, 0)
	dst = appendScan(dst, r, data)
	return append(dst, 0xff, 0xd9), width, height
}

func appendHuffman(dst []byte, class byte, counts [16]byte, values []byte) []byte {
	n := 2 + 1 + 16 + len(values)
	dst = append(dst, 0xff, 0xc4, byte(n>>8), byte(n), class)
	dst = append(dst, counts[:]...)
	return append(dst, values...)
}

// appendEXIF appends an APP1 segment with a small TIFF directory: camera and date.
func appendEXIF(dst []byte, when string) []byte {
	text := []string{"Lumident", "IntraCam 5", when}
	tags := []uint16{0x010f, 0x0110, 0x0132}
	start := len(dst)
	dst = append(dst, 0xff, 0xe1, 0, 0, 'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(tags)))
	at := 8 + 2 + 12*len(tags) + 4
	for i, tag := range tags {
		dst = binary.LittleEndian.AppendUint16(dst, tag)
		dst = append(dst, 2, 0)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text[i])+1))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(at))
		at += len(text[i]) + 1
	}
	dst = append(dst, 0, 0, 0, 0)
	for _, s := range text {
		dst = append(append(dst, s...), 0)
	}
	binary.BigEndian.PutUint16(dst[start+2:], uint16(len(dst)-start-2))
	return dst
}

// appendScan appends n bytes of entropy-coded data. Every eighth word has fewer one bits, which gives the slight skew
// (about one per cent for a byte coder) that photographs show and cipher text does not.
func appendScan(dst []byte, r *rng, n int) []byte {
	start := len(dst)
	end := start + n
	dst = grow(dst, n+32)[:end+32]
	s, pos, turn := r.s, start, 0
	for pos < end-8 {
		s += golden
		w := mix(s)
		if turn++; turn&7 == 0 {
			w &= bits.RotateLeft64(w, 29)
		}
		if inv := ^w; (inv-0x0101010101010101)&^inv&0x8080808080808080 == 0 {
			binary.LittleEndian.PutUint64(dst[pos:], w)
			pos += 8
			continue
		}
		pos = putStuffed(dst, pos, w)
	}
	r.s = s
	for ; pos < end; pos++ {
		dst[pos] = byte(r.next()) & 0x7f
	}
	return dst[:end]
}

// putStuffed writes the bytes of w with each ff as ff 00 between bytes that bring no further one bits.
func putStuffed(dst []byte, pos int, w uint64) int {
	for i := range 8 {
		b := byte(w >> (8 * i))
		if b != 0xff {
			dst[pos] = b
			pos++
			continue
		}
		if i == 7 || dst[pos-1] == 0xff {
			dst[pos] = 0xfd
			pos++
			continue
		}
		dst[pos-1] &= 0xfe
		dst[pos], dst[pos+1] = 0xff, 0
		pos += 2
		w &^= 0x80 << (8 * (i + 1))
	}
	return pos
}

// grow makes room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := make([]byte, len(b), (len(b)+n)*5/4)
	copy(bigger, b)
	return bigger
}

// isqrt is the whole square root; floating point is kept out of the generator so that all machines agree to the byte.
func isqrt(n int) int {
	if n < 2 {
		return max(n, 0)
	}
	x := 1 << ((bits.Len(uint(n)) + 1) / 2)
	for {
		y := (x + n/x) / 2
		if y >= x {
			return x
		}
		x = y
	}
}
