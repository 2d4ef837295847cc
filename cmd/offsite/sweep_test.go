package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// at runs the program in this process, with the clock of the computer at a time. The
// clock of a folder is the true one.
func (p *place) at(now time.Time, code int, args ...string) result {
	p.t.Helper()
	var out, errs bytes.Buffer
	env := func(string) (string, bool) { return "", false }
	args = append([]string{"--config", p.config()}, args...)
	r := result{code: run(p.t.Context(), args, strings.NewReader(""), &out, &errs, env, func() time.Time { return now })}
	if r.stdout, r.stderr = out.String(), errs.String(); r.code != code {
		p.t.Fatalf("offsite %s: exit %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r
}

// age dates everything in the store back that was written since.
func (p *place) age(since, to time.Time) {
	p.t.Helper()
	must(p.t, filepath.WalkDir(filepath.Join(p.store, "r"), func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil || info.ModTime().Before(since) {
			return err
		}
		return os.Chtimes(name, to, to)
	}))
}

// keys are the objects below a folder of the store.
func (p *place) keys(folder string) (out []string) {
	p.t.Helper()
	must(p.t, filepath.WalkDir(filepath.Join(p.store, filepath.FromSlash(folder)), func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(p.store, name)
			out = append(out, filepath.ToSlash(rel))
		}
		return err
	}))
	return out
}

// oldPlace is a practice with two days of a year ago and one of today, which keeps
// no month, quarter or year.
func oldPlace(t *testing.T) (p *place, today time.Time) {
	t.Helper()
	p = newPlace(t)
	p.configure("zone: Europe/London", "zone: Etc/UTC") // its clocks never change
	p.configure("business_days: 10", "business_days: 1")
	for _, class := range []string{"month_ends: 12", "quarter_ends: 8", "fiscal_year_ends: 7"} {
		p.configure(class, strings.Split(class, ":")[0]+": 0")
	}
	today = time.Now()
	for _, days := range []int{400, 399, 0} {
		began, then := time.Now(), today.AddDate(0, 0, -days)
		must(t, os.WriteFile(filepath.Join(p.source, "patients.bak"), noise(uint64(days), 50_000), 0o644))
		must(t, os.Chtimes(filepath.Join(p.source, "patients.bak"), then.Add(-time.Hour), then.Add(-time.Hour)))
		p.at(then, exitDone, "run", "--wait", "0s")
		if days > 0 {
			p.age(began.Add(-time.Second), then)
		}
	}
	return p, today
}

func TestSweepRemovesLapsedDaysFromAFolder(t *testing.T) {
	t.Parallel()
	p, today := oldPlace(t)
	records := p.keys("r/s")
	if len(records) != 3 {
		t.Fatalf("records: %v", records)
	}
	before := len(p.keys("r"))

	// A silence of a year may be a clock that leapt by one.
	p.at(today, exitFailed, "sweep", "--yes").says(t, "nothing was stored from", "--today "+today.UTC().Format("2006"))
	p.at(today, exitUsage, "sweep", "--yes", "--today", "2001-01-01").says(t, "and not 2001-01-01")
	date := strings.TrimSpace(strings.SplitN(p.at(today, exitFailed, "sweep").stderr, "--today ", 2)[1])

	r := p.at(today, exitDone, "sweep", "--today", date)
	for _, want := range []string{"LAPSED", "record ", "pack ", "index segment ", "lease record ", "canary ", "nothing was changed: add --yes"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q in\n%s", want, r.stdout)
		}
	}
	if n := len(p.keys("r")); n != before {
		t.Fatalf("%d objects instead of %d: removed without being asked", n, before)
	}

	var ans struct {
		Removed struct {
			Objects int
			Log     string
			Digest  string
		}
	}
	p.at(today, exitDone, "sweep", "--today", date, "--yes", "--json").into(t, &ans)
	if left := len(p.keys("r")); ans.Removed.Objects == 0 || left != before-ans.Removed.Objects || ans.Removed.Log != "log/00000002" {
		t.Errorf("%+v, %d of %d objects are left", ans, left, before)
	}
	if left := p.keys("r/s"); len(left) != 1 || left[0] != records[2] {
		t.Errorf("records: %v", left)
	}
	p.at(today, exitDone, "check", "--depth", "bytes", "--restore-key", p.key)
	if r := p.at(today, exitDone, "sweep"); !strings.Contains(r.stdout, "nothing has lapsed") {
		t.Errorf("a second sweep:\n%s", r.stdout)
	}

	// The log says what went, and shows what is done to it.
	r = p.at(today, exitDone, "sweep", "--log")
	if !strings.Contains(r.stdout, "outcome of 1") || strings.Contains(r.stdout, "nobody") {
		t.Errorf("log:\n%s", r.stdout)
	}
	r = p.at(today, exitDone, "sweep", "--log", "--json")
	if !strings.Contains(r.stdout, records[0]) || !strings.Contains(r.stdout, `"why":"r/`) || strings.Contains(r.stdout, "patients") {
		t.Errorf("log:\n%s", r.stdout)
	}
	must(t, os.Remove(filepath.Join(p.store, "log", "00000002")))
	if r = p.at(today, exitDamaged, "sweep", "--log"); !strings.Contains(r.stdout, "PROBLEM: log/00000002: this computer has seen it") {
		t.Errorf("log:\n%s", r.stdout)
	}
}

