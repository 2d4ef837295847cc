package source_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"offsite/uploader/source"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// waited runs a script beside Wait, in time that takes none, and returns what Wait
// returned and when.
func waited(t *testing.T, w *source.World, opt source.WaitOptions, script func()) (set source.Set, took time.Duration, err error) {
	t.Helper()
	start := time.Now()
	if opt.Now == nil {
		opt.Now = time.Now
	}
	done := make(chan struct{})
	go func() { script(); close(done) }()
	set, err = source.WaitIn(t.Context(), w, opt)
	took = time.Since(start)
	<-done
	return set, took, err
}

// A copy over a slow share is waited for to its end, however the copying program
// shows or hides its progress.
func TestWaitDoesNotSplitALongBackup(t *testing.T) {
	t.Parallel()
	const rate = 5 * mib // a second
	grow := func(w *source.World, name string, size int64) {
		for at := int64(0); at < size; {
			time.Sleep(time.Minute)
			at = min(at+60*rate, size)
			w.Write(name, at)
		}
	}
	hidden := func(w *source.World, name string, size int64) {
		w.Write(name, size) // its whole size at once, and then nothing until the end
		time.Sleep(time.Duration(size/rate) * time.Second)
	}
	stamped := func(w *source.World, name string, size int64) {
		hidden(w, name, size)
		w.Write(name, size)
	}
	for _, c := range []struct {
		name  string
		write func(w *source.World, name string, size int64)
		sizes []int64 // GiB, and before each a pause in minutes
		gaps  []int
		sure  bool
	}{
		{"files that grow", grow, []int64{20, 40, 30, 15}, []int{1, 2, 7, 5}, false},
		{"sizes set aside, dates at the end", stamped, []int64{2, 5, 20, 40, 30}, []int{1, 0, 2, 1, 3}, false},
		{"sizes set aside, and nothing more to see", hidden, []int64{2, 5, 20, 40, 30}, []int{1, 0, 0, 0, 0}, false},
		{"pauses that grow", grow, []int64{20, 20, 20, 20, 20}, []int{1, 6, 8, 11, 15}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := source.NewWorld(0)
				start := time.Now()
				var ended time.Duration
				set, took, err := waited(t, w, source.WaitOptions{Limit: 20 * time.Hour}, func() {
					for i, size := range c.sizes {
						time.Sleep(max(time.Duration(c.gaps[i])*time.Minute, 20*time.Second))
						c.write(w, fmt.Sprint("file", i), size*gib)
					}
					ended = time.Since(start)
				})
				must(t, err)
				if ended < 5*time.Hour {
					t.Fatalf("the backup took only %v", ended)
				}
				if set.Len() != len(c.sizes)+1 || took < ended {
					t.Errorf("settled after %v with %d files; the backup ended after %v", took, set.Len(), ended)
				}
				if took > ended+maxExtra(c.name) {
					t.Errorf("settled %v after the end", took-ended)
				}
			})
		})
	}
}

// maxExtra is how long after its end a backup may be waited for. Where a large file
// shows nothing at all, as long again as it took.
func maxExtra(name string) time.Duration {
	if name == "sizes set aside, and nothing more to see" {
		return 4 * time.Hour
	}
	return 40 * time.Minute
}

