package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"offsite/manifest/keep"
	"offsite/manifest/seal"
	"offsite/uploader"
)

// lookEvery is how often a run compares a store that removes by its own rules with
// what it held before. The log of what went is then complete without anybody who
// remembers `offsite sweep`, and what went too early is noticed within a week.
const lookEvery = 7 * 24 * time.Hour

// lookedFile, in the state folder of one store, says when that was last done.
const lookedFile = "looked"

// lookAtRuled looks at each store that is due. The error is an alarm, that something
// went before its time; a look that failed is told, and made again by the next run.
func (a *app) lookAtRuled(ctx context.Context, p *site, targets []uploader.Target) error {
	var alarm error
	for _, t := range targets {
		block, _, ok := p.config.StoreNamed(t.Name)
		if !ok || !removesItself(block) {
			continue
		}
		k := &keeper{library: p.library(t.Name, t.Store), app: a, block: block, config: p.config}
		err := k.lookIfDue(ctx, p.key)
		var f *failure
		if errors.As(err, &f) && f.exit == exitDamaged {
			alarm = err
		} else if err != nil {
			a.say("store %s was not compared with what it held before: %v", t.Name, err)
		}
	}
	return alarm
}

// lookIfDue is a look by the PC with this key, if the last one was long enough ago.
func (k *keeper) lookIfDue(ctx context.Context, key *seal.UploadKey) error {
	text, err := k.read(lookedFile)
	if err != nil {
		return err
	}
	last, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if age := k.app.now().Sub(last); err == nil && age >= 0 && age < lookEvery {
		return nil
	}
	now, err := k.agreed(ctx)
	if err != nil {
		return err
	}
	if err := k.identify(ctx); err != nil {
		return err
	}
	k.signAs(key)
	e, err := keep.Read(ctx, k.store, k.trust, keep.Options{})
	if err != nil {
		return err
	}
	ans := &sweepAnswer{Time: &now, own: true, yes: true, zone: k.zone}
	ans.plan(e, e.Plan(now))
	found := k.look(ctx, e, ans)
	for _, m := range ans.Early[:min(len(ans.Early), mostNamed)] {
		k.app.say("GONE TOO EARLY: %s, kept until %s by %s", m.Key, m.Until.In(k.zone).Format(time.DateOnly), m.Why)
	}
	return errors.Join(found, k.write(lookedFile, []byte(k.app.now().UTC().Format(time.RFC3339)+"\n")))
}