func TestSweepRefusesWhatItCannotBelieve(t *testing.T) {
	t.Parallel()
	p, today := oldPlace(t)
	before := len(p.keys("r"))
	date := strings.TrimSpace(strings.SplitN(p.at(today, exitFailed, "sweep").stderr, "--today ", 2)[1])

	p.at(today.Add(time.Hour), exitFailed, "sweep", "--yes", "--today", date).says(t, "the clocks of the store and of this computer disagree", "nothing is removed")
	p.at(today.AddDate(10, 0, 0), exitFailed, "sweep", "--yes").says(t, "disagree")

	source := strings.Split(p.keys("r/s")[0], "/")[2]
	garbage := filepath.Join(p.store, "r", "s", source, "00000099")
	must(t, os.WriteFile(garbage, []byte("{}"), 0o600))
	p.at(today, exitDamaged, "sweep", "--yes", "--today", date).says(t, "cannot be read; nothing is removed", "--disregard KEY")
	if n := len(p.keys("r")); n != before+1 {
		t.Fatalf("%d objects instead of %d", n, before+1)
	}
	p.at(today, exitDone, "sweep", "--yes", "--today", date, "--disregard", "r/s/"+source+"/00000099")
	if n := len(p.keys("r/s")); n != 2 { // the garbage is young
		t.Errorf("%d records are left", n)
	}
	if r := p.at(today, exitDone, "sweep", "--log", "--json"); !strings.Contains(r.stdout, `"disregarded":["r/s/`+source+`/00000099"]`) {
		t.Errorf("log:\n%s", r.stdout)
	}

	// What is still needed and gone is an alarm.
	for _, key := range p.keys("r/p") {
		must(t, os.Remove(filepath.Join(p.store, filepath.FromSlash(key))))
	}
	must(t, os.Remove(garbage))
	if r := p.at(today, exitDamaged, "sweep"); !strings.Contains(r.stdout, "GONE TOO EARLY: r/p/") {
		t.Errorf("answer:\n%s", r.stdout)
	}
}

func TestManagerRaisesTheLeasesOfAFolder(t *testing.T) {
	t.Parallel()
	p, today := oldPlace(t)
	p.at(today, exitUsage, "manage").says(t, "name one with --store")
	var ans struct {
		Snapshots, Due, Raised int
		Refused, Missing       []any
	}
	for _, key := range p.keys(".leases/r/p") { // somebody made the leases short
		must(t, os.WriteFile(filepath.Join(p.store, filepath.FromSlash(key)), []byte(today.UTC().Format("2006-01-02T15:04:05Z\n")), 0o600))
	}
	p.at(today, exitDone, "manage", "--store", "folder", "--json").into(t, &ans)
	if ans.Snapshots != 3 || ans.Due != 2 || ans.Raised != 2 || ans.Refused == nil {
		t.Errorf("answer: %+v", ans)
	}
	p.at(today, exitDone, "manage", "--store", "dir:"+p.store, "--json").into(t, &ans)
	if ans.Raised != 0 {
		t.Errorf("raised again: %+v", ans)
	}
	if r := p.at(today, exitDamaged, "manage", "--store", "folder", "--max", "1d"); !strings.Contains(r.stdout, "REFUSED: r/") {
		t.Errorf("answer:\n%s", r.stdout)
	}
	p.at(today, exitUsage, "manage", "--store", "folder", "--max", "9")
}
