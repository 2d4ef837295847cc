package keep_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/keep"
)

// TestEntriesOfVersion1StayReadable: an entry without a signature has the same bytes
// at every writing. testdata/v1 was written once and never changes.
func TestEntriesOfVersion1StayReadable(t *testing.T) {
	s := newShop(t, false)
	log := s.log(false)
	log.Repository = "00000000000000aa"
	at := manifest.At(time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC))
	object := keep.Mention{Key: "r/x/" + string(bytes.Repeat([]byte("ab"), 32)), Version: "v1", Size: 1234,
		Until: manifest.At(at.AddDate(0, 0, -2)), Why: "r/s/0102030405060708/00000007, then the store's own lease"}
	left := object
	left.End = keep.EndHeld
	for _, n := range []keep.Entry{
		{Kind: keep.Intent, Time: at, Bytes: 1234, Disregarded: []string{"r/s/0102030405060708/00000099"}, Objects: []keep.Mention{object}},
		{Kind: keep.Outcome, Of: 1, Time: at, Objects: []keep.Mention{left}},
		{Kind: keep.Gone, Time: at},
	} {
		if _, err := log.Append(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	stored := s.mem.Snapshot()
	for _, name := range []string{"00000001", "00000002", "00000003"} {
		want, err := os.ReadFile("testdata/v1/log-" + name + ".json")
		if os.Getenv("WRITE_GOLDEN") != "" && os.IsNotExist(err) {
			want, err = stored["log/"+name], os.WriteFile("testdata/v1/log-"+name+".json", stored["log/"+name], 0o644)
		}
		check(t, err)
		if !bytes.Equal(want, stored["log/"+name]) {
			t.Errorf("entry %s is written as\n%s\nand was\n%s", name, stored["log/"+name], want)
		}
	}
	got, err := log.Read(t.Context())
	check(t, err)
	if len(got) != 3 || got[0].Problem != nil || got[1].Problem != nil || got[1].Objects[0] != left || got[1].Of != 1 {
		t.Errorf("read: %+v", got)
	}
}

// FuzzLog: whatever stands in the place of an entry, reading ends with a problem or
// an entry that would be written as the same bytes.
func FuzzLog(f *testing.F) {
	for _, name := range []string{"00000001", "00000002", "00000003"} {
		b, err := os.ReadFile("testdata/v1/log-" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"payload":{},"signer":"","sig":""}`))
	f.Add([]byte(`{"payload":,"signer":"","sig":""}`))
	f.Add([]byte(`,"signer":"","sig":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newEmptyShop(t)
		s.put("log/00000001", string(data))
		log := &keep.Log{Store: s.store, Trust: &manifest.Trust{}, Repository: "00000000000000aa"}
		got, err := log.Read(t.Context())
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		if got[0].Problem == nil && (got[0].Signed || got[0].Seq != 1) {
			t.Errorf("believed: %+v", got[0])
		}
	})
}

// FuzzMemory: what is read is what would be written.
func FuzzMemory(f *testing.F) {
	f.Add([]byte("offsite memory 1 a\nr/x/a - 1 0\nr/x/b v1 2 1700000000\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := keep.DecodeMemory(data, "a")
		if err != nil {
			return
		}
		again, err := keep.DecodeMemory(m.Encode("a"), "a")
		if err != nil || len(again) != len(m) {
			t.Errorf("%v: %v instead of %v", err, again, m)
		}
	})
}
