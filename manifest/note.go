package manifest

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"offsite/providers"
)

// NotePrefix is where notes stand: outside Removable, so they never lapse.
const NotePrefix = "notes/"

// Kinds of notes.
const (
	HoldNote    = "hold"    // keep the snapshots until somebody releases them
	ReleaseNote = "release" // end the hold
	CheckedNote = "checked" // every stored byte of the snapshots was read and was right
)

const (
	// maxNoted bounds the snapshots of one note: a check may name all there are.
	maxNoted = 110_000
	// maxNoteText bounds the sealed text: a sentence or two, and what sealing adds.
	maxNoteText = 16 << 10
)

// Note is what somebody said about snapshots after their commit. It never lapses.
type Note struct {
	Format     int      `json:"format"`
	Repository string   `json:"repository"`
	Source     string   `json:"source"`
	PC         string   `json:"pc"`
	Time       Time     `json:"time"`
	Kind       string   `json:"kind"`
	Snapshots  []uint64 `json:"snapshots"` // sequence numbers, ascending
	// Text is why, sealed as index segments are, in base64: a reason may name a person.
	Text string `json:"text"`
}

func (n *Note) validate() error {
	if n.Format != FormatVersion {
		return fmt.Errorf("format %d is not one that this version reads (%d)", n.Format, FormatVersion)
	}
	if !validID(n.Repository) || !validID(n.Source) || !validID(n.PC) {
		return errors.New("an identifier is not 16 hexadecimal digits")
	}
	if n.Kind != HoldNote && n.Kind != ReleaseNote && n.Kind != CheckedNote {
		return errors.New("unknown kind of note")
	}
	if len(n.Snapshots) == 0 || len(n.Snapshots) > maxNoted || n.Snapshots[0] == 0 {
		return errors.New("a note names no snapshot, or too many")
	}
	for i := range n.Snapshots[1:] {
		if n.Snapshots[i] >= n.Snapshots[i+1] {
			return errors.New("sequence numbers do not ascend")
		}
	}
	if _, err := n.Sealed(); err != nil || len(n.Text) > maxNoteText {
		return errors.New("the text is not base64, or too long")
	}
	return nil
}

// Sealed returns the sealed text, empty if there is none.
func (n *Note) Sealed() ([]byte, error) { return base64.StdEncoding.DecodeString(n.Text) }

// WriteNote signs and stores a note.
func WriteNote(ctx context.Context, store *providers.Store, n Note, key ed25519.PrivateKey) error {
	if err := n.validate(); err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	data, err := sign(noteDomain, n, n.PC, key)
	if err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	at := NotePrefix + n.Source + "/" + n.Time.UTC().Format("20060102t150405z") + "-" + digest(data)[:16]
	if _, err := store.Create(ctx, at, data, noLease); err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	return nil
}

// Notes are the notes about one source, oldest first.
type Notes []Note

// ReadNotes reads the notes about a source. One that cannot be read or trusted is
// returned apart and counts for nothing.
func ReadNotes(ctx context.Context, store *providers.Store, trust *Trust, source string) (notes Notes, bad []Damaged, err error) {
	for o, err := range store.List(ctx, NotePrefix+source+"/", "") {
		if err != nil {
			return nil, nil, fmt.Errorf("list notes: %w", err)
		}
		data, err := store.Read(ctx, o.Key, o.Version)
		if err != nil && !errors.Is(err, providers.ErrNotExist) && !errors.Is(err, providers.ErrCorrupt) {
			return nil, nil, fmt.Errorf("read note %s: %w", o.Key, err)
		}
		var n *Note
		if err == nil {
			n, err = parseNote(data, source, trust)
		}
		if err != nil {
			bad = append(bad, Damaged{Key: o.Key, Err: err})
			continue
		}
		notes = append(notes, *n)
	}
	slices.SortStableFunc(notes, func(a, b Note) int { return a.Time.Compare(b.Time.Time) })
	return notes, bad, nil
}

func parseNote(data []byte, source string, trust *Trust) (*Note, error) {
	var n Note
	if err := openOf(noteDomain, data, trust, &n, &n.PC); err != nil {
		return nil, err
	}
	if err := n.validate(); err != nil {
		return nil, err
	}
	if n.Repository != trust.repository || n.Source != source {
		return nil, errors.New("the note does not belong here")
	}
	return &n, nil
}

// Held returns the note that holds a snapshot, false if nobody does. Of two notes
// of one second a release counts less: what is in doubt is kept.
func (ns Notes) Held(seq uint64) (held Note, ok bool) {
	var released time.Time
	for _, n := range ns {
		if _, named := slices.BinarySearch(n.Snapshots, seq); !named {
			continue
		}
		switch n.Kind {
		case HoldNote:
			held, ok = n, true
		case ReleaseNote:
			released = n.Time.Time
		}
	}
	return held, ok && !released.After(held.Time.Time)
}

// Checked says whether all bytes of a snapshot were once read and found right, since
// it was committed: once everything has lapsed, numbers may be used again.
func (ns Notes) Checked(seq uint64, committed time.Time) bool {
	return slices.ContainsFunc(ns, func(n Note) bool {
		_, named := slices.BinarySearch(n.Snapshots, seq)
		return named && n.Kind == CheckedNote && !n.Time.Before(committed)
	})
}
