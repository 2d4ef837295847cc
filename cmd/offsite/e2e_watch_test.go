package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stamped keeps what is written and when.
type stamped struct {
	mu    sync.Mutex
	lines []string
}

func (s *stamped) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(string(p)) {
		s.lines = append(s.lines, time.Now().UTC().Format("Mon 15:04 ")+strings.TrimSpace(line))
	}
	return len(p), nil
}

func (s *stamped) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// A week of the service: it catches up at once, waits at night until the backup
// has finished, saves it as its business date, and says when none came.
func TestWatchSavesEachNightsBackupWhenItHasFinished(t *testing.T) {
	p := newPlace(t)
	p.configure(`#schedule:`, `schedule:`)
	p.configure(`#at: "21:30"`, `at: "21:30"`)
	p.configure(`#deadline: "06:00"`, `deadline: "06:00"`)
	p.configure(`zone: Europe/London`, `zone: Etc/UTC`)
	p.configure(`country: GB`, `country: none`)
	// The backup program writes a file at a time, and dates it.
	write := func(name, text string) {
		file := p.file("source/"+name, text)
		must(t, os.Chtimes(file, time.Now(), time.Now()))
	}
	var out strings.Builder
	stderr := &stamped{}
	var monday time.Time
	synctest.Test(t, func(t *testing.T) {
		p.sleepToPresent()
		sleepUntil := func(day time.Weekday, hour, minute int) {
			now := time.Now().UTC()
			at := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 0, 0, time.UTC)
			for at.Weekday() != day || !at.After(now) {
				at = at.AddDate(0, 0, 1)
			}
			time.Sleep(time.Until(at))
		}
		sleepUntil(time.Sunday, 23, 0)
		write("patients.fs5", "of the weekend")
		sleepUntil(time.Monday, 12, 0)
		monday = time.Now().UTC()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int)
		go func() {
			env := func(string) (string, bool) { return "", false }
			done <- run(ctx, []string{"--config", p.config(), "--json", "watch"}, strings.NewReader(""), &out, stderr, env, time.Now)
		}()
		sleepUntil(time.Monday, 22, 10)
		for i := range 6 { // with pauses shorter than the quiet period
			write(fmt.Sprintf("images/p%d.jpg", i), string(noise(uint64(i), 20<<10)))
			time.Sleep(5 * time.Minute)
		}
		write("patients.fs5", "of Monday")
		sleepUntil(time.Wednesday, 12, 0) // Tuesday has no backup
		sleepUntil(time.Thursday, 1, 40)  // Wednesday's comes late
		write("patients.fs5", "of Wednesday")
		sleepUntil(time.Thursday, 12, 0)
		cancel()
		if code := <-done; code != exitDone {
			t.Errorf("exit %d", code)
		}
	})
	day := func(n int) string { return monday.AddDate(0, 0, n).Format(time.DateOnly) }
	for _, want := range []string{
		"Mon 12:00 folder  stored as " + day(-1),
		"Mon 22:50 folder  stored as " + day(0),
		"Wed 06:00 offsite: error: no finished backup of " + day(1) + " arrived until 06:00",
		"Thu 01:50 folder  stored as " + day(2),
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	if n := strings.Count(stderr.String(), "stored as"); n != 3 {
		t.Errorf("%d days were stored\n%s", n, stderr)
	}
	var sum watchAnswer
	result{stdout: out.String()}.into(t, &sum)
	if sum.Stored != 3 || sum.Last != day(2) {
		t.Errorf("answer %+v", sum)
	}
	var h history
	p.want(exitDone, "days", "--json").into(t, &h)
	var days []string
	for _, d := range h.Days {
		days = append(days, d.Day)
	}
	if got, want := strings.Join(days, " "), day(-1)+" "+day(0)+" "+day(2); got != want {
		t.Errorf("days %s, want %s", got, want)
	}
	back, _ := p.restore(exitDone, day(2), "back")
	equal(t, facts(t, p.source), facts(t, back))
}
