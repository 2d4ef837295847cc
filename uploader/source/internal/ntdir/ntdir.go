// Package ntdir reads the folder listings that Windows returns, as plain bytes,
// so that the reading can be tested on every system. It refuses a buffer whose
// lengths point outside of it.
package ntdir

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf16"
	"unicode/utf8"
)

// Info is one item of a listing. Times are nanoseconds since 1970 UTC, 0 where
// Windows gave none.
type Info struct {
	Name       string
	Size       int64
	ModTime    int64
	ChangeTime int64
	Attributes uint32
	Tag        uint32 // reparse tag, when Attributes say that there is one
	ID         uint64 // 0: the file system has none
}

// ErrListing is a listing that contradicts itself.
var ErrListing = errors.New("folder listing is damaged")

// Attributes and tags that decide what an item is.
const (
	AttributeDirectory    = 0x10
	AttributeDevice       = 0x40
	AttributeReparsePoint = 0x400

	TagMountPoint = 0xA0000003
	TagSymlink    = 0xA000000C
	// tagSurrogate is set in tags of things that stand for something elsewhere.
	tagSurrogate = 0x20000000
)

// Kind is what an item is.
type Kind uint8

// The kinds. Link is a symbolic link or junction; Strange stands for something
// else that is not in this folder.
const (
	Strange Kind = iota
	Folder
	Regular
	Link
)

// Kind tells what the attributes and the tag say. Reparse points that hold their
// own data (deduplicated or cloud files) are what they look like.
func (i Info) Kind() Kind {
	if i.Attributes&AttributeReparsePoint != 0 {
		switch {
		case i.Tag == TagSymlink, i.Tag == TagMountPoint:
			return Link
		case i.Tag&tagSurrogate != 0:
			return Strange
		}
	}
	switch {
	case i.Attributes&AttributeDirectory != 0:
		return Folder
	case i.Attributes&AttributeDevice != 0:
		return Strange
	}
	return Regular
}

// Offsets in FILE_FULL_DIR_INFO, which FILE_ID_BOTH_DIR_INFO begins with too.
const (
	atNext, atWrite, atChange, atSize  = 0, 24, 32, 40
	atAttributes, atNameLength, atTag  = 56, 60, 64
	atFullName, atID, atNameBehindID   = 68, 96, 104
	fileTimeAtUnixEpoch, ticksInSecond = 116444736000000000, 10_000_000
)

// Parse yields the items of one buffer of FILE_ID_BOTH_DIR_INFO (ids true) or
// FILE_FULL_DIR_INFO, without "." and "..", until yield is false.
func Parse(buf []byte, ids bool, yield func(Info) bool) error {
	atName := atFullName
	if ids {
		atName = atNameBehindID
	}
	for {
		if len(buf) < atName {
			return ErrListing
		}
		next := uint64(binary.LittleEndian.Uint32(buf[atNext:]))
		length := uint64(binary.LittleEndian.Uint32(buf[atNameLength:]))
		end := uint64(len(buf))
		if next != 0 {
			end = next
		}
		if end > uint64(len(buf)) || length%2 != 0 || uint64(atName)+length > end {
			return ErrListing
		}
		i := Info{
			Name:       Name(buf[atName : uint64(atName)+length]),
			Size:       int64(binary.LittleEndian.Uint64(buf[atSize:])),
			ModTime:    Nanos(int64(binary.LittleEndian.Uint64(buf[atWrite:]))),
			ChangeTime: Nanos(int64(binary.LittleEndian.Uint64(buf[atChange:]))),
			Attributes: binary.LittleEndian.Uint32(buf[atAttributes:]),
		}
		if i.Attributes&AttributeReparsePoint != 0 {
			i.Tag = binary.LittleEndian.Uint32(buf[atTag:])
		}
		if ids {
			i.ID = binary.LittleEndian.Uint64(buf[atID:])
		}
		if i.Name != "." && i.Name != ".." && !yield(i) {
			return nil
		}
		if next == 0 {
			return nil
		}
		buf = buf[next:]
	}
}

// Nanos turns a Windows file time into nanoseconds since 1970. What does not fit
// moves to the nearer end; zero stays zero.
func Nanos(filetime int64) int64 {
	if filetime == 0 {
		return 0
	}
	ticks := filetime - fileTimeAtUnixEpoch
	switch {
	case filetime < 0 || ticks < math.MinInt64/100:
		return math.MinInt64
	case ticks > math.MaxInt64/100:
		return math.MaxInt64
	}
	return ticks * (1_000_000_000 / ticksInSecond)
}

// Name turns little-endian UTF-16 into UTF-8. Half of a surrogate pair, which
// Windows allows in names, becomes its three-byte form, which package syscall
// turns back, so that every name can be opened again.
func Name(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(binary.LittleEndian.Uint16(b[i:]))
		if !utf16.IsSurrogate(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		if i+3 < len(b) {
			if full := utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(b[i+2:]))); full != utf8.RuneError {
				out = utf8.AppendRune(out, full)
				i += 2
				continue
			}
		}
		out = append(out, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
	}
	return string(out)
}
