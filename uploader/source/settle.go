package source

import (
	"context"
	"time"
)

const (
	// pauses is how many halves of the longest pause seen in a run the quiet period
	// must have at least: a share that stalled once stalls again, and longer.
	pauses = 3
	// rates is how much longer than the time that the last file should take a file
	// with its whole size set aside from the start is waited for.
	rates = 2
	// maxPause bounds what is learned from pauses, and how long a file that ends in
	// zeros is waited for. Some programs write such files.
	maxPause = 2 * time.Hour
	// maxFile bounds how long one file may be expected to take.
	maxFile = 8 * time.Hour
	// maxStep is how far a pause may miss its length before it counts as a jump of
	// the clock: longer than a busy PC is late.
	maxStep = time.Minute
	// maxReport is how far ahead of the clock a report of the end may be dated.
	maxReport = 2 * time.Minute
	// coarseStep is the step of times on the FAT family; logs have whole seconds.
	coarseStep, logStep = 2 * time.Second, time.Second
	// restlessLooks is how many looks it takes to call a source restless.
	restlessLooks = 20
)

// ProofKind is what showed that a set had settled.
type ProofKind uint8

// The kinds of proof.
const (
	ProofNone  ProofKind = iota // nobody waited
	ProofQuiet                  // nothing changed for long enough
	ProofMark                   // the file that the backup program writes last
	ProofEnd                    // the backup program's report
)

// String returns the word for k.
func (k ProofKind) String() string {
	return [...]string{"none", "quiet", "mark", "report"}[k&3]
}

// Proof says what showed that a set had settled.
type Proof struct {
	Kind  ProofKind
	At    time.Time     // of the mark or report
	Quiet time.Duration // for which nothing had changed
}

// ended looks for what says by itself that the backup has ended.
func (w *waiter) ended(ctx context.Context, now time.Time) (Proof, bool) {
	step := logStep
	for _, v := range w.last.d.volumes {
		if v.Coarse {
			step = coarseStep
		}
	}
	if at, rest := w.last.mark(w.opt.Done); at != 0 && at+int64(step) > rest {
		return Proof{Kind: ProofMark, At: time.Unix(0, at)}, true
	}
	if w.opt.Ended == nil {
		return Proof{}, false
	}
	at, ok := w.opt.Ended(ctx, w.last)
	newest := w.last.Newest()
	if !ok || at.IsZero() || newest.IsZero() || at.After(now.Add(maxReport)) || at.Add(step).Before(newest) {
		return Proof{}, false
	}
	return Proof{Kind: ProofEnd, At: at}, true
}

// mark returns the newest change of the files that done matches, and that of all
// other files. Folders do not count: the mark itself touches its own.
func (s Set) mark(done Pattern) (mark, rest int64) {
	for e := range s.Entries() {
		switch {
		case e.Type != TypeFile || e.Err != nil:
		case done.Match(s.Within(e), false):
			mark = max(mark, lastChange(e))
		default:
			rest = max(rest, lastChange(e))
		}
	}
	return mark, rest
}

// patience is what was seen of the writer at work, and how long a silence must
// therefore be before it counts as the end.
type patience struct {
	name    string
	first   time.Time // first change seen
	last    time.Time // last change seen
	longest time.Duration
	written int64           // bytes of what was seen before the last change
	pending int64           // bytes of what the last change brought
	counted map[string]bool // files whose bytes are in one of them

	looks, changes int
	added          int64 // bytes and files that came, less those that went
}

// saw takes note of a change between two looks.
func (p *patience) saw(was, now Set, at time.Time) {
	p.looks++
	if !was.Valid() || now.Name() != p.name {
		*p = patience{name: now.Name(), counted: map[string]bool{}, looks: p.looks, changes: p.changes}
	}
	if !was.Valid() {
		return
	}
	p.changes++
	p.added += now.Totals().Bytes - was.Totals().Bytes + int64(now.Totals().Files-was.Totals().Files)
	if p.first.IsZero() {
		p.first = at
	} else {
		// The time that the last file should have taken is no pause.
		p.longest = max(p.longest, at.Sub(p.last)-p.expected())
	}
	p.last = at
	p.written += p.pending
	p.pending = 0
	differ(was.d.entries, now.d.entries, func(c Change) bool {
		e, ok := now.Find(c.Path)
		if !ok || e.Type != TypeFile {
			return true
		}
		before, _ := was.Find(c.Path)
		switch {
		case c.Kind == Changed && e.Size > before.Size:
			p.pending += e.Size - before.Size
		case !p.counted[c.Path]:
			p.pending += e.Size // written anew, at its size from the start
		}
		p.counted[c.Path] = true
		return true
	})
}

func (p *patience) calm() { p.looks++ }

// expected is how long the bytes of the last change should take, at the rate of
// those before. It is zero as long as there is no rate.
func (p *patience) expected() time.Duration {
	span := p.last.Sub(p.first)
	if span <= 0 || p.written <= 0 {
		return 0
	}
	return time.Duration(min(float64(p.pending)/float64(p.written)*float64(span), float64(maxFile)))
}

// jumped forgets times that were read before the clock jumped.
func (p *patience) jumped(now time.Time) {
	if !p.first.IsZero() {
		p.first, p.last, p.written = now, now, 0
	}
}

// need is how long nothing must have changed. Sure says that the test for open
// files would have found any writer: then a file cannot be on its way unseen.
func (p *patience) need(quiet time.Duration, set Set, sure, unwritten bool) time.Duration {
	for _, v := range set.d.volumes {
		if v.Coarse {
			quiet = max(quiet, 2*coarseStep)
		}
	}
	quiet = max(quiet, min(pauses*p.longest/2, maxPause))
	if sure {
		return quiet
	}
	quiet = max(quiet, min(rates*p.expected(), maxFile))
	if unwritten {
		quiet = max(quiet, maxPause)
	}
	return quiet
}

// restless reports that nearly every look found a change and that all of them
// together added next to nothing: a database at work, not a copy of one.
func (p *patience) restless() bool {
	return p.looks >= restlessLooks && p.changes*10 >= p.looks*9 && p.added < 1<<20
}
