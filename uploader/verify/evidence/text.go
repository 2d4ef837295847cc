package evidence

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Decode turns the bytes of a log into text: UTF-8 and UTF-16 with or without a
// mark, and what else is taken for Windows-1252, the code page of western Europe.
func Decode(b []byte) string {
	switch {
	case len(b) >= 3 && b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf:
		b = b[3:]
	case len(b) >= 2 && b[0] == 0xff && b[1] == 0xfe:
		return wide(b[2:], 0, 1)
	case len(b) >= 2 && b[0] == 0xfe && b[1] == 0xff:
		return wide(b[2:], 1, 0)
	case zeros(b, 1) > 4*zeros(b, 0) && zeros(b, 1)*4 > len(b):
		return wide(b, 0, 1)
	case zeros(b, 0) > 4*zeros(b, 1) && zeros(b, 0)*4 > len(b):
		return wide(b, 1, 0)
	}
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 { // a byte of the code page in the midst of it
			r = codePage(b[0])
		}
		s.WriteRune(r)
		b = b[n:]
	}
	return s.String()
}

// zeros counts the zeros at even or odd places: text in UTF-16 has them at one.
func zeros(b []byte, from int) (n int) {
	for i := from; i < len(b); i += 2 {
		if b[i] == 0 {
			n++
		}
	}
	return n
}

func wide(b []byte, low, high int) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) > 1; b = b[2:] {
		units = append(units, uint16(b[low])|uint16(b[high])<<8)
	}
	return string(utf16.Decode(units))
}

// codePage is Windows-1252.
func codePage(b byte) rune {
	const high = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"
	if b >= 0x80 && b < 0xa0 {
		return []rune(high)[b-0x80]
	}
	return rune(b)
}
