package restore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
)

func TestCheckTrustsChecksumsOfTheStore(t *testing.T) {
	t.Parallel()
	m := mem.New(mem.Options{Now: func() time.Time { return now }, Sum: true})
	p := newPracticeOn(t, m)
	p.commit(t, practiceSet(), nil)
	before := p.store.Counters().Received
	report, err := check(t, p, restore.Objects)
	if err != nil || report.Vouched != report.Packs+report.Segments || report.Compared != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := p.store.Counters().Received - before; got > 100<<10 {
		t.Errorf("%d bytes were read", got)
	}
}

func TestCheckComparesWholeFiles(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.commit(t, practiceSet(), nil)
	ref := p.commit(t, practiceSet(), func(r *manifest.Row) {
		if r.Path == "images/large.tif" || r.Path == "readme.txt" {
			r.SHA256[5] ^= 1
		}
	})
	report, err := check(t, p, restore.Bytes)
	if !errors.Is(err, restore.ErrDamagedStore) || !errors.Is(err, restore.ErrDamaged) || len(report.Findings) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	f := report.Findings[0]
	if f.Key != ref.Key || !slices.Equal(f.Days, []string{"2026-11-20#2"}) || !strings.Contains(f.Err.Error(), "2 files") || f.Advice == "" {
		t.Errorf("%+v", f)
	}
	for _, word := range []string{"large", "readme"} {
		if strings.Contains(fmt.Sprintf("%+v", report), word) {
			t.Errorf("the report names a file: %+v", report)
		}
	}
}

func TestCheckNamesDaysAndAdvice(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	_, refs := twoDays(t, p)
	p.mem.Lose(packKey(refs[1]))
	report, err := check(t, p, restore.Records)
	if !errors.Is(err, restore.ErrDamaged) || len(report.Findings) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if f := report.Findings[0]; !slices.Equal(f.Days, []string{"2026-11-20#2"}) || !strings.Contains(f.Advice, "offsite run --day") {
		t.Errorf("%+v", f)
	}
	report, err = restore.Check(t.Context(), p.store, p.trust, restore.CheckOptions{Depth: restore.Bytes, Opener: p.restore.Opener(), Refs: refs[:1]})
	if err != nil || report.Snapshots != 1 || len(report.Broken) != 0 {
		t.Errorf("the other day: %+v, %v", report, err)
	}
}

func TestCheckWithAnotherPracticesKeyIsNoFinding(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.commit(t, practiceSet(), nil)
	other := must(seal.NewRestoreKey())(t)
	report, err := restore.Check(t.Context(), p.store, p.trust, restore.CheckOptions{Depth: restore.Bytes, Opener: other.Opener()})
	if !errors.Is(err, seal.ErrNotForThisKey) || errors.Is(err, restore.ErrDamaged) || len(report.Findings) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestCheckFindsLeasesShorterThanTheSnapshotsRaisedOne(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	ref := p.commit(t, set{"a": file([]byte("a"))}, nil)
	rec := manifest.LeaseRecord{Format: 1, Repository: p.upload.Repository, Source: sourceID, PC: p.upload.PC, Time: manifest.At(now),
		Objects: []manifest.ObjectLease{}, Snapshots: []manifest.SnapshotLease{{Seq: ref.Record.Seq, Until: manifest.At(expiry.AddDate(1, 0, 0)), Class: "year"}}}
	if err := manifest.WriteLeases(t.Context(), p.store, rec, p.upload.Signing); err != nil {
		t.Fatal(err)
	}
	report, err := check(t, p, restore.Records)
	if !errors.Is(err, restore.ErrDamagedStore) || len(report.Findings) != 1+len(ref.Record.Packs)+len(ref.Record.Segments) || len(report.Broken) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	for _, f := range report.Findings {
		if !errors.Is(f.Err, restore.ErrShortLease) || !strings.Contains(f.Advice, "lease") {
			t.Errorf("%+v", f)
		}
	}
}

// TestScatteredFilesAreCompared: a file whose chunks stand in many packs in a
// strange order, as a database has after a year.
func TestScatteredFilesAreCompared(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.packed = 300 << 10
	pages := noise(3, 6<<20)
	mixed := make([]byte, 0, len(pages))
	for i := range 384 {
		at := (i * 101 % 384) << 14
		mixed = append(mixed, pages[at:at+1<<14]...)
	}
	s := set{"a.sqlite": file(pages), "b.sqlite": file(mixed)}
	ref := p.commit(t, s, nil)
	report, err := check(t, p, restore.Bytes)
	if err != nil || report.Files+report.Unhashed != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	dir := t.TempDir()
	before := p.store.Counters()
	if _, err := open(t, p, ref).Restore(t.Context(), restore.Options{To: dir, Workers: 4}); err != nil {
		t.Fatal(err)
	}
	same(t, dir, s, false, everything)
	if n := p.store.Counters().Get - before.Get; n > int64(len(ref.Record.Packs)+len(ref.Record.Segments)+8) {
		t.Errorf("%d requests for %d packs", n, len(ref.Record.Packs))
	}
}

func TestCheckOfAStoreThatDoesNotAnswerIsNoFinding(t *testing.T) {
	t.Parallel()
	p := newPractice(t)
	p.commit(t, practiceSet(), nil)
	driver := unreachable{p.mem, manifest.PackPrefix}
	store := providers.NewStore(driver, providers.Options{Attempts: 1})
	for _, d := range []restore.Depth{restore.Objects, restore.Bytes} {
		report, err := restore.Check(t.Context(), store, p.trust, restore.CheckOptions{Depth: d, Opener: p.restore.Opener()})
		if !errors.Is(err, providers.ErrUnreachable) || errors.Is(err, restore.ErrDamaged) || len(report.Findings) > 0 {
			t.Errorf("%s: %+v, %v", d, report, err)
		}
	}
}
