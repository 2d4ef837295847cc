package manifest_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
)

func note(kind string, at time.Time, seqs ...uint64) manifest.Note {
	return manifest.Note{Format: 1, Repository: repository, Source: sourceID, PC: pcID, Time: manifest.At(at), Kind: kind, Snapshots: seqs,
		Text: base64.StdEncoding.EncodeToString([]byte("sealed"))}
}

func TestNotesSayWhatIsHeldAndChecked(t *testing.T) {
	s, trust := store(t)
	for i, n := range []manifest.Note{
		note(manifest.HoldNote, now, 3, 7), note(manifest.CheckedNote, now.Add(time.Hour), 7, 8), note(manifest.ReleaseNote, now.Add(2*time.Hour), 3),
		note(manifest.HoldNote, now, 9), note(manifest.ReleaseNote, now, 9), // in one second
		note(manifest.ReleaseNote, now, 10), note(manifest.HoldNote, now.Add(time.Hour), 10),
	} {
		if err := manifest.WriteNote(t.Context(), s, n, pcKey); err != nil {
			t.Fatalf("note %d: %v", i, err)
		}
	}
	notes, bad, err := manifest.ReadNotes(t.Context(), s, trust, sourceID)
	if err != nil || len(bad) > 0 || len(notes) != 7 {
		t.Fatalf("%d notes, %v, %v", len(notes), bad, err)
	}
	for seq, want := range map[uint64][2]bool{1: {}, 3: {}, 7: {true, true}, 8: {false, true}, 9: {true, false}, 10: {true, false}} {
		held, ok := notes.Held(seq)
		if checked := notes.Checked(seq, now.Add(time.Hour)); ok != want[0] || checked != want[1] {
			t.Errorf("snapshot %d: held %v, checked %v", seq, ok, checked)
		}
		if notes.Checked(seq, now.Add(time.Hour+time.Second)) {
			t.Errorf("snapshot %d was checked before it was committed", seq)
		}
		if text, err := held.Sealed(); ok && (err != nil || string(text) != "sealed") {
			t.Errorf("text %q, %v", text, err)
		}
	}
	// what is written stays readable
	for o, err := range s.List(t.Context(), "notes/"+sourceID+"/20261120t223015z-", "") {
		if err != nil {
			t.Fatal(err)
		}
		if data, err := s.Read(t.Context(), o.Key, ""); err != nil {
			t.Error(err)
		} else if strings.Contains(string(data), `"snapshots":[3,7]`) {
			golden(t, "note", data)
			return
		}
	}
	t.Error("the first note is not where it belongs")
}

func TestNotesOfOthersCountForNothing(t *testing.T) {
	s, trust := store(t)
	other := note(manifest.HoldNote, now, 1)
	other.Source = "ffffffffffffffff"
	for name, tt := range map[string]struct {
		note manifest.Note
		key  ed25519.PrivateKey
	}{
		"a thief":    {note(manifest.ReleaseNote, now, 1), thief},
		"another PC": {func() manifest.Note { n := note(manifest.ReleaseNote, now, 2); n.PC = "bbbbbbbbbbbbbbbb"; return n }(), pcKey},
		"another repository": {func() manifest.Note {
			n := note(manifest.ReleaseNote, now, 3)
			n.Repository = "bbbbbbbbbbbbbbbb"
			return n
		}(), pcKey},
	} {
		if err := manifest.WriteNote(t.Context(), s, tt.note, tt.key); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := manifest.WriteNote(t.Context(), s, other, pcKey); err != nil {
		t.Fatal(err)
	}
	notes, bad, err := manifest.ReadNotes(t.Context(), s, trust, sourceID)
	if err != nil || len(bad) != 3 || len(notes) != 0 {
		t.Errorf("%d notes, %v, %v", len(notes), bad, err)
	}
}

func TestBadNotesAreNotWritten(t *testing.T) {
	s, _ := store(t)
	for name, n := range map[string]manifest.Note{
		"no snapshot": note(manifest.HoldNote, now), "snapshot 0": note(manifest.HoldNote, now, 0, 1), "descending": note(manifest.HoldNote, now, 2, 1),
		"twice": note(manifest.HoldNote, now, 2, 2), "kind": note("keep", now, 1),
		"long": func() manifest.Note {
			n := note(manifest.HoldNote, now, 1)
			n.Text = strings.Repeat("AAAA", 5000)
			return n
		}(),
		"text": func() manifest.Note { n := note(manifest.HoldNote, now, 1); n.Text = "?"; return n }(),
	} {
		if err := manifest.WriteNote(t.Context(), s, n, pcKey); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func FuzzNotes(f *testing.F) {
	f.Add([]byte(`{"payload":{"format":1},"signer":"x","sig":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, trust := store(t)
		if _, err := s.Create(t.Context(), "notes/"+sourceID+"/x", data, time.Time{}); err != nil {
			return
		}
		notes, bad, err := manifest.ReadNotes(t.Context(), s, trust, sourceID)
		if err != nil || len(notes) != 0 || len(bad) != 1 {
			t.Fatalf("%d notes, %v, %v", len(notes), bad, err)
		}
	})
}
