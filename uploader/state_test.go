package uploader_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers/providertest"
	"offsite/uploader"
)

func TestLocalStateMayBeLost(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(p *practicePC)
	}{
		{"all of it", func(p *practicePC) { p.state = p.t.TempDir() }},
		{"the files", func(p *practicePC) { check(p.t, os.Remove(filepath.Join(p.state, "files"))) }},
		{"the journal", func(p *practicePC) { check(p.t, os.Remove(filepath.Join(p.state, "journal"))) }},
		{"emptied", func(p *practicePC) {
			check(p.t, os.Truncate(filepath.Join(p.state, "files"), 0))
		}},
		{"replaced by something else", func(p *practicePC) {
			check(p.t, os.WriteFile(filepath.Join(p.state, "files"), []byte(noise(5, 5000)), 0o600))
			check(p.t, os.WriteFile(filepath.Join(p.state, "journal"), []byte(noise(6, 5000)), 0o600))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, box := newPractice(t)
			p.commit()
			packs := box.keys("r/p/")
			c.harm(p)
			p.nothingNew()
			if res, _ := p.run(); res.Read != 0 {
				t.Errorf("%d bytes were read once more: what was learned again must be remembered", res.Read)
			}
			p.nextDay()
			p.edit("data/patients.fs5", 0, "x")
			p.commit()
			if n := len(box.keys("r/p/")) - len(packs); n != 2 {
				t.Errorf("%d new packs, want one with the page and one with the table", n)
			}
			p.once()
		})
	}
}

// TestEveryBitOfTheLocalStateMayFlip: one flipped bit costs reading, never
// correctness. The file must be whole to be believed.
func TestEveryBitOfTheLocalStateMayFlip(t *testing.T) {
	p, _ := newPractice(t)
	p.commit()
	p.edit("data/patients.fs5", 0, "x")
	path := filepath.Join(p.state, "files")
	whole, err := os.ReadFile(path)
	check(t, err)
	for i := range 24 / thin {
		off := i * len(whole) * thin / 24
		t.Run(fmt.Sprint("byte ", off), func(t *testing.T) {
			p := p.fork(t, p.now)
			harmed := slices.Clone(whole)
			harmed[off] ^= 1 << (i % 8)
			check(t, os.WriteFile(filepath.Join(p.state, "files"), harmed, 0o600))
			res := p.commit()
			if res.Read != res.Bytes {
				t.Errorf("read %d of %d: a damaged memory was believed", res.Read, res.Bytes)
			}
			p.once()
		})
	}
}

// crashed is a practice whose only run stored all its packs and then lost the store.
func crashed(t *testing.T) (*practicePC, *box) {
	t.Helper()
	p, box := newPractice(t)
	box.faulty.Set(providertest.Rule{Op: "put", Prefix: "r/x/", Outcome: providertest.Gone})
	if res, err := p.run(); !errors.Is(err, uploader.ErrStores) || len(box.keys("r/p/")) != 3 {
		t.Fatal(describe(res, err))
	}
	box.faulty.Set()
	return p, box
}

func TestTheJournalSavesWhatACrashedRunStored(t *testing.T) {
	p, box := crashed(t)
	packs := box.keys("r/p/")
	if res := p.commit(); res.New != 0 || !slices.Equal(box.keys("r/p/"), packs) {
		t.Errorf("%d new bytes after a run that had stored all", res.New)
	}
	if info, err := os.Stat(filepath.Join(p.state, "journal")); err != nil || info.Size() != 0 {
		t.Errorf("the journal of a committed run: %v, %v", info, err)
	}
}

// TestADamagedJournalCostsStoringAgain: what stands before the damage still counts.
func TestADamagedJournalCostsStoringAgain(t *testing.T) {
	p, _ := crashed(t)
	whole, err := os.ReadFile(filepath.Join(p.state, "journal"))
	check(t, err)
	for i := range 24 / thin {
		for _, cut := range []bool{false, true} {
			off := i * len(whole) * thin / 24
			t.Run(fmt.Sprintf("byte %d cut %v", off, cut), func(t *testing.T) {
				p := p.fork(t, p.now)
				harmed := slices.Clone(whole)
				harmed[off] ^= 1 << (i % 8)
				if cut {
					harmed = harmed[:off]
				}
				check(t, os.WriteFile(filepath.Join(p.state, "journal"), harmed, 0o600))
				res := p.commit()
				if n := result(t, res, "first").Packs; n < 1 || n > 3 {
					t.Errorf("%d packs stored", n)
				}
				p.nothingNew()
			})
		}
	}
}

// TestAnOldJournalIsNotTrusted: packs of a run that never committed were leased for
// a time that nobody wrote down.
func TestAnOldJournalIsNotTrusted(t *testing.T) {
	p, _ := crashed(t)
	p.now = p.now.AddDate(0, 0, 21)
	if res := p.commit(); res.Stores[0].Packs != 3 {
		t.Errorf("%d packs stored, want all again", res.Stores[0].Packs)
	}
}

