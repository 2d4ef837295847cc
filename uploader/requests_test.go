package uploader_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/providers"
	"offsite/uploader"
	"offsite/uploader/near"
)

// A night's requests cost money and, where they go to and fro over a bad line, time.
// These are the most that one may make beside raised leases. Whoever adds a request
// has to raise them, and to say so.
const (
	unchangedNight = 8
	besidePacks    = 11 // and one for each new pack
)

// nights runs one night after another as the program does: each in a process of its
// own, with the copies that the last one left.
func (p *practicePC) nights(b *box, copies string) (uploader.Result, providers.Counters) {
	p.t.Helper()
	f, err := near.Open(copies)
	check(p.t, err)
	store := providers.NewStore(b.hook, providers.Options{Cache: f, Near: manifest.Near,
		Sleep: func(context.Context, time.Duration) error { return nil }})
	p.stores[0].Store = store
	res, err := p.run()
	check(p.t, err)
	check(p.t, f.Trim())
	return res, store.Counters()
}

func requests(c providers.Counters) int64 { return c.Put + c.Get + c.Stat + c.List + c.Time }

func TestRequestsOfANight(t *testing.T) {
	p, b := newPractice(t)
	copies := t.TempDir()
	for day := range 14 {
		packs := 0
		switch {
		case day == 5:
			p.write(fmt.Sprintf("images/large-%d.jpg", day), noise(uint64(day), 17<<20))
		case day%3 == 0:
			p.write("letters/today.txt", fmt.Sprint("day ", day))
		}
		res, count := p.nights(b, copies)
		packs = res.Stores[0].Packs
		limit := int64(besidePacks + packs)
		if packs == 0 {
			limit = unchangedNight
		}
		if got := requests(count); day > 0 && got > limit {
			t.Errorf("night %d stored %d packs with %d requests beside leases, want at most %d: %+v", day, packs, got, limit, count)
		}
		p.nextDay()
	}
}
