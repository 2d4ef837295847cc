package structure

import (
	"encoding/binary"
	"strings"
)

// dicomWalk follows the elements of a DICOM file by their lengths to the end of
// the file, and the JPEG pictures that they may hold.
type dicomWalk struct {
	size     int64
	skip     int64
	head     []byte // of an element, as far as it has come
	meta     bool   // still in the group that names the syntax
	implicit bool
	big      bool
	take     int    // bytes of the value that names the syntax
	syntax   []byte // that value
	pixels   bool   // in packed pixels, whose items are pictures
	table    bool   // the next item is the table of the others
	stop     bool   // nothing more can be followed
	broken   bool
	short    bool
	raw      int64     // bytes of pixels that are not packed
	picture  *jpegWalk // of the item that is being left out
}

// undefined is the length of what ends with a mark of its own.
const undefined = 0xffffffff

// valueTypes are the two-letter types of DICOM; after longTypes stands a longer length.
const (
	valueTypes = "AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US OB OD OF OL OV OW SQ SV UC UN UR UT UV"
	longTypes  = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"
)

// bareDICOM says whether a file begins with the first element itself, as old ones do.
func bareDICOM(head []byte) bool {
	return len(head) > 8 && (head[0] == 8 || head[0] == 2) && head[1] == 0 && head[3] == 0
}

func newDICOM(head []byte, size int64) *dicomWalk {
	d := &dicomWalk{size: size, meta: true}
	if len(head) >= 132 && string(head[128:132]) == "DICM" {
		d.skip = 132
	} else {
		d.meta = head[0] == 2
		d.implicit = !strings.Contains(valueTypes, string(head[4:6]))
	}
	return d
}

func (d *dicomWalk) write(off int64, p []byte) {
	for len(p) > 0 && !d.stop && !d.broken && !d.short {
		var n int
		switch {
		case d.take > 0:
			n = min(d.take, len(p))
			d.syntax = append(d.syntax, p[:n]...)
			d.take -= n
		case d.skip > 0:
			n = int(min(d.skip, int64(len(p))))
			if d.picture != nil {
				d.picture.write(off, p[:n])
			}
			if d.skip -= int64(n); d.skip == 0 && d.picture != nil {
				d.broken = d.picture.broken
				d.picture = nil
			}
		default:
			n = 1
			d.head = append(d.head, p[0])
			if d.whole() {
				d.element(off + 1)
				d.head = d.head[:0]
			}
		}
		off += int64(n)
		p = p[n:]
	}
}

func (d *dicomWalk) order() binary.ByteOrder {
	if d.big && !d.meta {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// whole says whether the head of the element is complete. It leaves the meta group
// as soon as another begins.
func (d *dicomWalk) whole() bool {
	if d.meta && len(d.head) == 4 && d.head[0] != 2 {
		d.meta = false
		switch s := strings.TrimRight(string(d.syntax), "\x00 "); s {
		case "1.2.840.10008.1.2":
			d.implicit = true
		case "1.2.840.10008.1.2.2":
			d.big = true
		case "1.2.840.10008.1.2.1.99":
			d.stop = true // packed as a whole
		}
	}
	switch len(d.head) {
	case 8:
		return !d.long()
	case 12:
		return true
	}
	return false
}

// long says whether four more bytes of length follow.
func (d *dicomWalk) long() bool {
	return !d.isItem() && !(d.implicit && !d.meta) && strings.Contains(longTypes, string(d.head[4:6]))
}

func (d *dicomWalk) isItem() bool { return d.order().Uint16(d.head) == 0xfffe }

// element decides what follows the head of an element; off is where its value begins.
func (d *dicomWalk) element(off int64) {
	if d.stop {
		return
	}
	o := d.order()
	group, number := o.Uint16(d.head), o.Uint16(d.head[2:])
	length := int64(o.Uint32(d.head[4:]))
	kind := ""
	if !d.isItem() && !(d.implicit && !d.meta) {
		kind = string(d.head[4:6])
		if !strings.Contains(valueTypes, kind) || strings.Contains(kind, " ") {
			// Zeros behind the last element are filling.
			d.stop = group == 0 && number == 0
			d.broken = !d.stop
			return
		}
		length = int64(o.Uint16(d.head[6:]))
		if len(d.head) == 12 {
			length = int64(o.Uint32(d.head[8:]))
		}
	}
	switch {
	case group == 0 && number == 0 && length == 0:
		d.stop = true
	case group == 0xfffe && number == 0xe0dd:
		d.pixels = false
	case group == 0xfffe && !d.pixels: // what stands in an item is followed like all else
	case length == undefined:
		d.pixels, d.table = group == 0x7fe0, true
		d.stop = kind == "UN"
	case length > d.size-off:
		d.short = group == 0x7fe0 || d.pixels
		d.broken = !d.short
	case d.meta && group == 2 && number == 0x10 && length <= 64:
		d.take, d.syntax = int(length), d.syntax[:0]
	default:
		d.skip = length
		if group == 0x7fe0 && !d.pixels && !d.packed() {
			d.raw += length
		}
		if d.pixels && length > 0 && !d.table && strings.HasPrefix(string(d.syntax), "1.2.840.10008.1.2.4.5") {
			d.picture = &jpegWalk{until: off + length}
		}
		d.table = false
	}
}

// packed says whether the syntax is one of packed pixels.
func (d *dicomWalk) packed() bool {
	return strings.HasPrefix(string(d.syntax), "1.2.840.10008.1.2.4") || strings.HasPrefix(string(d.syntax), "1.2.840.10008.1.2.5")
}

func (d *dicomWalk) finish(*view) State {
	switch {
	case d.broken:
		return Broken
	case d.stop:
		return Sound
	case d.short, d.skip > 0, d.take > 0, len(d.head) > 0, d.pixels:
		return Short
	}
	return Sound
}
