package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A backup over a slow share takes six hours, into a folder with the day's date,
// with pauses that grow. The service waits for its end: one day is stored, once,
// with everything in it. The folder of the day before stays what it was.
func TestWatchWaitsForABackupOfSixHours(t *testing.T) {
	p := newPlace(t)
	p.configure(`#schedule:`, `schedule:`)
	p.configure(`#at: "21:30"`, `at: "21:30"`)
	p.configure(`#deadline: "06:00"`, `deadline: "08:00"`)
	p.configure(`zone: Europe/London`, `zone: Etc/UTC`)
	p.configure(`country: GB`, `country: none`)
	p.configure(`layout: folder`, `layout: dated`)
	write := func(name, text string) {
		file := p.file("source/"+name, text)
		must(t, os.Chtimes(file, time.Now(), time.Now()))
	}
	var out strings.Builder
	stderr := &stamped{}
	var today, before string
	const files = 40
	synctest.Test(t, func(t *testing.T) {
		p.sleepToPresent()
		evening := func(hour, minute int) time.Time {
			now := time.Now().UTC()
			at := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 0, 0, time.UTC)
			if !at.After(now) {
				at = at.AddDate(0, 0, 1)
			}
			return at
		}
		time.Sleep(time.Until(evening(22, 0)))
		before = time.Now().UTC().Format(time.DateOnly)
		write(before+"/db/patients.bak", "of the day before")
		time.Sleep(time.Until(evening(12, 0)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int)
		go func() {
			env := func(string) (string, bool) { return "", false }
			done <- run(ctx, []string{"--config", p.config(), "--json", "watch"}, strings.NewReader(""), &out, stderr, env, time.Now)
		}()
		time.Sleep(time.Until(evening(21, 35)))
		today = time.Now().UTC().Format(time.DateOnly)
		started := time.Now()
		for i := range files {
			write(fmt.Sprintf("%s/db/table%02d.bak", today, i), strings.Repeat(fmt.Sprint("table ", i, "\n"), 100))
			time.Sleep(time.Duration(6+i%4*2) * time.Minute) // 6, 8, 10 and 12 minutes
		}
		write(today+"/db/last.bak", "the last table")
		if took := time.Since(started); took < 6*time.Hour {
			t.Errorf("the backup took only %v", took)
		}
		time.Sleep(time.Until(evening(12, 0)))
		cancel()
		if code := <-done; code != exitDone {
			t.Errorf("exit %d", code)
		}
	})
	if n := strings.Count(stderr.String(), "stored as"); n != 2 {
		t.Errorf("%d days were stored, want that of the day before and today's\n%s", n, stderr)
	}
	for _, want := range []string{"stored as " + before + " ", "stored as " + today + " ", fmt.Sprintf("%s: clean, %d files", today, files+1)} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	back, _ := p.restore(exitDone, today, "back")
	equal(t, facts(t, filepath.Join(p.source, today)), facts(t, back))
	back, _ = p.restore(exitDone, before, "back-before")
	equal(t, facts(t, filepath.Join(p.source, before)), facts(t, back))
}

// Where the backup program writes a log, its line ends the wait: nothing else has to
// be quiet for long. A copy of that log inside the set proves nothing.
func TestWatchTakesTheLogsWordForTheEnd(t *testing.T) {
	for _, c := range []struct{ name, log, stored string }{
		{"a log beside the set", "backup.log", "22:05"},
		{"a log in the set", "source/backup.log", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			p.configure(`#quiet: 10m`, `quiet: 2h`)
			p.configure(`zone: Europe/London`, `zone: Etc/UTC`)
			p.configure(`country: GB`, `country: none`)
			p.configure(`profile: generic`, `profile: '`+p.file("own.yaml", "name: own\nevidence:\n  kind: lines\n  log: '"+filepath.Join(p.home, filepath.FromSlash(c.log))+
				"'\n  dates: dmy\n  good: ['{date} {time} ok']\n  bad: ['{date} {time} failed']\n  missing: suspect\n")+`'`)
			var out strings.Builder
			stderr := &stamped{}
			synctest.Test(t, func(t *testing.T) {
				p.sleepToPresent()
				now := time.Now().UTC()
				time.Sleep(time.Until(time.Date(now.Year(), now.Month(), now.Day()+1, 21, 59, 30, 0, time.UTC)))
				write := func(name, text string) {
					file := p.file(name, text)
					must(t, os.Chtimes(file, time.Now(), time.Now()))
				}
				write("source/patients.fs5", "patients")
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan int)
				go func() {
					env := func(string) (string, bool) { return "", false }
					done <- run(ctx, []string{"--config", p.config(), "--json", "watch"}, strings.NewReader(""), &out, stderr, env, time.Now)
				}()
				time.Sleep(5 * time.Minute)
				write("source/images/p.jpg", "image")
				time.Sleep(30 * time.Second)
				write(c.log, time.Now().UTC().Format("02/01/2006 15:04:05")+" ok\r\n")
				time.Sleep(90 * time.Minute)
				cancel()
				if code := <-done; code != exitDone {
					t.Errorf("exit %d", code)
				}
			})
			if got := strings.Contains(stderr.String(), "stored as"); got != (c.stored != "") || got && !strings.Contains(stderr.String(), c.stored+" folder  stored as") {
				t.Errorf("want it stored at %q\n%s", c.stored, stderr)
			}
			if strings.Contains(stderr.String(), "settled: newest change") {
				t.Errorf("the log's word was not enough\n%s", stderr)
			}
		})
	}
}
