package gcsadmin_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/gcs/gcsadmin"
)

// The whole scheme with the printed roles alone: a bucket is set up, nights are
// stored, a month end is promoted, the PC falls silent. What is leased stays,
// what was raised stays longer, what has lapsed goes without the PC, and every
// snapshot that should be there restores bit for bit until its end.
func TestTheSchemeEndToEnd(t *testing.T) {
	s := newScene(t, "north/one")
	p := newPractice(s)
	var last manifest.Ref
	first := map[string]time.Time{}                        // leases as they were first seen
	for n, gap := range []int{0, 1, 1, 5, 7, 7, 6, 1, 1} { // 4 March to 2 April
		p.mustKeep(time.Duration(gap) * day)
		p.change(uint64(n))
		last = p.night()
		for key, obj := range p.stored() {
			if _, seen := first[key]; !seen {
				first[key] = obj.Lease
			}
		}
	}
	raised := []string{}
	for key, obj := range p.stored() {
		if obj.Lease.Sub(first[key]) > 20*day {
			raised = append(raised, key)
		}
	}
	if !slices.ContainsFunc(raised, func(key string) bool { return strings.HasPrefix(key, manifest.RecordPrefix) }) {
		t.Errorf("no record was raised: %q", raised)
	}
	own, _, _ := p.committed()
	if len(own) != 9 {
		t.Errorf("%d snapshots of 9", len(own))
	}

	// Silence. Nobody but the service acts from here on.
	left := map[int]int{}
	for _, until := range []int{20, 60, 120, 460, 900} {
		for s.layer.Now().Before(last.Record.Time.Add(time.Duration(until) * day)) {
			p.mustKeep(20 * day)
		}
		own, _, damaged := p.committed()
		if len(damaged) != 0 {
			t.Errorf("day %d: %v", until, damaged)
		}
		ends := p.until(own)
		for _, ref := range own {
			if !ends[ref.Key].After(s.layer.Now()) {
				continue // expired; its last objects go within the slack
			}
			if err := p.restores(ref); err != nil {
				t.Errorf("day %d of silence: %s: %v", until, ref.Record.Date, err)
			}
		}
		left[until] = len(own)
		if until == 20 {
			p.canariesReport(own)
		}
	}
	t.Logf("snapshots left after so many days of silence: %v; %d objects were raised by more than 20 days", left, len(raised))
	if left[20] != 9 || left[60] >= 9 || left[120] == 0 || left[120] >= left[60] || left[900] != 0 {
		t.Errorf("snapshots left: %v", left)
	}
	for key := range p.stored() {
		if strings.HasPrefix(key, manifest.Removable) {
			t.Errorf("%s has lapsed and is still there", key)
		}
	}
	if _, there := p.stored()[manifest.HeaderKey]; !there {
		t.Error("the header is gone")
	}
	for _, one := range s.audit() {
		if one.State != providers.StateRight {
			t.Errorf("at the end: %+v", one)
		}
	}
}

// mustKeep moves the clock and compares what went with what might go, and with
// what had to.
func (p *practice) mustKeep(d time.Duration) {
	p.Helper()
	before := p.stored()
	removed := p.advance(d)
	now := p.layer.Now()
	lapsed := func(obj providers.Object) bool {
		return strings.HasPrefix(obj.Key, manifest.Removable) && !obj.Lease.IsZero() && !obj.Lease.Add(day).After(now) &&
			!obj.Modified.Add(gcsadmin.DefaultFloor).After(now)
	}
	for _, key := range removed {
		if !lapsed(before[key]) {
			p.Errorf("%v: removed %+v", now, before[key])
		}
	}
	for _, obj := range p.stored() {
		if lapsed(obj) {
			p.Errorf("%v: should be gone: %+v", now, obj)
		}
	}
}

// canariesReport: the nights left them; now one kind is gone and the other stands.
func (p *practice) canariesReport(own []manifest.Ref) {
	p.Helper()
	report, err := manifest.Canaries(p.Context(), p.store(restorer), own, p.layer.Now(), gcsadmin.DefaultFloor)
	check(p, err)
	if report.Gone == 0 || report.Kept == 0 || report.Missing != 0 || report.Removed.IsZero() {
		p.Errorf("canaries: %+v", report)
	}
	p.Logf("canaries after 20 days: %+v", report)
}

func (s *scene) audit() []providers.Setting {
	s.Helper()
	settings, err := s.admin(admin).Audit(s.Context())
	check(s, err)
	return settings
}
