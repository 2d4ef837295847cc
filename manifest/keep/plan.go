package keep

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"offsite/manifest"
	"offsite/providers"
)

// Lapsed is one object that may be removed, and why.
type Lapsed struct {
	Key     string
	Version providers.Version
	Size    int64
	Until   Until
}

// Plan says what has lapsed.
type Plan struct {
	Lapsed []Lapsed  // in the order of their removal
	Kept   int       // objects whose time has not come
	Held   int       // objects among them that have lapsed but for a hold
	Alien  []string  // keys of a kind that this version does not know; they stay
	Next   time.Time // when the next object may be removed; zero: never
}

// What evidence says that is no document.
const (
	byLease    = "the store's own lease"
	byCreation = "30 days from its creation"
	byCanary   = "the lease of every canary"
)

// Plan works out what has lapsed by now. It is empty if any document is bad.
func (e *Evidence) Plan(now time.Time) Plan {
	var p Plan
	if len(e.bad) > 0 {
		p.Kept = len(e.objects)
		return p
	}
	for _, o := range e.objects {
		if kindOf(o.Key) == "" {
			p.Alien = append(p.Alien, o.Key)
			continue
		}
		u := e.until(o)
		gone := u.Time.Add(Grace).Before(now) && !o.Modified.IsZero()
		switch {
		case gone && e.held[o.Key]:
			p.Held++
			p.Kept++
		case gone:
			p.Lapsed = append(p.Lapsed, Lapsed{o.Key, o.Version, o.Size, u})
		default:
			p.Kept++
			if at := u.Time.Add(Grace); !e.held[o.Key] && (p.Next.IsZero() || at.Before(p.Next)) {
				p.Next = at
			}
		}
	}
	slices.SortStableFunc(p.Lapsed, func(a, b Lapsed) int { return cmp.Compare(a.rank(), b.rank()) })
	return p
}

// until is the latest of all that is known of an object. It names the document that
// needed it the longest, also where something else kept it on.
func (e *Evidence) until(o providers.Object) Until {
	document := e.keys[o.Key]
	u := document.latest(Until{Time: o.Lease, By: byLease})
	switch {
	case strings.HasPrefix(o.Key, providers.CanaryPrefix) && strings.HasSuffix(o.Key, "-short"):
		u = u.latest(Until{Time: o.Modified.Add(manifest.ShortCanary), By: byCanary})
	case strings.HasPrefix(o.Key, providers.CanaryPrefix):
		u = u.latest(Until{Time: o.Modified.Add(manifest.LongCanary), By: byCanary})
	default:
		u = u.latest(Until{Time: o.Modified.Add(Young), By: byCreation})
	}
	if document.By != "" && document.By != u.By {
		u.By = document.By + ", then " + u.By
	}
	return u
}

// rank orders removals. A record goes before what it needs, so that no crash leaves
// one that promises what is gone; lease records go last, so that the evidence for
// what is left stays until the end.
func (l Lapsed) rank() int {
	switch {
	case strings.HasPrefix(l.Key, manifest.RecordPrefix):
		return 0
	case strings.HasPrefix(l.Key, manifest.LeasePrefix):
		return 2
	}
	return 1
}

// Kind names what kind of object it is.
func (l Lapsed) Kind() string { return kindOf(l.Key) }

func kindOf(key string) string {
	for prefix, kind := range kinds {
		if strings.HasPrefix(key, prefix) {
			return kind
		}
	}
	return ""
}

var kinds = map[string]string{
	manifest.PackPrefix: "pack", manifest.SegmentPrefix: "index segment", manifest.RecordPrefix: "record",
	manifest.LeasePrefix: "lease record", providers.CanaryPrefix: "canary",
}

// Sum is what a plan says of one kind of object.
type Sum struct {
	Kind   string    `json:"kind"`
	Count  int       `json:"count"`
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldest_lapse"`
	Newest time.Time `json:"newest_lapse"`
}

// Sums adds the plan up by kind.
func (p Plan) Sums() []Sum {
	sums := make(map[string]*Sum)
	for _, l := range p.Lapsed {
		s := sums[l.Kind()]
		if s == nil {
			s = &Sum{Kind: l.Kind(), Oldest: l.Until.Time, Newest: l.Until.Time}
			sums[l.Kind()] = s
		}
		s.Count++
		s.Bytes += l.Size
		if l.Until.Time.Before(s.Oldest) {
			s.Oldest = l.Until.Time
		}
		if l.Until.Time.After(s.Newest) {
			s.Newest = l.Until.Time
		}
	}
	out := []Sum{}
	for _, s := range sums {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Sum) int { return strings.Compare(a.Kind, b.Kind) })
	return out
}

const (
	// MaxSkew is how far the clocks of the store and of this computer may be apart
	// when something is removed. Computers that ask for the time differ by seconds.
	MaxSkew = 15 * time.Minute
	// Quiet is the longest silence that leaves no doubt about the clock.
	Quiet = 14 * 24 * time.Hour
	// remembered is for how long a longer silence leaves one: what was stored within
	// Young still stands, so that a gap of Quiet that ended since is a real one.
	remembered = Young - Quiet
)

// Errors of the clock.
var (
	ErrClocks = errors.New("the clocks of the store and of this computer disagree")
	ErrSilent = errors.New("the clock may have leapt, or the backups have stopped")
)

// Now is the time by which things lapse: the earlier of two clocks that agree.
func Now(store, pc time.Time) (time.Time, error) {
	if d := store.Sub(pc).Abs(); d > MaxSkew {
		return time.Time{}, fmt.Errorf("%w: by %v, and at most %v is allowed", ErrClocks, d.Round(time.Second), MaxSkew)
	}
	if store.Before(pc) {
		return store, nil
	}
	return pc, nil
}

// Alive is nil if the store was written to often enough lately for now to be
// believed. A folder has no clock of its own: if the computer's clock has leapt by
// a year, both agree, and everything would seem to have lapsed.
func (e *Evidence) Alive(now time.Time) error {
	times := make([]time.Time, 0, len(e.objects))
	for _, o := range e.objects {
		times = append(times, o.Modified)
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	last := now
	for _, t := range times {
		if now.Sub(last) > remembered {
			break
		}
		if last.Sub(t) > Quiet {
			return fmt.Errorf("%w: nothing was stored from %s to %s", ErrSilent, t.UTC().Format(time.DateOnly), last.UTC().Format(time.DateOnly))
		}
		if t.Before(last) {
			last = t
		}
	}
	return nil
}
