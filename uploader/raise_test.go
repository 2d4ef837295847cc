package uploader_test

import (
	"slices"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/retention"
	"offsite/uploader"
)

// shortest is the shortest lease of anything that a snapshot needs, its record included.
func (b *box) shortest(ref manifest.Ref) time.Time {
	var until []time.Time
	keys := append(pinned(ref), ref.Key)
	for _, p := range ref.Record.Segments {
		keys = append(keys, manifest.SegmentKey(p.Name))
	}
	for key, lease := range b.leases("r/") {
		if slices.Contains(keys, key) {
			until = append(until, lease)
		}
	}
	return slices.MinFunc(until, time.Time.Compare)
}

// TestAPeriodEndIsRaisedOverSomeNights: where a month's end wants more raised than a
// night's work, the snapshot is committed for the time that is firm, and the nights
// that follow do the rest.
func TestAPeriodEndIsRaisedOverSomeNights(t *testing.T) {
	p, box := newPractice(t)
	p.change = func(c *uploader.Config) { c.Policy.Night = 1 }
	p.now = time.Date(2026, 11, 19, 22, 0, 0, 0, time.UTC)
	p.commit()
	p.now = time.Date(2026, 11, 30, 22, 0, 0, 0, time.UTC) // a Monday, the last of November
	p.edit("data/patients.fs5", 0, "the end of the month")
	ref := p.commit().Stores[0].Ref
	month := time.Date(2027, 11, 30, 23, 0, 0, 0, time.UTC)
	if e := ref.Record.Expiry.Time; e.Before(p.now.AddDate(0, 0, 60)) || !e.Before(month) {
		t.Errorf("committed until %v", e)
	}
	nights := 0
	for ; box.shortest(ref).Before(month) && nights < 20; nights++ {
		p.nextDay()
		p.edit("data/patients.fs5", 0, p.now.String())
		p.commit()
		p.check()
	}
	if nights < 2 || nights == 20 {
		t.Errorf("the month was raised in %d nights", nights)
	}
	found := false
	for _, r := range p.leaseRecords(box) {
		found = found || slices.ContainsFunc(r.Snapshots, func(s manifest.SnapshotLease) bool {
			return s.Seq == ref.Record.Seq && s.Class == string(retention.Month) && !s.Until.Before(month)
		})
	}
	if !found {
		t.Error("no lease record says that the snapshot is the keeper of its month")
	}
}

func (p *practicePC) note(kind string, seqs ...uint64) {
	p.t.Helper()
	for _, b := range p.boxes {
		check(p.t, manifest.WriteNote(p.t.Context(), p.open(b.mem), manifest.Note{Format: 1, Repository: p.key.Repository, Source: p.id, PC: p.key.PC,
			Time: manifest.At(p.now), Kind: kind, Snapshots: seqs}, p.key.Signing))
	}
}

// TestAHeldDayStaysUntilItIsReleased: a hold works at once, lasts as long as nobody
// releases the day, and then ends by itself.
func TestAHeldDayStaysUntilItIsReleased(t *testing.T) {
	p, box := newPractice(t)
	p.now = time.Date(2026, 11, 18, 22, 0, 0, 0, time.UTC)
	p.write("images/b.jpg", noise(50, 700<<10)) // which only this day has
	ref := p.commit().Stores[0].Ref
	p.write("images/b.jpg", noise(51, 700<<10))
	p.nextDay()
	p.commit()
	p.note(manifest.HoldNote, ref.Record.Seq)
	res, err := uploader.Raise(t.Context(), p.config())
	check(t, err)
	if r := result(t, res, "first"); r.Raised == 0 || r.Ref.Key != "" || box.shortest(ref).Before(p.now.Add(92*day)) {
		t.Errorf("%d raised, kept until %v", r.Raised, box.shortest(ref))
	}
	for range 20 {
		p.now = p.now.AddDate(0, 0, 21)
		p.edit("data/patients.fs5", 0, p.now.String())
		p.commit()
		if left := box.shortest(ref).Sub(p.now); left < 60*day {
			t.Fatalf("%v: held for %v yet", p.now, left)
		}
		p.check() // which notes until when each day is kept
		box.mem.Lapse("r/")
	}
	p.note(manifest.ReleaseNote, ref.Record.Seq)
	last := box.shortest(ref)
	for p.now.Before(last.Add(30 * day)) { // the record's slack may be the longer one
		p.now = p.now.AddDate(0, 0, 21)
		p.edit("data/patients.fs5", 0, p.now.String())
		p.commit()
		p.check()
	}
	box.mem.Lapse("r/")
	if slices.Contains(box.keys("r/s/"), ref.Key) {
		t.Error("a released day stays")
	}
}

// TestNumbersThatNotesNameAreNotUsedAgain: notes outlive the records that they are
// about, and must not speak of other ones.
func TestNumbersThatNotesNameAreNotUsedAgain(t *testing.T) {
	p, box := newPractice(t)
	for range 3 {
		p.edit("data/patients.fs5", 0, p.now.String())
		p.commit()
		p.nextDay()
	}
	p.check() // which notes until when each day is kept
	p.note(manifest.CheckedNote, 1, 2, 3)
	p.note(manifest.HoldNote, 1<<40) // somebody who would use the numbers up
	p.now = p.now.AddDate(1, 0, 0)
	box.mem.Lapse("r/")
	if left := box.keys("r/s/"); len(left) > 0 {
		t.Fatalf("records left: %q", left)
	}
	p.edit("data/patients.fs5", 0, p.now.String())
	res, err := p.run()
	check(t, err)
	if seq := result(t, res, "first").Ref.Record.Seq; seq != 4 {
		t.Errorf("the new snapshot has number %d", seq)
	}
}

// TestSilenceLeavesTheNewestDayAndThenNothing: uploads end. Sixty days after the next
// open day the newest day is whole, with what a store removes gone; and once the longest
// lease has run out, nothing is left but keys and notes.
func TestSilenceLeavesTheNewestDayAndThenNothing(t *testing.T) {
	p, box := newPractice(t)
	p.now = time.Date(2026, 11, 2, 22, 0, 0, 0, time.UTC) // a Monday
	var last manifest.Ref
	for range 9 { // up to a Tuesday, with a weekend
		p.edit("data/patients.fs5", 0, p.now.String())
		last = p.commit().Stores[0].Ref
		p.nextDay()
	}
	p.check()
	p.now = time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 60).Add(-time.Hour)
	box.mem.Lapse("r/")
	p.check()
	for _, key := range append(pinned(last), last.Key) {
		if !slices.Contains(box.keys("r/"), key) {
			t.Errorf("%s is gone after 60 days of silence", key)
		}
	}
	longest := p.now
	for _, lease := range box.leases("r/") {
		if lease.After(longest) {
			longest = lease
		}
	}
	if longest.After(p.now.AddDate(0, 0, 90)) {
		t.Errorf("something is leased until %v", longest)
	}
	p.now = longest.Add(2 * day)
	box.mem.Lapse("r/")
	if left := box.keys("r/"); len(left) > 0 {
		t.Errorf("left after the longest lease: %q", left)
	}
}
