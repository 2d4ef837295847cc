package sheet_test

import "testing"

// readCode reads a QR code of version 6, correction level H and alphanumeric
// content from its modules, written from ISO/IEC 18004 and sharing nothing with
// the encoder. It corrects nothing: a printed matrix has no errors.
func readCode(t *testing.T, m [][]bool, quiet int) string {
	t.Helper()
	const size = 41 // version 6
	at := func(x, y int) bool { return m[y+quiet][x+quiet] }
	if len(m) != size+2*quiet {
		t.Fatalf("code has %d modules, the reader knows version 6 only", len(m)-2*quiet)
	}
	// Format: 15 bits around the upper left finder, masked with 101010000010010.
	format := 0
	for i := range 15 {
		x, y := 8, 8
		switch {
		case i < 6:
			x = i
		case i == 6:
			x = 7
		case i == 8:
			y = 7
		case i > 8:
			y = 14 - i
		}
		format <<= 1
		if at(x, y) {
			format |= 1
		}
	}
	format = (format ^ 0x5412) >> 10
	if level := format >> 3; level != 2 {
		t.Fatalf("correction level %d, want 2 (H)", level)
	}
	bits := dataBits(at, size, format&7)
	// Version 6-H: four blocks of 15 data bytes, interleaved byte by byte.
	const blocks, perBlock = 4, 15
	data := make([]byte, 0, blocks*perBlock)
	for b := range blocks {
		for i := range perBlock {
			data = append(data, bits[i*blocks+b])
		}
	}
	return alphanumeric(t, data)
}

// dataBits walks the modules in the order of the standard and takes the mask off.
func dataBits(at func(x, y int) bool, size, mask int) []byte {
	masks := []func(x, y int) bool{
		func(x, y int) bool { return (x+y)%2 == 0 },
		func(x, y int) bool { return y%2 == 0 },
		func(x, y int) bool { return x%3 == 0 },
		func(x, y int) bool { return (x+y)%3 == 0 },
		func(x, y int) bool { return (y/2+x/3)%2 == 0 },
		func(x, y int) bool { return x*y%2+x*y%3 == 0 },
		func(x, y int) bool { return (x*y%2+x*y%3)%2 == 0 },
		func(x, y int) bool { return ((x+y)%2+x*y%3)%2 == 0 },
	}
	reserved := func(x, y int) bool {
		finder := x < 9 && y < 9 || x >= size-8 && y < 9 || x < 9 && y >= size-8
		alignment := x >= 32 && x <= 36 && y >= 32 && y <= 36
		return finder || alignment || x == 6 || y == 6
	}
	var out []byte
	n := 0
	for right := size - 1; right > 0; right -= 2 {
		if right == 6 {
			right--
		}
		up := (right+1)/2%2 == 0
		if right < 6 {
			up = (right/2)%2 == 0
		}
		for i := range size {
			y := i
			if up {
				y = size - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if reserved(x, y) {
					continue
				}
				if n%8 == 0 {
					out = append(out, 0)
				}
				out[len(out)-1] <<= 1
				if at(x, y) != masks[mask](x, y) {
					out[len(out)-1] |= 1
				}
				n++
			}
		}
	}
	return out
}

func alphanumeric(t *testing.T, data []byte) string {
	t.Helper()
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	pos := 0
	take := func(n int) (v int) {
		for range n {
			v = v<<1 | int(data[pos/8]>>(7-pos%8))&1
			pos++
		}
		return v
	}
	if mode := take(4); mode != 2 {
		t.Fatalf("mode %d, want 2 (alphanumeric)", mode)
	}
	var out []byte
	for n := take(9); n > 0; n -= 2 {
		if n == 1 {
			out = append(out, alphabet[take(6)])
			break
		}
		v := take(11)
		out = append(out, alphabet[v/45], alphabet[v%45])
	}
	return string(out)
}
