package uploader_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"offsite/retention"
	"offsite/uploader"
)

// Disks that take turns bring an old set back. It is of its day, which is stored.
func TestASetThatComesBackIsNothingNew(t *testing.T) {
	p, _ := newPractice(t)
	monday := retention.DateOf(p.now)
	day := monday
	p.change = func(c *uploader.Config) { c.Date = day }
	written := p.now
	date := func(at time.Time) {
		for _, name := range []string{"letters/one.txt", "letters"} {
			check(t, os.Chtimes(p.path(name), at, at))
		}
	}
	date(written)
	p.commit()

	p.clock.now = p.now.AddDate(0, 0, 1)
	day = monday.AddDays(1)
	p.write("letters/one.txt", "Another letter.\n")
	p.commit()

	p.clock.now = p.now.AddDate(0, 0, 1)
	day = monday
	p.write("letters/one.txt", "Dear colleague, thank you for the referral.\n")
	date(written)
	if res, err := p.run(); !errors.Is(err, uploader.ErrNothingNew) {
		t.Errorf("monday's set again: %s", describe(res, err))
	}
	// What changed in it is a second revision of its day.
	p.write("letters/one.txt", "Dear colleague, changed.\n")
	if res := p.commit(); res.Stores[0].Ref.Record.Revision != 2 || res.Stores[0].Ref.Record.Date != monday.String() {
		t.Errorf("got %+v", res.Stores[0].Ref.Record)
	}
}