// TestAJournalOutlivesPacksThatLapsed: the run never finished, and its packs are gone.
func TestAJournalOutlivesPacksThatLapsed(t *testing.T) {
	p, box := crashed(t)
	p.now = p.now.AddDate(0, 0, 120)
	if gone := box.mem.Lapse("r/"); len(gone) != 3 {
		t.Fatalf("%d packs lapsed, want 3", len(gone))
	}
	p.commit()
	p.nothingNew()
}

// TestLocalStateOfAnotherSourceIsNotBelieved: the same names, sizes and dates, and
// on a file system without ids and change times nothing else to tell them by.
func TestLocalStateOfAnotherSourceIsNotBelieved(t *testing.T) {
	p, _ := newPractice(t)
	p.commit()
	p.id = "1112131415161718"
	if res := p.commit(); res.Read != res.Bytes || res.New != 0 {
		t.Errorf("read %d of %d, %d new; want all read and nothing new, as both share the store", res.Read, res.Bytes, res.New)
	}
	p.once()
}

func TestTwoRunsOfOneSourceExcludeEachOther(t *testing.T) {
	p, box := newPractice(t)
	var second error
	box.during(func() { _, second = uploader.Run(t.Context(), p.config(), p.judge()) })
	p.commit()
	if !errors.Is(second, uploader.ErrRunning) {
		t.Errorf("a second run during the first: %v, want ErrRunning", second)
	}
	box.hook.set(nil)
	p.nothingNew()
}

// join is a second PC of the same practice with a source of its own.
func (p *practicePC) join(id string) *practicePC {
	p.t.Helper()
	key, err := seal.NewUploadKey(p.key.Repository, seal.NewID(), p.restore.Recipient(), p.key.Secrets, p.key.Owner)
	check(p.t, err)
	q := *p
	q.key, q.id, q.source, q.state = key, id, p.t.TempDir(), p.t.TempDir()
	for _, b := range p.boxes {
		check(p.t, manifest.Enrol(p.t.Context(), p.open(b.mem), p.owner, q.enrolment()))
	}
	return &q
}

func TestTwoPCsOfOnePracticeShareWhatTheyStore(t *testing.T) {
	p, box := newPractice(t)
	q := p.join("2122232425262728")
	for _, pc := range []*practicePC{p, q} {
		pc.write("shared/handbook.pdf", noise(70, 300<<10))
		pc.write("shared/big.fs5", noise(71, 100<<10))
	}
	q.write("own.txt", "only here")
	p.commit()
	packs := len(box.keys("r/p/"))
	if res := q.commit(); res.New > 4<<10 || len(box.keys("r/p/")) != packs+2 {
		t.Errorf("%d new bytes, %d new packs; want those of one letter and the table", res.New, len(box.keys("r/p/"))-packs)
	}
	p.nothingNew()
	q.nothingNew()
	// Long after, each keeps alive what it shares.
	for range 5 {
		p.now = p.now.AddDate(0, 0, 30)
		p.commit()
		if res := q.commit(); res.New != 0 {
			t.Errorf("%d new bytes", res.New)
		}
		p.check()
		box.mem.Lapse("r/")
	}
	p.once()
}

// TestTwoPCsAtTheSameTime: both store the same new bytes, which costs a second copy
// and nothing else; the night after they share them.
func TestTwoPCsAtTheSameTime(t *testing.T) {
	p, box := newPractice(t)
	q := p.join("2122232425262728")
	q.write("images/b.jpg", noise(2, 700<<10))
	var began atomic.Bool
	box.hook.set(func(op, key string, apply func() error) error {
		if op == "put" && strings.HasPrefix(key, "r/x/") && began.CompareAndSwap(false, true) {
			q.commit()
		}
		return apply()
	})
	p.commit()
	box.hook.set(nil)
	p.nextDay()
	for _, pc := range []*practicePC{p, q} {
		if res := pc.commit(); res.New != 0 {
			t.Errorf("%d new bytes", res.New)
		}
	}
}

// TestAPCThatIsNotEnrolledWritesNothing: nobody would believe its records, so it
// must not find that out after hours of sending.
func TestAPCThatIsNotEnrolledWritesNothing(t *testing.T) {
	p, box := newPractice(t)
	stranger, err := seal.NewUploadKey(p.key.Repository, seal.NewID(), p.restore.Recipient(), p.key.Secrets, p.key.Owner)
	check(t, err)
	own, before := p.key, len(box.faulty.Calls())
	p.key = stranger
	if res, err := p.run(); !errors.Is(err, uploader.ErrNotEnrolled) {
		t.Errorf("%s, want ErrNotEnrolled", describe(res, err))
	}
	if w := box.writes(before); len(w) > 0 {
		t.Errorf("it wrote %v", w)
	}
	p.key = own
	p.commit()
}
