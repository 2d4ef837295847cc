package uploader_test

import (
	"fmt"
	"testing"
	"time"

	"offsite/manifest"
)

// TestCanariesTellWhetherTheStoreKeepsAndRemoves: what becomes of the canaries under
// a rule that works, one that does nothing, and one that eats what is leased.
func TestCanariesTellWhetherTheStoreKeepsAndRemoves(t *testing.T) {
	for _, c := range []struct {
		name  string
		night func(b *box)
		want  manifest.CanaryReport // without Removed
		seen  bool                  // that removal works
	}{
		{"the rule works", func(b *box) { b.mem.Lapse("r/") }, manifest.CanaryReport{Gone: 7, Kept: 8}, true},
		{"nothing is ever removed", func(*box) {}, manifest.CanaryReport{Overdue: 4, Kept: 8}, false},
		{"a rule eats what is leased", func(b *box) {
			for _, key := range b.keys("r/c/") {
				b.mem.Lose(key)
			}
		}, manifest.CanaryReport{Missing: 8}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, b := newPractice(t)
			var refs []manifest.Ref
			for day := range 8 {
				p.write("letters/today.txt", fmt.Sprint("day ", day))
				refs = append(refs, p.commit().Stores[0].Ref)
				p.nextDay()
				p.now = p.now.Add(time.Minute)
				c.night(b)
			}
			got, err := manifest.Canaries(t.Context(), p.open(b.mem), refs, p.now, 0)
			check(t, err)
			if !got.Removed.IsZero() != c.seen {
				t.Errorf("removal seen: %v", got.Removed)
			}
			got.Removed = time.Time{}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestCanariesThatCannotBeLeftHoldUpNoDay(t *testing.T) {
	p, b := newPractice(t)
	short, _ := manifest.CanaryKeys(sourceID, 1)
	_, err := p.open(b.mem).Create(t.Context(), short, []byte("put there by somebody else"), p.now.AddDate(0, 0, 40))
	check(t, err)
	p.commit()
}
