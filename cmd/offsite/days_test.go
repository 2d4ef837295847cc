package main

import (
	"testing"

	"offsite/manifest"
	"offsite/manifest/seal"
)

func TestDayIsPickedByVerdictAndRevision(t *testing.T) {
	h := history{}
	for _, d := range []struct {
		date, verdict string
		revision      int
	}{
		{"2026-11-18", manifest.Clean, 1}, {"2026-11-18", manifest.Clean, 2},
		{"2026-11-19", manifest.Clean, 1}, {"2026-11-19", manifest.Suspect, 2},
		{"2026-11-20", manifest.Suspect, 1},
	} {
		h.Days = append(h.Days, snapshot{Day: dayName(d.date, d.revision), Verdict: d.verdict,
			ref: manifest.Ref{Record: manifest.Record{Date: d.date, Revision: d.revision}}})
	}
	for _, c := range []struct {
		day, want string
		note      bool
	}{
		{"latest", "2026-11-19", true},
		{"2026-11-18", "2026-11-18#2", false},
		{"2026-11-18#1", "2026-11-18", false},
		{"2026-11-19", "2026-11-19", true},
		{"2026-11-19#2", "2026-11-19#2", true},
		{"2026-11-20", "2026-11-20", true},
	} {
		s, note, err := h.pick(c.day)
		if err != nil || s.Day != c.want || (note != "") != c.note {
			t.Errorf("%s: %s, note %q, %v", c.day, s.Day, note, err)
		}
	}
	for _, day := range []string{"", "yesterday", "2026-11-21", "2026-11-18#3", "2026-11-18#0", "2026-13-01", "20-11-2026"} {
		if s, _, err := h.pick(day); err == nil {
			t.Errorf("%q: picked %s", day, s.Day)
		} else if code, hints := judge(err); code != exitUsage || len(hints) == 0 {
			t.Errorf("%q: exit %d, hints %q", day, code, hints)
		}
	}
}

func TestHolderKindIsReadFromTheFile(t *testing.T) {
	restore, err := seal.NewRestoreKey()
	if err != nil {
		t.Fatal(err)
	}
	pass, err := seal.PassphraseHolder("correct horse battery", 1)
	if err != nil {
		t.Fatal(err)
	}
	holders := []seal.Holder{pass}
	for _, public := range []string{restore.Recipient(), "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"} {
		h, err := seal.RecipientHolder(public, seal.Ask{})
		if err != nil {
			t.Fatal(err)
		}
		holders = append(holders, h)
	}
	for _, h := range holders {
		sealed, err := seal.SealToHolder(restore, h)
		if err != nil {
			t.Fatal(err)
		}
		if kind, strong := holderKind(sealed); kind != string(h.Kind) || strong != h.PostQuantum {
			t.Errorf("%s, %v: read as %s, %v", h.Kind, h.PostQuantum, kind, strong)
		}
	}
	if kind, _ := holderKind([]byte("age-encryption.org/v1")); kind != "plugin" {
		t.Errorf("a short file: %s", kind)
	}
}