func TestWaitKnowsTheEnd(t *testing.T) {
	t.Parallel()
	mark, err := source.ParsePattern("backup.done")
	must(t, err)
	type world = *source.World
	for _, c := range []struct {
		name   string
		opt    func(start time.Time) source.WaitOptions
		script func(w world)
		min    time.Duration
		max    time.Duration
		kind   source.ProofKind
	}{
		{
			name: "a report after the last change: two looks",
			opt:  reports(func(start time.Time) time.Time { return start.Add(5 * time.Minute) }),
			script: func(w world) {
				w.Write("a", gib)
				time.Sleep(4 * time.Minute)
				w.Write("b", gib)
			},
			min: 5 * time.Minute, max: 6 * time.Minute, kind: source.ProofEnd,
		},
		{
			name:   "a report of the run before",
			opt:    reports(func(start time.Time) time.Time { return start.Add(-time.Hour) }),
			script: func(w world) { w.Write("a", gib) },
			min:    10 * time.Minute, max: 11 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name:   "a report of tomorrow",
			opt:    reports(func(start time.Time) time.Time { return start.Add(24 * time.Hour) }),
			script: func(w world) { w.Write("a", gib) },
			min:    10 * time.Minute, max: 11 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "written to after the report",
			opt:  reports(func(start time.Time) time.Time { return start.Add(31 * time.Second) }),
			script: func(w world) {
				w.Write("a", gib)
				time.Sleep(45 * time.Second)
				w.Write("b", gib)
			},
			min: 10 * time.Minute, max: 12 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "the file that is written last",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{Done: mark} },
			script: func(w world) {
				w.Write("a", gib)
				time.Sleep(4 * time.Minute)
				w.Write("backup.done", 1)
			},
			min: 4 * time.Minute, max: 6 * time.Minute, kind: source.ProofMark,
		},
		{
			name: "the file that is written last, of the day before",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{Done: mark} },
			script: func(w world) {
				w.Write("backup.done", 1)
				w.Shift(-20 * time.Hour)
				w.Write("a", gib)
			},
			min: 10 * time.Minute, max: 11 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "a report, but a file is held open for a while",
			opt:  reports(func(start time.Time) time.Time { return start.Add(time.Minute) }),
			script: func(w world) {
				w.Do(func() { w.Open = 1 })
				time.Sleep(8 * time.Minute)
				w.Do(func() { w.Open = 0 })
			},
			min: 8 * time.Minute, max: 9 * time.Minute, kind: source.ProofEnd,
		},
		{
			name: "the newest large file ends in zeros",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{} },
			script: func(w world) {
				w.Write("a", 20*gib)
				w.Do(func() { w.Zeros = true })
				time.Sleep(68 * time.Minute)
				w.Do(func() { w.Zeros = false })
			},
			min: 68 * time.Minute, max: 70 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "it ends in zeros for good",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{} },
			script: func(w world) {
				w.Write("a", 20*gib)
				w.Do(func() { w.Zeros = true })
			},
			min: 2 * time.Hour, max: 2*time.Hour + time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "zeros, but nobody has it open",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{} },
			script: func(w world) {
				w.Write("a", 20*gib)
				w.Do(func() { w.Zeros, w.Sure = true, true })
			},
			min: 10 * time.Minute, max: 11 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "another disk comes into its place",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{} },
			script: func(w world) {
				w.Write("a", mib)
				time.Sleep(5 * time.Minute)
				w.Do(func() { w.Volume.Serial = "2" })
			},
			min: 15 * time.Minute, max: 16 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "a newer set comes",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{} },
			script: func(w world) {
				time.Sleep(10 * time.Second)
				w.Do(func() { w.Name = "2000-01-02" })
				w.Write("a", mib)
			},
			min: 10 * time.Minute, max: 11 * time.Minute, kind: source.ProofQuiet,
		},
		{
			name: "the folder is renamed away and comes back",
			opt:  func(time.Time) source.WaitOptions { return source.WaitOptions{} },
			script: func(w world) {
				time.Sleep(10 * time.Second)
				w.Vanish(source.ErrRootMissing)
				time.Sleep(30 * time.Minute)
				w.Vanish(nil)
			},
			min: 40 * time.Minute, max: 41 * time.Minute, kind: source.ProofQuiet,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := source.NewWorld(20 * time.Hour)
				set, took, err := waited(t, w, c.opt(time.Now()), func() {
					time.Sleep(time.Millisecond) // after the first look
					c.script(w)
				})
				must(t, err)
				if p := set.Proof(); took < c.min || took > c.max || p.Kind != c.kind {
					t.Errorf("%v after %v, want %v after %v to %v", p.Kind, took, c.kind, c.min, c.max)
				}
			})
		})
	}
}

// reports makes a program that reports its end when the clock has come there.
func reports(at func(start time.Time) time.Time) func(time.Time) source.WaitOptions {
	return func(start time.Time) source.WaitOptions {
		end := at(start)
		return source.WaitOptions{Ended: func(context.Context, source.Set) (time.Time, bool) {
			return end, !time.Now().Before(end) || end.Sub(start) > time.Hour
		}}
	}
}

