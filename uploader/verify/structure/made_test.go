package structure_test

import (
	"encoding/binary"
	"hash/crc32"
)

// tape is a backup as SQL Server writes it, as far as it is looked at.
func tape() []byte {
	head := func(kind string) []byte {
		b := make([]byte, 4096)
		copy(b, kind)
		copy(b[60:], "some words about the set")
		var x uint16
		for i := range 25 {
			x ^= binary.LittleEndian.Uint16(b[2*i:])
		}
		binary.LittleEndian.PutUint16(b[50:], x)
		return b
	}
	mark := make([]byte, 4096)
	copy(mark, "SFMB")
	out := append(head("TAPE"), mark...)
	for i := range 20 {
		out = append(out, rows(i)...)
	}
	out = append(out, head("ESET")...)
	return append(out, mark...)
}

// rows is a page of a table.
func rows(n int) []byte {
	b := make([]byte, 4096)
	for i := range 4000 {
		b[i] = byte('a' + (i*n+i/7)%20)
	}
	return b
}

// innoDB is a table space with the newer checksum.
func innoDB() []byte {
	const page = 16 << 10
	var out []byte
	for n := range 4 {
		b := make([]byte, page)
		for i := range b {
			b[i] = byte('a' + (i+n)%20)
		}
		clear(b[:64])
		be := binary.BigEndian
		be.PutUint32(b[4:], uint32(n))
		if n == 0 {
			be.PutUint16(b[24:], 8)
			be.PutUint32(b[46:], 4)      // pages
			be.PutUint32(b[54:], 0x10|5) // the newer checksum, 16 KiB
		}
		be.PutUint32(b[page-4:], crc32.Checksum(b[:page-4], crc32.MakeTable(crc32.Castagnoli)))
		out = append(out, b...)
	}
	return out
}

// index is a MyISAM index that speaks of 700 bytes of data.
func index() []byte {
	b := make([]byte, 2048)
	copy(b, "\xfe\xfe\x07\x01")
	binary.BigEndian.PutUint64(b[60:], 2048)
	binary.BigEndian.PutUint64(b[68:], 700)
	for i := 100; i < len(b); i++ {
		b[i] = byte(i)
	}
	return b
}

func sum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }
