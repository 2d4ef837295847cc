package restore_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/manifest/seal"
	"offsite/providers"
)

func check(t *testing.T, p *practice, d restore.Depth) (restore.CheckReport, error) {
	t.Helper()
	opt := restore.CheckOptions{Depth: d}
	if d == restore.Bytes {
		opt.Opener, opt.Namer = p.restore.Opener(), p.upload.Namer()
	}
	return restore.Check(t.Context(), p.store, p.trust, opt)
}

// twoDays stores two snapshots that share all but a few files.
func twoDays(t *testing.T, p *practice) (set, []manifest.Ref) {
	s := practiceSet()
	first := p.commit(t, s, nil)
	s["readme.txt"] = file([]byte("Friday's backup\n"))
	return s, []manifest.Ref{first, p.commit(t, s, nil)}
}

func TestCheckFindsNothingWhereAllIsWell(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	_, refs := twoDays(t, p)
	sum := int64(0)
	seen := make(map[string]bool)
	for _, r := range refs {
		for _, pin := range r.Record.Packs {
			if !seen[pin.Name.String()] {
				seen[pin.Name.String()] = true
				sum += pin.Size
			}
		}
	}
	for _, d := range []restore.Depth{restore.Records, restore.Objects, restore.Bytes} {
		before := p.store.Counters()
		report, err := check(t, p, d)
		if err != nil || report.Snapshots != 2 || report.Packs != len(seen) || report.Segments != 4 {
			t.Errorf("%s: %+v, %v", d, report, err)
		}
		after := p.store.Counters()
		if after.Put+after.Raise > before.Put+before.Raise {
			t.Errorf("%s: a check wrote to the store", d)
		}
		if after.Stat > before.Stat+1 {
			t.Errorf("%s: %d objects were asked for singly", d, after.Stat-before.Stat)
		}
		if d == restore.Records && report.Compared > 0 || d == restore.Objects && report.Compared < sum {
			t.Errorf("%s: %d bytes read of %d", d, report.Compared, sum)
		}
		if d == restore.Bytes && (report.Bytes != sum || report.Files != 205 || report.Unhashed != 0) {
			t.Errorf("%d bytes read of %d, %d files compared", report.Bytes, sum, report.Files)
		}
	}
}

func TestCheckFindsEveryKindOfDamage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		harm   func(p *practice, refs []manifest.Ref)
		depth  restore.Depth // the least that finds it
		key    func(refs []manifest.Ref) string
		broken int
	}{
		{"record bit", func(p *practice, refs []manifest.Ref) { p.mem.Damage(refs[0].Key, 300) }, restore.Records,
			func(refs []manifest.Ref) string { return refs[0].Key }, 0},
		{"pack lost", func(p *practice, refs []manifest.Ref) { p.mem.Lose(packKey(refs[1])) }, restore.Records,
			func(refs []manifest.Ref) string { return packKey(refs[1]) }, 1},
		{"pack bit", func(p *practice, refs []manifest.Ref) { p.mem.Damage(packKey(refs[0]), 40000) }, restore.Objects,
			func(refs []manifest.Ref) string { return packKey(refs[0]) }, 1},
		{"segment lost", func(p *practice, refs []manifest.Ref) { p.mem.Lose(segmentKey(refs[0])) }, restore.Records,
			func(refs []manifest.Ref) string { return segmentKey(refs[0]) }, 0},
		{"segment bit", func(p *practice, refs []manifest.Ref) { p.mem.Damage(segmentKey(refs[0]), 3500) }, restore.Objects,
			func(refs []manifest.Ref) string { return segmentKey(refs[0]) }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPractice(t)
			_, refs := twoDays(t, p)
			c.harm(p, refs)
			for _, d := range []restore.Depth{restore.Records, restore.Objects, restore.Bytes} {
				report, err := check(t, p, d)
				if d < c.depth {
					if err != nil {
						t.Errorf("%s: %v", d, err)
					}
					continue
				}
				if !errors.Is(err, restore.ErrDamagedStore) || !errors.Is(err, providers.ErrCorrupt) {
					t.Errorf("%s: %v", d, err)
				}
				if len(report.Findings) != 1 || report.Findings[0].Key != c.key(refs) || len(report.Broken) != c.broken {
					t.Errorf("%s: %+v, broken %v", d, report.Findings, report.Broken)
				}
			}
		})
	}
}

// packKey is the key of a pack that no other snapshot of the tests needs.
func packKey(r manifest.Ref) string {
	largest := slices.MaxFunc(r.Record.Packs, func(a, b manifest.Pin) int { return int(a.Size - b.Size) })
	return manifest.PackKey(largest.Name)
}

func segmentKey(r manifest.Ref) string { return manifest.SegmentKey(r.Record.Segments[0].Name) }

func TestCheckFindsFileTablesThatLie(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	ref := p.commit(t, practiceSet(), func(r *manifest.Row) {
		if r.Path == "db/patients.sqlite" {
			r.Size++
		}
	})
	report, err := check(t, p, restore.Bytes)
	if !errors.Is(err, restore.ErrDamagedStore) || len(report.Findings) != 1 || report.Findings[0].Key != ref.Key || !slices.Equal(report.Broken, []string{ref.Key}) {
		t.Errorf("%+v, %v", report, err)
	}
	for _, f := range report.Findings {
		if strings.Contains(f.Err.Error(), "patients") {
			t.Errorf("the report names a file: %v", f.Err)
		}
	}
}

func TestCheckFindsChunksUnderWrongNames(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.commit(t, set{"a": file([]byte("a"))}, nil)
	other := must(seal.NewSecrets())(t)
	report, err := restore.Check(t.Context(), p.store, p.trust, restore.CheckOptions{Depth: restore.Bytes, Opener: p.restore.Opener(), Namer: other.Namer()})
	if !errors.Is(err, restore.ErrDamagedStore) || len(report.Findings) != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestCheckFindsLeasesThatEndTooEarly(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.commit(t, set{"a": file([]byte("a"))}, nil)
	// The same objects, needed longer than they are leased: no uploader writes this.
	p.early = 24 * time.Hour
	p.commit(t, set{"b": file([]byte("b"))}, nil)
	report, err := check(t, p, restore.Objects)
	if !errors.Is(err, restore.ErrDamagedStore) || len(report.Broken) != 0 || len(report.Findings) == 0 {
		t.Errorf("%+v, %v", report, err)
	}
	for _, f := range report.Findings {
		if !errors.Is(f.Err, restore.ErrShortLease) {
			t.Error(f.Err)
		}
	}
}

func TestDepthsAreReadByTheirWords(t *testing.T) {
	t.Parallel()
	for _, d := range []restore.Depth{restore.Records, restore.Objects, restore.Bytes} {
		if got, err := restore.ParseDepth(d.String()); got != d || err != nil {
			t.Error(d, got, err)
		}
	}
	if _, err := restore.ParseDepth("all"); err == nil {
		t.Error("a depth that is none")
	}
	if _, err := restore.Check(t.Context(), nil, nil, restore.CheckOptions{Depth: restore.Bytes}); err == nil {
		t.Error("read bytes without a key")
	}
}