func TestWaitTrustsNoClockThatJumps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		age  time.Duration // of the newest change before the first look
		jump time.Duration // of the PC's clock, after the first look
		min  time.Duration
		max  time.Duration
	}{
		{"no jump, and nothing has changed for hours", 3 * time.Hour, 0, 30 * time.Second, 31 * time.Second},
		{"forward an hour", time.Minute, time.Hour, 10 * time.Minute, 11 * time.Minute},
		{"forward by years, and it was old already", 3 * time.Hour, 20000 * time.Hour, 10 * time.Minute, 11 * time.Minute},
		{"back an hour", 3 * time.Hour, -time.Hour, 10 * time.Minute, 11 * time.Minute},
		{"back by years", time.Minute, -20000 * time.Hour, 10 * time.Minute, 11 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := source.NewWorld(c.age)
				var jump atomic.Int64
				opt := source.WaitOptions{Now: func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }}
				_, took, err := waited(t, w, opt, func() {
					time.Sleep(15 * time.Second)
					jump.Store(int64(c.jump))
				})
				must(t, err)
				if took < c.min || took > c.max {
					t.Errorf("settled after %v, want %v to %v", took, c.min, c.max)
				}
			})
		})
	}
}

// The FAT family keeps local time in steps of two seconds and no change time.
func TestWaitOnAFileSystemWithLocalTime(t *testing.T) {
	t.Parallel()
	fat := source.Volume{Type: "exfat", Serial: "1A2B-3C4D", Coarse: true}
	for _, c := range []struct {
		name   string
		quiet  time.Duration
		script func(w *source.World)
		min    time.Duration
		max    time.Duration
	}{
		{"old dates prove nothing", 0, func(*source.World) {}, 10 * time.Minute, 11 * time.Minute},
		{"change times that the system makes up prove nothing", 0, func(*source.World) {}, 10 * time.Minute, 11 * time.Minute},
		{
			"the clocks change: every date moves by an hour", 0,
			func(w *source.World) {
				time.Sleep(5 * time.Minute)
				w.Shift(-time.Hour)
			},
			10 * time.Minute, 11 * time.Minute,
		},
		{
			"one date moves by an hour: that is a change", 0,
			func(w *source.World) {
				w.Write("b", mib)
				w.Shift(0)
				time.Sleep(5 * time.Minute)
				w.Do(func() { w.Skew = time.Hour - 5*time.Minute })
				w.Write("b", mib)
				w.Shift(0)
			},
			15 * time.Minute, 16 * time.Minute,
		},
		{
			"every date moves by twenty minutes: that is a change", 0,
			func(w *source.World) {
				time.Sleep(5 * time.Minute)
				w.Shift(20 * time.Minute)
			},
			15 * time.Minute, 16 * time.Minute,
		},
		{"a quiet period shorter than the steps of its clock", time.Second, func(*source.World) {}, 4 * time.Second, 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := source.NewWorld(20 * time.Hour)
				w.Volume = fat
				if c.name != "change times that the system makes up prove nothing" {
					w.Shift(0)
				}
				_, took, err := waited(t, w, source.WaitOptions{Quiet: c.quiet}, func() {
					time.Sleep(time.Millisecond)
					c.script(w)
				})
				must(t, err)
				if took < c.min || took > c.max {
					t.Errorf("settled after %v, want %v to %v", took, c.min, c.max)
				}
			})
		})
	}
}

func TestWaitRefusesWhatLooksLikeLiveData(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script func(ctx context.Context, w *source.World)
		want   error
		not    error
	}{
		{"held open all the time", func(_ context.Context, w *source.World) { w.Do(func() { w.Open = 3 }) }, source.ErrOpen, source.ErrRestless},
		{"rewritten all the time", func(ctx context.Context, w *source.World) {
			for i := int64(0); ctx.Err() == nil; i++ {
				w.Write("db", gib+i%2)
				nap(ctx)
			}
		}, source.ErrRestless, source.ErrOpen},
		{"a copy that grows all the time", func(ctx context.Context, w *source.World) {
			for i := int64(0); ctx.Err() == nil; i++ {
				w.Write("copy", i*mib)
				nap(ctx)
			}
		}, source.ErrNotSettled, source.ErrRestless},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				w := source.NewWorld(20 * time.Hour)
				w.Write("db", gib)
				go c.script(ctx, w)
				_, err := source.WaitIn(t.Context(), w, source.WaitOptions{Limit: 2 * time.Hour, Now: time.Now})
				cancel()
				synctest.Wait()
				if !errors.Is(err, source.ErrNotSettled) || !errors.Is(err, c.want) || errors.Is(err, c.not) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func nap(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Second):
	}
}
