package uploader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"offsite/providers"
	"offsite/providers/providertest"
	"offsite/uploader"
)

// TestRandomLives lives through days with changes, faults, stops and stores that come
// and go, in an order that a seed decides. Every snapshot of every store must be
// whole at the end, and no chunk stored twice. OFFSITE_LIVES says how many lives.
func TestRandomLives(t *testing.T) {
	lives := 8 / thin
	if s := os.Getenv("OFFSITE_LIVES"); s != "" {
		var err error
		lives, err = strconv.Atoi(s)
		check(t, err)
	}
	for seed := range lives {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { newLife(t, uint64(seed)).live() })
	}
}

type life struct {
	*practicePC
	rng   *rand.Rand
	files []string
	made  int // files so far
	days  int
	log   strings.Builder // for failures
}

func newLife(t *testing.T, seed uint64) *life {
	p := newPC(t, t.TempDir())
	l := &life{practicePC: p, rng: rand.New(rand.NewPCG(seed, 1))}
	for i := range 1 + l.rng.IntN(3) {
		p.addMem(fmt.Sprint("store", i))
	}
	p.change = func(c *uploader.Config) { c.Workers = 1 + l.rng.IntN(3) }
	for range 6 {
		l.create()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, l.log.String())
		}
	})
	return l
}

func (l *life) create() {
	l.made++
	name := fmt.Sprintf("%s/file%d%s", []string{"a", "b", "c/d"}[l.rng.IntN(3)], l.made, []string{".txt", ".fs5", ".jpg", ""}[l.rng.IntN(4)])
	l.write(name, noise(l.rng.Uint64N(1<<16), 1+l.rng.IntN(150<<10)))
	l.files = append(l.files, name)
}

// alter changes the source in one of several ways.
func (l *life) alter() {
	i := l.rng.IntN(len(l.files))
	name := l.files[i]
	info, err := os.Stat(l.path(name))
	check(l.t, err)
	what := l.rng.IntN(6)
	fmt.Fprintf(&l.log, "  alter %s: %d\n", name, what)
	switch what {
	case 0:
		l.create()
	case 1:
		if len(l.files) > 3 {
			check(l.t, os.Remove(l.path(name)))
			l.files = append(l.files[:i], l.files[i+1:]...)
		}
	case 2:
		l.edit(name, l.rng.Int64N(info.Size()), "changed")
	case 3: // to the same bytes as another file
		b, err := os.ReadFile(l.path(l.files[l.rng.IntN(len(l.files))]))
		check(l.t, err)
		l.write(name, string(b))
	case 4:
		check(l.t, os.Chtimes(l.path(name), l.now, l.now))
	case 5:
		to := name + "x"
		check(l.t, os.Rename(l.path(name), l.path(to)))
		l.files[i] = to
	}
}

// trouble sets up what the next run of a store meets.
func (l *life) trouble() {
	b := l.boxes[l.rng.IntN(len(l.boxes))]
	ops := []string{"put", "put", "raise", "get", "list", ""}
	kinds := []error{nil, nil, providers.ErrDenied, providers.ErrFull, providers.ErrUnreachable, providers.ErrBusy}
	rule := providertest.Rule{Op: ops[l.rng.IntN(len(ops))], Nth: 1 + l.rng.IntN(12), Times: []int{1, 2, 9, -1}[l.rng.IntN(4)],
		Outcome: []providertest.Outcome{providertest.FailBefore, providertest.FailAfter, providertest.Cut, providertest.Deny, providertest.Gone}[l.rng.IntN(5)],
		Kind:    kinds[l.rng.IntN(len(kinds))]}
	if rule.Outcome == providertest.Cut && (rule.Op == "get" || rule.Op == "") {
		rule.Op = "put" // half an object is damage, which is another test's matter
	}
	fmt.Fprintf(&l.log, "  trouble in %s: %+v\n", b.name, rule)
	b.faulty.Set(rule)
}

func (l *life) live() {
	for l.days < 17 {
		step := l.rng.IntN(3)
		l.days += step
		l.now = l.now.AddDate(0, 0, step)
		for range l.rng.IntN(4) {
			l.alter()
		}
		ctx, cancel := context.WithCancelCause(l.t.Context())
		switch l.rng.IntN(4) {
		case 0:
			l.trouble()
		case 1:
			calls, at := new(atomic.Int64), 1+l.rng.Int64N(60)
			fmt.Fprintf(&l.log, "  stop at call %d\n", at)
			for _, b := range l.boxes {
				b.hook.set(func(op, key string, apply func() error) error {
					if calls.Add(1) == at {
						cancel(errStopped)
					}
					return apply()
				})
			}
		}
		res, err := l.runContext(ctx)
		cancel(nil)
		fmt.Fprintf(&l.log, "day %d: %s\n", l.days, describe(res, err))
		if err != nil && !errors.Is(err, uploader.ErrStores) && !errors.Is(err, uploader.ErrNothingNew) && !errors.Is(err, errStopped) {
			l.t.Errorf("day %d: %v", l.days, err)
		}
		for _, b := range l.boxes {
			b.hook.set(nil)
			if l.rng.IntN(2) == 0 { // or the trouble lasts
				b.faulty.Set()
			}
		}
	}
	for _, b := range l.boxes {
		b.faulty.Set()
	}
	res, err := l.run()
	fmt.Fprintf(&l.log, "at last: %s\n", describe(res, err))
	if err != nil && !errors.Is(err, uploader.ErrNothingNew) {
		l.t.Errorf("at last: %v", err)
	}
	for _, s := range res.Stores {
		if s.Err != nil {
			l.t.Errorf("at last: store %s: %v", s.Name, s.Err)
		}
	}
	l.nothingNew()
	l.once()
}

var errStopped = errors.New("told to stop")
