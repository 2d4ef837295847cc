package uploader_test

import (
	"os"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/uploader/simtest"
)

// TestARunIntoAFolderStore runs over a practice of a few files, or over the folder
// that OFFSITE_TRY names.
func TestARunIntoAFolderStore(t *testing.T) {
	src := os.Getenv("OFFSITE_TRY")
	p, _ := newPractice(t)
	p.stores = nil
	if src != "" {
		p.source = src
	}
	d, _ := folder(t)
	p.addStore("folder", d)
	for range 2 {
		start := time.Now()
		res := p.commit()
		rec := res.Stores[0].Ref.Record
		t.Logf("%v: %+v", time.Since(start), rec.Counts)
		if src == "" {
			was, err := simtest.ReadState(p.source)
			check(t, err)
			p.checker.Expect("folder", manifest.RecordKey(rec.Source, rec.Seq), was)
		}
		p.nextDay()
	}
	if src == "" {
		check(t, p.checker.Check(t.Context(), "folder", d))
	}
}

func TestARunCommitsWhatTheSourceHolds(t *testing.T) {
	p, box := newPractice(t)
	res := p.commit()
	if res.Files != 6 || res.Bytes == 0 || res.Read != res.Bytes || res.New == 0 {
		t.Errorf("result is %+v", res)
	}
	if n := len(box.keys("r/s/")); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
	p.once()
}

func TestTheSameSetOfTheSameDayIsNothingNew(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	n := len(box.faulty.Calls())
	p.nothingNew()
	if w := box.writes(n); len(w) > 0 {
		t.Errorf("writes: %v", w)
	}
}

func TestTheSameSetOfTheNextDayIsAnotherSnapshotAndNoNewPack(t *testing.T) {
	p, box := newPractice(t)
	p.commit()
	packs := len(box.keys("r/p/"))
	p.nextDay()
	res := p.commit()
	if len(box.keys("r/p/")) != packs || res.New != 0 {
		t.Errorf("packs %d instead of %d, %+v", len(box.keys("r/p/")), packs, res)
	}
}
