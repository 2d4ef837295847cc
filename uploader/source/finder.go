package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// eyes are what waiting sees of a source. Tests have others, for which no file has
// to be written.
type eyes interface {
	// look finds the newest set and lists its files.
	look(ctx context.Context) (Set, error)
	// writers counts the files of a set that some program is seen to hold open for
	// writing. Sure says that there can be no others.
	writers(ctx context.Context, set Set) (open int, sure bool)
	// unwritten reports a large new file that ends in zeros: its size was set aside
	// before its content.
	unwritten(set Set) bool
}

// fullLooks is after how many looks every set is listed anew to find the newest.
// In between only those are of which something shows without going deep.
const fullLooks = 10

// finder is the eyes of a layout. It is safe for concurrent use.
type finder struct {
	layout   Layout
	compared atomic.Bool // with the files of the live folders

	mu    sync.Mutex
	known map[string]sight // of candidates whose names tell no date
	looks int
}

// sight is what a candidate was like.
type sight struct {
	hint   int64
	moment time.Time
	look   int
}

func newFinder(l Layout) *finder { return &finder{layout: l, known: map[string]sight{}} }

func (f *finder) look(ctx context.Context) (Set, error) {
	found, err := f.layout.find(ctx)
	if err != nil {
		return Set{}, err
	}
	c, err := f.newest(ctx, found)
	if err != nil {
		return Set{}, err
	}
	set, err := c.scan(ctx)
	if err != nil {
		return Set{}, err
	}
	// Once is enough: links do not come and go, and listing live data costs.
	if !f.compared.Load() {
		if err := refuseLinked(ctx, set); err != nil {
			return Set{}, err
		}
		f.compared.Store(true)
	}
	set.d.finder, set.d.members = f, c.members
	set.d.ahead, set.d.away = found.Ahead, found.Away
	return set, nil
}

// newest returns the newest candidate: by the dates in names, or else by what is in
// the sets.
func (f *finder) newest(ctx context.Context, found Found) (Candidate, error) {
	first := found.Sets[0]
	if len(found.Sets) == 1 || !first.Stamp.IsZero() || first.hint == maxTime {
		return first, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	var best Candidate
	var when time.Time
	var wrong error
	for _, c := range found.Sets {
		s, ok := f.known[c.Name]
		if !ok || s.hint != c.hint || f.looks-s.look >= fullLooks {
			set, err := c.scan(ctx)
			if err != nil {
				wrong = cmp.Or(wrong, err)
				continue
			}
			s = sight{c.hint, set.Moment(), f.looks}
			f.known[c.Name] = s
		}
		if best.opt.Roots == nil || s.moment.After(when) {
			best, when = c, s.moment
		}
	}
	if best.opt.Roots == nil {
		return Candidate{}, wrong
	}
	return best, context.Cause(ctx)
}

// Newest lists the newest set as it stands, without waiting for anything.
func (l Layout) Newest(ctx context.Context) (Set, error) {
	set, err := newFinder(l).look(ctx)
	if err != nil {
		return Set{}, fmt.Errorf("find newest set: %w", err)
	}
	return set, nil
}

// Pick returns the newest set that want accepts, of those that have a finished one
// after them or have not changed for the quiet period. It lists each until then.
func (l Layout) Pick(ctx context.Context, want func(Set) bool) (Set, error) {
	found, err := l.find(ctx)
	if err != nil {
		return Set{}, fmt.Errorf("pick set: %w", err)
	}
	f := newFinder(l)
	var best Set
	for _, c := range found.Sets {
		set, err := c.scan(ctx)
		switch {
		case errors.Is(err, ErrRootEmpty) || errors.Is(err, ErrRootMissing):
			continue
		case err != nil:
			return Set{}, fmt.Errorf("pick set: %w", err)
		case !want(set):
			continue
		}
		set.d.finder, set.d.members = f, c.members
		if !c.Stamp.IsZero() || c.hint == maxTime {
			return set, nil // they come newest first
		}
		if !best.Valid() || set.Moment().After(best.Moment()) {
			best = set
		}
	}
	if !best.Valid() {
		return Set{}, fmt.Errorf("pick set: %w", ErrNoDay)
	}
	return best, nil
}

// Renewed reports whether the newest set of the source is no longer what s was:
// another one, or this one changed.
func (s Set) Renewed(ctx context.Context) (bool, error) {
	if s.Valid() && s.d.finder != nil {
		var c Candidate
		found, err := s.d.finder.layout.find(ctx)
		if err == nil {
			c, err = s.d.finder.newest(ctx, found)
		}
		if err != nil {
			return false, fmt.Errorf("look for a newer set: %w", err)
		}
		if c.Name != s.Name() {
			return true, nil
		}
	}
	changes, err := s.Recheck(ctx)
	return len(changes) > 0, err
}

// joined returns what belongs to a set by its name now and did not when the set was
// listed: a second archive with the date of the first.
func (s Set) joined(ctx context.Context) ([]Change, error) {
	if s.d.finder == nil || s.d.members == nil {
		return nil, nil
	}
	found, err := s.d.finder.layout.find(ctx)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, c := range found.Sets {
		if !slices.ContainsFunc(c.members, func(m string) bool { return slices.Contains(s.d.members, m) }) {
			continue
		}
		for _, m := range c.members {
			if !slices.Contains(s.d.members, m) {
				changes = append(changes, Change{m, Added})
			}
		}
	}
	return changes, nil
}

// Of a set at most so many files are looked at for zeros at the end, the newest of
// those that are large enough to have their size set aside.
const maxTails, tailFile = 16, 1 << 20

// unwritten looks at the ends of the newest large files.
func (f *finder) unwritten(set Set) bool {
	var large []Entry
	for e := range set.Entries() {
		if e.Type == TypeFile && e.Err == nil && e.Size >= tailFile {
			large = append(large, e)
		}
	}
	slices.SortFunc(large, func(a, b Entry) int { return cmp.Compare(lastChange(b), lastChange(a)) })
	return slices.ContainsFunc(large[:min(len(large), maxTails)], set.endsInZeros)
}

func (s Set) endsInZeros(e Entry) bool {
	f, err := s.Open(e)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	var tail [4096]byte
	n, err := f.ReadAt(tail[:], e.Size-int64(len(tail)))
	return err == nil && n == len(tail) && tail == [4096]byte{}
}
