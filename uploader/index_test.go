package uploader_test

import (
	"fmt"
	"testing"

	"offsite/manifest"
	"offsite/manifest/pack"
)

// segments opens the index segments that a snapshot names.
func (p *practicePC) segments(b *box, ref manifest.Ref) []*pack.Segment {
	p.t.Helper()
	opener, err := p.key.IndexOpener()
	check(p.t, err)
	var all []*pack.Segment
	for _, pin := range ref.Record.Segments {
		s, err := manifest.ReadSegment(p.t.Context(), p.open(b.mem), opener, pin)
		check(p.t, err)
		all = append(all, s)
	}
	return all
}

func TestIndexSegmentsStayFew(t *testing.T) {
	p, _ := newPractice(t)
	most, runs := 0, 56 // enough to merge twice
	if thin > 1 {
		runs = 27
	}
	for i := range runs {
		p.write(fmt.Sprintf("letters/%d.txt", i), fmt.Sprintf("letter number %d", i))
		most = max(most, len(p.commit().Stores[0].Ref.Record.Segments))
		p.nextDay()
	}
	if most > 25 {
		t.Errorf("a record named %d index segments", most)
	}
	p.once()

}

// TestTheIndexForgetsPacksThatHaveLapsed: over a year of nights that change a database, what
// snapshots no longer need lapses, and the index does not grow with it.
func TestTheIndexForgetsPacksThatHaveLapsed(t *testing.T) {
	if thin > 1 {
		t.Skip("the race detector finds no more in sixty runs than in one")
	}
	p, box := newPractice(t)
	var last manifest.Ref
	for week := range 60 {
		p.write(fmt.Sprintf("letters/%d.txt", week), fmt.Sprintf("letter number %d", week))
		p.edit("data/patients.fs5", int64(week%12)*16<<10, fmt.Sprintf("week %d", week))
		last = p.commit().Stores[0].Ref
		if week%4 == 0 { // nothing lives for less than 30 days
			p.check()
		}
		p.now = p.now.AddDate(0, 0, 7)
		box.mem.Lapse("r/")
	}
	present := make(map[string]bool)
	for _, key := range box.keys("r/p/") {
		present[key] = true
	}
	lapsed, all := 0, 0
	for _, s := range p.segments(box, last) {
		for i := range s.Packs() {
			all++
			if !present[manifest.PackKey(s.Pack(i).Name)] {
				lapsed++
			}
		}
	}
	// Segments younger than the last merge still list what has lapsed since.
	if lapsed > 24 {
		t.Errorf("the index lists %d packs, of which %d are gone", all, lapsed)
	}
	t.Logf("after 60 weeks: %d packs stored, the index lists %d, of which %d are gone", len(present), all, lapsed)
}
