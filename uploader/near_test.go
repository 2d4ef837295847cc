package uploader_test

import (
	"fmt"
	"testing"

	"offsite/manifest"
)

// TestASegmentThatIsGoneIsNotedDespiteItsCopy: the copy that the PC keeps of an index
// segment must not hide that the store has lost it, or has another thing in its place.
func TestASegmentThatIsGoneIsNotedDespiteItsCopy(t *testing.T) {
	p, b := newPractice(t)
	copies := t.TempDir()
	first, _ := p.nights(b, copies)
	ref := result(t, first, "first").Ref
	lost := manifest.SegmentKey(ref.Record.Segments[0].Name)
	p.checker.Break("first", ref.Key)
	b.mem.Lose(lost)
	for night := range 3 {
		p.nextDay()
		p.write("letters/today.txt", fmt.Sprint("night ", night))
		res, _ := p.nights(b, copies)
		r := result(t, res, "first")
		if r.Err != nil || r.Ref.Key == "" {
			t.Fatalf("night %d: committed %q, %v", night, r.Ref.Key, r.Err)
		}
		for _, pin := range r.Ref.Record.Segments {
			if manifest.SegmentKey(pin.Name) == lost {
				t.Errorf("night %d names the segment that is gone", night)
			}
		}
	}
}
