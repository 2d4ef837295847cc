package uploader_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/uploader"
	"offsite/uploader/simtest"
	"offsite/uploader/verify"
)

// watcher notes what it is fed and says what it was told to say.
type watcher struct {
	wants bool
	says  []verify.Finding

	mu   sync.Mutex
	fed  map[int][]byte   // of files that were closed
	sums map[int][32]byte // of every file, as Findings was given them
	of   []int            // entries that are files
}

type feed struct {
	bytes.Buffer
	w     *watcher
	entry int
}

func (f *feed) Close() error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.fed[f.entry] = bytes.Clone(f.Bytes())
	return nil
}

func (w *watcher) Wants(int) bool { return w.wants }

func (w *watcher) File(entry int) io.WriteCloser { return &feed{w: w, entry: entry} }

func (w *watcher) Findings(sum func(int) [32]byte) []verify.Finding {
	for _, i := range w.of {
		w.sums[i] = sum(i)
	}
	return w.says
}

// watched runs with an observer.
func watched(p *practicePC, wants bool, says ...verify.Finding) (*watcher, uploader.Result, error) {
	w := &watcher{wants: wants, says: says, fed: map[int][]byte{}, sums: map[int][32]byte{}}
	passed := p.judge()
	set := passed.Set()
	for i := range set.Len() {
		if set.At(i).Size > 0 {
			w.of = append(w.of, i)
		}
	}
	cfg := p.config()
	cfg.Observer = w
	was, err := simtest.ReadState(p.source)
	check(p.t, err)
	res, err := uploader.Run(p.t.Context(), cfg, passed)
	p.expect(was)
	return w, res, err
}

func TestTheObserverSeesTheBytesThatAreStored(t *testing.T) {
	p, _ := newPractice(t)
	w, _, err := watched(p, false)
	check(t, err)
	set := p.judge().Set()
	for _, i := range w.of {
		want, err := os.ReadFile(p.path(set.At(i).Path))
		check(t, err)
		if !bytes.Equal(w.fed[i], want) || w.sums[i] != sha256.Sum256(want) {
			t.Errorf("entry %d: %d bytes seen, want %d", i, len(w.fed[i]), len(want))
		}
	}
	if len(w.of) == 0 {
		t.Fatal("no files")
	}
	p.now = p.now.Add(11 * time.Hour) // another business date, and too soon for a file's weekly turn
	if w, _, err = watched(p, false); err != nil || len(w.fed) > 0 {
		t.Errorf("%v; %d unchanged files were shown again", err, len(w.fed))
	}
	for _, i := range w.of {
		if w.sums[i] == ([32]byte{}) {
			t.Errorf("entry %d, which was not read, has no sum", i)
		}
	}
	p.nextDay()
	if w, _, err = watched(p, true); err != nil || len(w.fed) < len(w.of) {
		t.Errorf("%v; %d of %d files that were asked for were shown", err, len(w.fed), len(w.of))
	}
}

func TestASetThatProvesSuspectWhileItIsReadIsCommittedAsSuspect(t *testing.T) {
	p, _ := newPractice(t)
	_, res, err := watched(p, false, verify.Finding{Check: "damaged", Level: verify.LevelSuspect, Measured: "9", Limit: "1", Count: 9})
	check(t, err)
	rec := res.Stores[0].Ref.Record
	if res.Verdict != manifest.Suspect || rec.Verdict != manifest.Suspect || len(rec.Findings) != 1 || rec.Findings[0].Check != "damaged" {
		t.Errorf("result %s, record %s with %+v", res.Verdict, rec.Verdict, rec.Findings)
	}
	if _, res, err = watched(p, false, verify.Finding{Check: "acknowledged", Level: verify.LevelWarning}); err != nil || res.Verdict != manifest.Clean {
		t.Errorf("the same set with a warning: %v, %s", err, res.Verdict)
	}
}

func TestASetThatProvesIncompleteWhileItIsReadIsNotCommitted(t *testing.T) {
	p, box := newPractice(t)
	_, res, err := watched(p, false, verify.Finding{Check: "cut-short", Level: verify.LevelIncomplete})
	if !errors.Is(err, uploader.ErrIncomplete) || res.Verdict != "incomplete" || len(box.keys("r/s/")) != 0 {
		t.Errorf("%v, verdict %s, records %v", err, res.Verdict, box.keys("r/s/"))
	}
	if len(res.Findings) != 1 {
		t.Errorf("findings %+v", res.Findings)
	}
	_, _, err = watched(p, false) // nothing of it stands in the way of the next run
	check(t, err)
}
