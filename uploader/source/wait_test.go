package source_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"offsite/uploader/source"
)

// clock maps the bubble's time, which starts in the year 2000, to the time of
// the files, plus an offset.
func clock(offset time.Duration, real time.Time) func() time.Time {
	start := time.Now()
	return func() time.Time { return real.Add(offset + time.Since(start)) }
}

func TestWaitSettles(t *testing.T) {
	t.Parallel()
	type step struct {
		at time.Duration
		do func(t *testing.T, root string)
	}
	file := func(name string) func(*testing.T, string) {
		return func(t *testing.T, root string) { add(t, root, name) }
	}
	for _, c := range []struct {
		name   string
		offset time.Duration // of the clock from the files' times
		steps  []step
		min    time.Duration
		max    time.Duration
	}{
		{"nothing has changed for hours: one more look", 3 * time.Hour, nil, 29 * time.Second, 31 * time.Second},
		{"changed just now: the quiet period", 0, nil, 599 * time.Second, 631 * time.Second},
		{"files from the future: the quiet period is watched", -time.Hour, nil, 600 * time.Second, 631 * time.Second},
		{"a file comes after five minutes", 0, []step{{5 * time.Minute, file("late")}}, 15 * time.Minute, 16 * time.Minute},
		{
			"seen at work, so old times prove nothing", 3 * time.Hour,
			[]step{{10 * time.Second, file("late")}}, 10 * time.Minute, 11 * time.Minute,
		},
		{
			"the folder is renamed away and written again", 3 * time.Hour,
			[]step{
				{10 * time.Second, func(t *testing.T, root string) { must(t, os.Rename(root, root+"_1")) }},
				{4 * time.Minute, func(t *testing.T, root string) { must(t, os.Mkdir(root, 0o755)) }},
				{6 * time.Minute, file("patient.MYD")},
			},
			16 * time.Minute, 17 * time.Minute,
		},
		{
			"a folder is removed", 0,
			[]step{{9 * time.Minute, func(t *testing.T, root string) { must(t, os.RemoveAll(filepath.Join(root, "dir"))) }}},
			19 * time.Minute, 20 * time.Minute,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, "a", "dir/b")
			real := scanRoot(t, root).Newest() // this process may have waited for the processor since
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				for _, s := range c.steps {
					time.AfterFunc(s.at, func() { s.do(t, root) })
				}
				set, err := source.Wait(t.Context(), source.WaitOptions{Layout: source.Layout{Scan: one(root)}, Now: clock(c.offset, real)})
				must(t, err)
				if took := time.Since(start); took < c.min || took > c.max {
					t.Errorf("settled after %v, want %v to %v", took, c.min, c.max)
				}
				if set.Quiet() < source.DefaultQuiet {
					t.Errorf("quiet for %v", set.Quiet())
				}
				changes, err := set.Recheck(t.Context())
				if must(t, err); len(changes) != 0 {
					t.Errorf("not the last state: %v", changes)
				}
			})
		})
	}
}

func TestWaitGivesUpAtItsLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make []string
		work bool
		want []error
	}{
		{"always writing", []string{"a"}, true, []error{source.ErrNotSettled}},
		{"always empty", nil, false, []error{source.ErrNotSettled, source.ErrRootEmpty}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, c.make...)
			real := time.Now()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.work {
					go func() {
						for i := 0; ctx.Err() == nil; i++ {
							_ = os.WriteFile(filepath.Join(root, "a"), make([]byte, i), 0o644)
							select {
							case <-ctx.Done():
							case <-time.After(time.Minute):
							}
						}
					}()
				}
				start := time.Now()
				_, err := source.Wait(ctx, source.WaitOptions{Layout: source.Layout{Scan: one(root)}, Limit: time.Hour, Now: clock(0, real)})
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				}
				if took := time.Since(start); took < time.Hour || took > time.Hour+time.Second {
					t.Errorf("gave up after %v", took)
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	root := tree(t, "a")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := source.Wait(ctx, source.WaitOptions{Layout: source.Layout{Scan: one(root)}, Now: time.Now})
		if !errors.Is(err, source.ErrNotSettled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitRefusesAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	if _, err := source.Wait(ctx, source.WaitOptions{Layout: source.Layout{Scan: one("/nowhere/at/all")}, Now: time.Now}); !errors.Is(err, source.ErrRootMissing) {
		t.Errorf("a missing root: %v", err)
	}
	if _, err := source.Wait(ctx, source.WaitOptions{Layout: source.Layout{Scan: one(tree(t, "a"))}}); err == nil {
		t.Error("waited without a clock")
	}
	if _, err := source.Wait(ctx, source.WaitOptions{Layout: source.Layout{Scan: one(tree(t, "a"))}, Now: time.Now, Quiet: -1}); err == nil {
		t.Error("accepted a negative time")
	}
}

// A file whose size was set aside ends in zeros until its content has come.
func TestWaitLooksAtTheEndOfLargeFiles(t *testing.T) {
	t.Parallel()
	root := tree(t, "small")
	must(t, os.WriteFile(filepath.Join(root, "large"), append([]byte("begun"), make([]byte, 2<<20)...), 0o644))
	opt := source.WaitOptions{Layout: source.Layout{Scan: one(root)}, Quiet: 5 * time.Millisecond, Limit: 30 * time.Millisecond, Now: time.Now}
	if _, err := source.Wait(t.Context(), opt); !errors.Is(err, source.ErrNotSettled) {
		t.Errorf("got %v", err)
	}
	must(t, os.WriteFile(filepath.Join(root, "large"), append(make([]byte, 2<<20), "ended"...), 0o644))
	opt.Limit = time.Minute
	if _, err := source.Wait(t.Context(), opt); err != nil {
		t.Errorf("with its end written: %v", err)
	}
}
