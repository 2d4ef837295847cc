package ntdir_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"unicode/utf16"

	"offsite/uploader/source/internal/ntdir"
)

// build lays out a listing the way Windows documents it.
func build(ids bool, infos ...ntdir.Info) []byte {
	var buf []byte
	for n, i := range infos {
		head := 68
		if ids {
			head = 104
		}
		item := make([]byte, head)
		units := utf16.Encode([]rune(i.Name))
		binary.LittleEndian.PutUint64(item[24:], uint64(i.ModTime/100+116444736000000000))
		binary.LittleEndian.PutUint64(item[32:], uint64(i.ChangeTime/100+116444736000000000))
		binary.LittleEndian.PutUint64(item[40:], uint64(i.Size))
		binary.LittleEndian.PutUint32(item[56:], i.Attributes)
		binary.LittleEndian.PutUint32(item[60:], uint32(2*len(units)))
		binary.LittleEndian.PutUint32(item[64:], i.Tag)
		if ids {
			binary.LittleEndian.PutUint64(item[96:], i.ID)
		}
		for _, u := range units {
			item = binary.LittleEndian.AppendUint16(item, u)
		}
		if n+1 < len(infos) {
			for len(item)%8 != 0 {
				item = append(item, 0)
			}
			binary.LittleEndian.PutUint32(item, uint32(len(item)))
		}
		buf = append(buf, item...)
	}
	return buf
}

var sample = []ntdir.Info{
	{Name: ".", Attributes: 0x10, ModTime: 100, ChangeTime: 100},
	{Name: "..", Attributes: 0x10, ModTime: 100, ChangeTime: 100},
	{Name: "Müller 🦷.dcm", Size: 5 << 30, ModTime: 1_700_000_000_000_000_100, ChangeTime: 1_700_000_001_000_000_000, Attributes: 0x20, ID: 77},
	{Name: "join", Attributes: 0x410, Tag: ntdir.TagMountPoint, ModTime: 200, ChangeTime: 300, ID: 78},
}

func TestParseReadsWhatWindowsDocuments(t *testing.T) {
	t.Parallel()
	for _, ids := range []bool{true, false} {
		want := slices.Clone(sample[2:])
		for i := range want {
			if !ids {
				want[i].ID = 0
			}
		}
		var got []ntdir.Info
		err := ntdir.Parse(build(ids, sample...), ids, func(i ntdir.Info) bool { got = append(got, i); return true })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ids %v: %v\n%+v\nwant\n%+v", ids, err, got, want)
		}
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		attributes, tag uint32
		want            ntdir.Kind
	}{
		{"file", 0x20, 0, ntdir.Regular},
		{"folder", 0x10, 0, ntdir.Folder},
		{"symbolic link to a folder", 0x410, ntdir.TagSymlink, ntdir.Link},
		{"junction", 0x410, ntdir.TagMountPoint, ntdir.Link},
		{"deduplicated file", 0x620, 0x80000013, ntdir.Regular},
		{"cloud file", 0x400420, 0x9000001A, ntdir.Regular},
		{"something that stands for another", 0x400, 0xA000001D, ntdir.Strange},
		{"device", 0x40, 0, ntdir.Strange},
	} {
		if got := (ntdir.Info{Attributes: c.attributes, Tag: c.tag}).Kind(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestTimesThatDoNotFitMoveToTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want int64 }{
		{0, 0}, {116444736000000000, 0}, {116444736000000001, 100},
		{1, math.MinInt64}, {-1, math.MinInt64}, {math.MaxInt64, math.MaxInt64},
	} {
		if got := ntdir.Nanos(c.in); got != c.want {
			t.Errorf("%d: %d, want %d", c.in, got, c.want)
		}
	}
}

func TestNameKeepsHalfSurrogates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		units []uint16
		want  string
	}{
		{[]uint16{'a', 0xD83E, 0xDDB7, 'b'}, "a🦷b"},
		{[]uint16{0xD800, 'x'}, "\xed\xa0\x80x"},
		{[]uint16{0xDFFF}, "\xed\xbf\xbf"},
		{[]uint16{0xD83E, 0xD83E, 0xDDB7}, "\xed\xa0\xbe🦷"},
	} {
		var b []byte
		for _, u := range c.units {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		if got := ntdir.Name(b); got != c.want {
			t.Errorf("%x: %q, want %q", c.units, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(build(true, sample...), true)
	f.Add(build(false, sample...), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, buf []byte, ids bool) {
		n := 0
		err := ntdir.Parse(buf, ids, func(ntdir.Info) bool { n++; return true })
		if err != nil && !errors.Is(err, ntdir.ErrListing) {
			t.Error(err)
		}
		if n > len(buf)/68 {
			t.Errorf("%d items in %d bytes", n, len(buf))
		}
	})
}
