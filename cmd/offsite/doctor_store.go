package main

import (
	"context"
	"errors"
	"fmt"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/providers"
)

// store looks at one store: whether it answers, is this practice's, takes what this
// PC signs, has the same time, and holds the days that it should.
func (d *doctor) store(ctx context.Context, s config.Store) {
	area := "store " + s.Name
	store, err := d.app.openStore(ctx, s)
	if err != nil {
		d.failed(area, "opening", err, "correct its block in the configuration")
		return
	}
	key := d.site.key
	header, err := manifest.OpenHeader(ctx, store, key.Owner)
	if err != nil {
		d.failed(area, "answer", err, "is the address right, and the network up?")
		return
	}
	d.add(area, "answer", resultPass, "it is this practice's", "")
	trust, err := manifest.LoadTrust(ctx, store, header)
	if err != nil {
		d.failed(area, "enrolment", err, "offsite check says more")
		return
	}
	d.judged(area, "enrolment", trust.Enrolled(key.PC, key.Public()), count(trust.PCs(), "PC")+" of the practice can save to it",
		"the owner never enrolled this PC there: offsite init --join does")
	d.clock(ctx, area, store)
	d.days(ctx, area, s, store, trust)
}

// clock compares the store's time with this PC's, half-way through the question.
func (d *doctor) clock(ctx context.Context, area string, store *providers.Store) {
	before := d.app.now()
	at, err := store.Time(ctx)
	after := d.app.now()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		d.add("clock", area, resultWarn, "it tells no time", "look by hand whether this PC's clock is right")
		return
	case err != nil:
		d.failed("clock", area, err, "this account cannot write to the store")
		return
	}
	skew := at.Sub(before.Add(after.Sub(before) / 2))
	side := "ahead of"
	if skew < 0 {
		side = "behind"
	}
	d.judged("clock", area, skew.Abs() <= maxSkew, fmt.Sprintf("%v %s this PC's", skew.Abs().Round(1e9), side),
		"let this PC take its time from the network; with a wrong clock days are taken for others")
}

// days looks at what is stored, and at the room for more where that can be told.
func (d *doctor) days(ctx context.Context, area string, s config.Store, store *providers.Store, trust *manifest.Trust) {
	l := &library{name: s.Name, store: store, trust: trust, source: sourceID(d.site.key, d.site.config.Source.Name), zone: d.site.calendar.Zone()}
	h, err := d.app.history(ctx, l)
	if err != nil {
		d.failed(area, "days", err, "offsite check says more")
		return
	}
	newest, clean := "", ""
	for _, day := range h.Days {
		newest = max(newest, day.ref.Record.Date)
		if day.Verdict == manifest.Clean {
			clean = max(clean, day.ref.Record.Date)
		}
	}
	want := lastOpen(d.site.calendar, d.site.calendar.BusinessDate(d.app.now())).String()
	switch {
	case len(h.Damaged) > 0:
		d.add(area, "days", resultFail, count(len(h.Damaged), "record")+" damaged", "offsite check says what is affected")
	case clean == "":
		d.add(area, "days", resultWarn, "no clean day is stored yet", "offsite run saves the first one")
	default:
		d.judged(area, "days", clean >= want, fmt.Sprintf("%d, newest clean one %s, newest %s", len(h.Days), clean, newest),
			"the clean day "+want+" is missing: offsite run, and look whether watch or the task that starts it runs")
	}
	if s.Address.Scheme != "dir" || !d.set.Valid() {
		return
	}
	// The first copy takes the whole set; later ones what changed, of which a tenth
	// is much.
	need := uint64(d.set.Totals().Bytes)
	if clean != "" {
		need /= 10
	}
	d.room(area, string(s.Address.Path), need)
}
