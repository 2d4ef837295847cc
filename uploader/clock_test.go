package uploader_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/mem"
)

// TestAClockThatIsBehindShortensNothing: the PC's clock falls back by weeks, as with
// an empty battery. What is committed then is leased by the store's clock, names
// nothing that has lapsed, and says that the clocks are apart.
func TestAClockThatIsBehindShortensNothing(t *testing.T) {
	p, _ := newPractice(t)
	p.boxes, p.stores = nil, nil
	ahead := time.Duration(0)
	p.checker.Now = func() time.Time { return p.now.Add(ahead) }
	m := mem.New(mem.Options{Now: func() time.Time { return p.now.Add(ahead) }, Report: func(breach string) { t.Error(breach) }})
	b := newBox(t, "first", m)
	p.addStore("first", b.hook)
	p.boxes = append(p.boxes, b)
	p.commit()

	// Three months later by the store's clock, a day later by the PC's.
	p.nextDay()
	ahead = 100 * 24 * time.Hour
	m.Lapse("r/")
	p.write("letters/one.txt", "a new letter")
	ref := p.commit().Stores[0].Ref
	storeNow := p.now.Add(ahead)
	for key, lease := range b.leases("r/p/") {
		if lease.Before(storeNow.AddDate(0, 0, 29)) {
			t.Errorf("%s is leased until %v, and the store has %v", key, lease, storeNow)
		}
	}
	found := false
	for _, f := range ref.Record.Findings {
		found = found || f.Check == "clock" && strings.Contains(f.Measured, "2400h")
	}
	if !found {
		t.Errorf("the record does not say that the clocks are apart: %+v", ref.Record.Findings)
	}
	if ref.Record.Time.Before(storeNow.Truncate(time.Second)) {
		t.Errorf("the record says that it is %v, and the store has %v", ref.Record.Time, storeNow)
	}
	if left := m.Lapse("r/p/"); len(left) > 0 {
		t.Errorf("what the new snapshot needs has lapsed: %v", left)
	}
}

// TestNobodyCanUseTheNumbersUp: rubbish under the last sequence numbers, or far
// above the present ones, keeps no day from being committed.
func TestNobodyCanUseTheNumbersUp(t *testing.T) {
	p, b := newPractice(t)
	p.commit()
	store := p.open(b.mem)
	put := func(seq uint64) {
		t.Helper()
		_, err := store.Create(t.Context(), manifest.RecordKey(sourceID, seq), []byte(fmt.Sprint("rubbish ", seq)), p.now.AddDate(1, 0, 0))
		check(t, err)
		p.checker.Break("first", manifest.RecordKey(sourceID, seq)) // it never was a record
	}
	for _, seq := range []uint64{2, 3, 700, manifest.MaxSeq, 99_999_999} {
		put(seq)
	}
	p.nextDay()
	p.write("letters/one.txt", "a new letter")
	if seq := p.commit().Stores[0].Ref.Record.Seq; seq != 701 {
		t.Errorf("the next record is number %d", seq)
	}
	p.nextDay()
	p.write("letters/one.txt", "another new letter")
	if seq := p.commit().Stores[0].Ref.Record.Seq; seq != 702 {
		t.Errorf("the one after it is number %d", seq)
	}
}

// TestNumbersOfLapsedSnapshotsAreNotTakenAgain: a hold, or a lease that was raised, of
// a snapshot that has lapsed says nothing of a new one.
func TestNumbersOfLapsedSnapshotsAreNotTakenAgain(t *testing.T) {
	for name, say := range map[string]func(p *practicePC, store *providers.Store) error{
		"note": func(p *practicePC, store *providers.Store) error {
			return manifest.WriteNote(p.t.Context(), store, manifest.Note{Format: 1, Repository: p.key.Repository, Source: p.id, PC: p.key.PC,
				Time: manifest.At(p.now), Kind: manifest.CheckedNote, Snapshots: []uint64{2}}, p.key.Signing)
		},
		"lease record": func(p *practicePC, store *providers.Store) error {
			return manifest.WriteLeases(p.t.Context(), store, manifest.LeaseRecord{Format: 1, Repository: p.key.Repository, Source: p.id, PC: p.key.PC,
				Time: manifest.At(p.now), Snapshots: []manifest.SnapshotLease{{Seq: 2, Until: manifest.At(p.now.AddDate(3, 0, 0)), Class: "year"}}}, p.key.Signing)
		},
		"lease record that lies": func(p *practicePC, store *providers.Store) error {
			return manifest.WriteLeases(p.t.Context(), store, manifest.LeaseRecord{Format: 1, Repository: p.key.Repository, Source: p.id, PC: p.key.PC,
				Time: manifest.At(p.now), Snapshots: []manifest.SnapshotLease{{Seq: 2, Until: manifest.At(p.now.AddDate(3, 0, 0))}, {Seq: manifest.MaxSeq, Until: manifest.At(p.now)}}}, p.key.Signing)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, b := newPractice(t)
			p.boxes = nil // the checker would miss what is lost here
			for day := range 2 {
				p.write("letters/one.txt", fmt.Sprint("letter ", day))
				p.commit()
				p.nextDay()
			}
			check(t, say(p, p.open(b.mem)))
			b.mem.Lose(manifest.RecordKey(sourceID, 2))
			p.write("letters/one.txt", "a new letter")
			if seq := p.commit().Stores[0].Ref.Record.Seq; seq != 3 {
				t.Errorf("the next record is number %d", seq)
			}
		})
	}
}
