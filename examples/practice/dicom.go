package practice

import (
	"encoding/binary"
	"strconv"
)

// DICOM Part 10 files, explicit VR little endian: intra-oral images with encapsulated baseline JPEG, and uncompressed
// 16-bit cephalometric ones.

const (
	dicomJPEG = "1.2.840.10008.1.2.4.50"
	dicomRaw  = "1.2.840.10008.1.2.1"
	// Digital Intra-Oral X-Ray Image Storage, For Presentation.
	dicomClass = "1.2.840.10008.5.1.4.1.1.1.3"
)

// dicomInfo is what the data set says beside its pixels.
type dicomInfo struct {
	patient  patient
	date     string // YYYYMMDD
	modality string
	series   uint64
}

func appendElement(dst []byte, group, element uint16, vr, value string) []byte {
	if len(value)%2 != 0 {
		pad := byte(' ')
		if vr == "UI" {
			pad = 0
		}
		value += string(rune(pad))
	}
	dst = binary.LittleEndian.AppendUint16(dst, group)
	dst = binary.LittleEndian.AppendUint16(dst, element)
	dst = append(dst, vr...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

func appendShort(dst []byte, group, element, value uint16) []byte {
	return appendElement(dst, group, element, "US", string([]byte{byte(value), byte(value >> 8)}))
}

// uid makes an identifier under the root that belongs to whoever draws a random number.
func uid(seed, what uint64) string {
	return "2.25." + strconv.FormatUint(mix(seed^what*golden)|1<<63, 10)
}

func appendDICOMHead(dst []byte, info dicomInfo, syntax string, rows, columns, bitsStored int) []byte {
	dst = append(dst, make([]byte, 128)...)
	dst = append(dst, "DICM"...)
	lengthAt := len(dst) + 8
	dst = appendElement(dst, 2, 0, "UL", "\x00\x00\x00\x00")
	instance := uid(info.series, 1)
	dst = append(dst, 2, 0, 1, 0, 'O', 'B', 0, 0, 2, 0, 0, 0, 0, 1)
	dst = appendElement(dst, 2, 2, "UI", dicomClass)
	dst = appendElement(dst, 2, 3, "UI", instance)
	dst = appendElement(dst, 2, 0x10, "UI", syntax)
	dst = appendElement(dst, 2, 0x12, "UI", "2.25.207463118236491")
	binary.LittleEndian.PutUint32(dst[lengthAt:], uint32(len(dst)-lengthAt-4))

	dst = appendElement(dst, 0x08, 0x05, "CS", "ISO_IR 192")
	dst = appendElement(dst, 0x08, 0x16, "UI", dicomClass)
	dst = appendElement(dst, 0x08, 0x18, "UI", instance)
	dst = appendElement(dst, 0x08, 0x20, "DA", info.date)
	dst = appendElement(dst, 0x08, 0x60, "CS", info.modality)
	dst = appendElement(dst, 0x08, 0x70, "LO", "Lumident Imaging")
	dst = appendElement(dst, 0x10, 0x10, "PN", info.patient.last+"^"+info.patient.first)
	dst = appendElement(dst, 0x10, 0x20, "LO", info.patient.number())
	dst = appendElement(dst, 0x10, 0x30, "DA", info.patient.born())
	dst = appendElement(dst, 0x20, 0x0d, "UI", uid(info.series, 2))
	dst = appendElement(dst, 0x20, 0x0e, "UI", uid(info.series, 3))
	dst = appendShort(dst, 0x28, 0x02, 1)
	dst = appendElement(dst, 0x28, 0x04, "CS", "MONOCHROME2")
	dst = appendShort(dst, 0x28, 0x10, uint16(rows))
	dst = appendShort(dst, 0x28, 0x11, uint16(columns))
	allocated := uint16((bitsStored + 7) / 8 * 8)
	dst = appendShort(dst, 0x28, 0x100, allocated)
	dst = appendShort(dst, 0x28, 0x101, uint16(bitsStored))
	dst = appendShort(dst, 0x28, 0x102, uint16(bitsStored-1))
	return appendShort(dst, 0x28, 0x103, 0)
}

// appendDICOMJPEG appends a compressed image of about size bytes.
func appendDICOMJPEG(dst []byte, r *rng, size int, info dicomInfo, scratch []byte) (out, used []byte) {
	jpeg, width, height := appendJPEG(scratch[:0], r, size-900, false, "")
	dst = appendDICOMHead(dst, info, dicomJPEG, height, width, 8)
	dst = append(dst, 0xe0, 0x7f, 0x10, 0, 'O', 'B', 0, 0, 0xff, 0xff, 0xff, 0xff) // pixel data of unknown length
	dst = append(dst, 0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0)                          // empty offset table
	dst = append(dst, 0xfe, 0xff, 0x00, 0xe0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32((len(jpeg)+1)&^1))
	dst = append(dst, jpeg...)
	if len(jpeg)%2 != 0 {
		dst = append(dst, 0)
	}
	return append(dst, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0), jpeg
}

// appendDICOMRaw appends an uncompressed 12-in-16-bit image of about size bytes: slow gradients and sensor noise.
func appendDICOMRaw(dst []byte, r *rng, size int, info dicomInfo) []byte {
	pixels := max(size-900, 4096) / 2
	width := min(max(isqrt(pixels*5/4)&^3, 32), 4096)
	height := min(pixels/width, 65535)
	dst = appendDICOMHead(dst, info, dicomRaw, height, width, 12)
	dst = append(dst, 0xe0, 0x7f, 0x10, 0, 'O', 'W', 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(width*height*2))

	// One row of four-pixel words; every row adds an offset and noise to it without a carry between the lanes.
	row := make([]uint64, width/4)
	level, slope := 700+r.below(500), 1+r.below(3)
	for i := range row {
		hump := i * (len(row) - i) * 4 * 150 * slope / (len(row)*len(row) + 1)
		row[i] = uint64(level+hump) * 0x0001000100010001
	}
	start := len(dst)
	n := width * height * 2
	dst = grow(dst, n)[:start+n]
	out := dst[start:]
	s := r.s
	for y := range height {
		offset := uint64(y*300/height) * 0x0001000100010001
		margin := len(row)/24 + 1 // the shutter's edge, without any noise
		for range margin {
			binary.LittleEndian.PutUint64(out, 0x0010001000100010)
			out = out[8:]
		}
		if y < height/12 || y > height-height/16 { // beyond the collimator: dark, a little noise
			for range row[margin:] {
				s += golden
				binary.LittleEndian.PutUint64(out, mix(s)&0x0007000700070007+0x0010001000100010)
				out = out[8:]
			}
			continue
		}
		for _, base := range row[margin:] {
			s += golden
			z := mix(s)
			noise := z&0x0007000700070007 + z>>5&0x0003000300030003
			binary.LittleEndian.PutUint64(out, base+offset+noise)
			out = out[8:]
		}
	}
	r.s = s
	return dst
}
