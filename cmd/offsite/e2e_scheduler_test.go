package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"
)

// A backup program's last step starts offsite and acts on nothing but its code.
func TestPostBackupStepEndsWithTheRightCode(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.configure("profile: generic", "profile: opendental")
	for _, table := range []string{"patient", "appointment"} {
		p.file("source/opendental/"+table+".MYD", "rows of "+table)
		p.file("source/opendental/"+table+".MYI", "index of "+table)
	}
	step := []string{"run", "--wait", "0s", "--json"}
	verdicts := func(want ...string) {
		t.Helper()
		var h history
		p.want(exitDone, "days", "--json").into(t, &h)
		var got []string
		for _, d := range h.Days {
			got = append(got, d.Verdict)
		}
		if !slices.Equal(got, want) {
			t.Errorf("stored are %v, want %v", got, want)
		}
	}
	p.want(exitDone, step...)
	p.want(exitNothingNew, step...)
	verdicts("clean")

	// No tables at all: the backup broke off.
	must(t, os.Rename(filepath.Join(p.source, "opendental"), p.path("away")))
	p.file("source/readme.txt", "x")
	p.want(exitIncomplete, step...)
	must(t, os.Rename(p.path("away"), filepath.Join(p.source, "opendental")))
	verdicts("clean")

	// No table of patients: stored, but in nobody's place.
	patients := filepath.Join(p.source, "opendental", "patient.MYD")
	must(t, os.Rename(patients, p.path("patient.MYD")))
	var r runAnswer
	p.want(exitSuspect, step...).into(t, &r)
	if r.Verdict != "suspect" || !r.Stores[0].Committed {
		t.Errorf("answer %+v", r)
	}
	verdicts("clean", "suspect")
	back, said := p.restore(exitDone, "latest", "back")
	said.says(t, "is newer, but suspect")
	if _, err := os.Stat(filepath.Join(back, "opendental", "patient.MYD")); err != nil {
		t.Errorf("latest is not the clean one: %v", err)
	}
	must(t, os.Rename(p.path("patient.MYD"), patients))

	// Another run holds the lock.
	lock := flock.New(p.path("state", "practice", "lock"))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	p.want(exitFailed, step...).says(t, "another run of this source is under way")
	must(t, lock.Close())

	// The disk is not there.
	must(t, os.Rename(p.store, p.path("unplugged")))
	p.want(exitStore, step...).says(t, "is the disk connected")
	must(t, os.Rename(p.path("unplugged"), p.store))
	p.want(exitDone, step...)
	verdicts("clean", "suspect", "clean")
	p.want(exitUsage, append(step, "--dya", "2026-11-20")...).says(t, "did you mean --day?")
}

// run --day stores the set again as the day that is named, each time as a new
// revision, and sends nothing that is well in the store.
func TestDayOfARunIsTheOneThatIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.file("source/a.bak", "first")
	// The last day of a month that is over, but not for long, and the first of the next.
	recent := time.Now().AddDate(0, 0, -2)
	next := time.Date(recent.Year(), recent.Month(), 1, 0, 0, 0, 0, time.UTC)
	end, after := next.AddDate(0, 0, -1).Format(time.DateOnly), next.Format(time.DateOnly)
	run := func(code int, day string) runAnswer {
		t.Helper()
		var r runAnswer
		p.want(code, "run", "--wait", "0s", "--json", "--day", day).into(t, &r)
		return r
	}
	run(exitDone, end)
	if r := run(exitDone, end); r.New != 0 || r.Stores[0].Packs != 0 || r.Stores[0].Day != end+"#2" {
		t.Errorf("the same day again: %+v", r)
	}
	if r := run(exitDone, after); r.New != 0 || r.Stores[0].Packs != 0 {
		t.Errorf("the same set as another day: %+v", r)
	}
	p.file("source/a.bak", "second")
	if r := run(exitDone, end); r.Stores[0].Day != end+"#3" {
		t.Errorf("stored as %s", r.Stores[0].Day)
	}
	// The date counts, not the time of the run.
	for day, want := range map[string]string{"latest": "first", after: "first", end: "second", end + "#1": "first", end + "#2": "first", end + "#3": "second"} {
		back, _ := p.restore(exitDone, day, "back "+day)
		if b, err := os.ReadFile(filepath.Join(back, "a.bak")); err != nil || string(b) != want {
			t.Errorf("%s is %q, %v", day, b, err)
		}
	}
	for _, wrong := range []string{"2026-13-01", "yesterday", "30.10.2026", "2199-01-01", "latest"} {
		p.want(exitUsage, "run", "--wait", "0s", "--day", wrong)
	}

	// Every stored day has its reasons; the end of a month is kept by its last clean day.
	var plan retentionAnswer
	p.want(exitDone, "retention", "--json").into(t, &plan)
	classes := map[string][]string{}
	for _, d := range plan.Days {
		for _, r := range d.Reasons {
			classes[d.Day] = append(classes[d.Day], r.Class)
			if r.Text == "" {
				t.Errorf("%s: no words for %s", d.Day, r.Class)
			}
		}
		if d.Until.IsZero() || len(d.Reasons) == 0 {
			t.Errorf("%s is kept until %v because of %v", d.Day, d.Until, d.Reasons)
		}
	}
	if len(plan.Days) != 4 || !slices.Contains(classes[end+"#3"], "month") || slices.Contains(classes[end], "month") {
		t.Errorf("classes %v", classes)
	}
	text := p.want(exitDone, "retention").stdout
	if !strings.Contains(text, end+"#3") || !strings.Contains(text, "kept until") {
		t.Errorf("said\n%s", text)
	}
}

// Every verb answers with one JSON object, whether it succeeds or fails. A new verb
// needs a line here.
func TestEveryVerbAnswersWithOneObject(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.file("source/a.bak", "patients")
	var ran runAnswer
	p.want(exitDone, "run", "--wait", "0s", "--json").into(t, &ran)
	var holders holdersAnswer
	p.want(exitDone, "key", "holders", "list", "--json").into(t, &holders)
	key := []string{"--restore-key", p.key}
	with := func(args ...string) []string { return append(args, key...) }
	const other = "age1s5yp7rtc8h2gevgkkmkhy3x8uctqk6pphqcsxjl4z5tu8gnyse0sudpxus"
	verbs := map[string]struct{ works, fails []string }{
		"init": {[]string{"--config", p.path("two", "offsite.yaml"), "--source", p.source, "--store", "dir:" + p.path("second"), "--holder", holderPublic},
			[]string{"--source", p.source, "--store", "dir:" + p.path("third"), "--holder", holderPublic}},
		"run":           {[]string{"--wait", "0s"}, []string{"--store", "nowhere"}},
		"status":        {nil, []string{"--store", "nowhere"}},
		"diff":          {with(ran.Day, "latest"), with("latest")},
		"find":          {with("*.bak"), with("*.bak", "--day", "2001-01-01")},
		"drill":         {key, with("2001-01-01")},
		"days":          {nil, []string{"--store", "dir:" + p.path("nowhere")}},
		"retention":     {nil, []string{"--store", "nowhere"}},
		"hold":          {[]string{"latest", "--reason", "a complaint"}, []string{"2001-01-01", "--reason", "no such day"}},
		"ls":            {with("latest"), with("2001-01-01")},
		"restore":       {with("latest", "--to", p.path("back")), with("latest", "--to", p.home)},
		"check":         {with("--depth", "bytes"), []string{"--depth", "bits"}},
		"copy":          {[]string{"--from", "folder", "--to", "dir:" + p.path("copied")}, []string{"--from", "folder"}},
		"doctor":        {nil, []string{"x"}},
		"store check":   {nil, []string{"--store", "nowhere"}},
		"store policy":  {[]string{"--store", "s3://practice-backup"}, []string{"--store", "s3://practice-backup", "--for", "nobody"}},
		"sweep":         {nil, []string{"--store", "nowhere"}},
		"manage":        {[]string{"--store", "folder"}, []string{"--store", "nowhere"}},
		"demo":          {[]string{"--to", p.path("demo"), "--size", "2MB"}, []string{"--to", p.home}},
		"version":       {nil, []string{"x"}},
		"profile list":  {nil, []string{"x"}},
		"profile print": {[]string{"exact"}, []string{"nowhere"}},
		"profile learn": {[]string{"--good", "20/11/2026 18:45 good", "--bad", "20/11/2026 18:45 bad"},
			[]string{"--good", "20/11/2026 18:45 good"}},
		"service install":    {[]string{"--user", "practice", "--print"}, []string{"--print"}},
		"service remove":     {[]string{"--print"}, []string{"--name", "no name"}},
		"service start":      {[]string{"--print"}, []string{"--name", "no name"}},
		"service stop":       {[]string{"--print"}, []string{"--name", "no name"}},
		"service status":     {[]string{"--print"}, []string{"--name", "no name"}},
		"key sheet":          {key, []string{"--holder-key", "nowhere"}},
		"key holders list":   {nil, []string{"--store", "dir:" + p.path("nowhere")}},
		"key holders add":    {with(other), with("age1nonsense")},
		"key holders remove": {with(holders.Holders[0].ID), with("nobody")},
	}
	var paths []string
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if path := strings.TrimPrefix(c.CommandPath(), "offsite "); c.IsAvailableCommand() && !c.HasAvailableSubCommands() && c.HasParent() {
			paths = append(paths, path)
		}
	}
	walk((&app{}).root(func(answer) {}))
	slices.SortFunc(paths, func(a, b string) int { // what takes a holder away comes last
		return strings.Compare(strings.Replace(a, "remove", "~", 1), strings.Replace(b, "remove", "~", 1))
	})
	for _, path := range paths {
		args, ok := verbs[path]
		if !ok {
			// These have tests of their own: one does not end, the others need a suspect day,
			// a real service and a person's keyring.
			if !slices.Contains([]string{"watch", "acknowledge", "store setup", "store secret"}, path) {
				t.Errorf("this test does not know the verb %s", path)
			}
			continue
		}
		for i, args := range [][]string{args.works, args.fails} {
			if raceDetector && path == "demo" && i == 0 {
				continue // three passphrases, half a minute each
			}
			r := p.run(append(append(strings.Fields(path), "--json"), args...)...)
			var ans map[string]any
			r.into(t, &ans)
			_, failed := ans["error"]
			if failed != (i == 1) || failed != (r.code != exitDone && r.code != exitNothingNew) {
				t.Errorf("%s %v: exit %d\n%s%s", path, args, r.code, r.stdout, r.stderr)
			}
			if failed && !strings.Contains(r.stderr, "offsite: error: ") {
				t.Errorf("%s %v: nothing for people", path, args)
			}
		}
	}
}

// An interrupt ends watch in order, with its one object.
func TestInterruptedWatchAnswersWithOneObject(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted from outside on Windows")
	}
	p := newPlace(t)
	p.configure("#quiet: 10m", "quiet: 1s")
	p.file("source/a.bak", "patients")
	r := p.interrupted(t, "stored as ", "watch", "--json")
	var sum watchAnswer
	r.into(t, &sum)
	if r.code != exitDone || sum.Stored != 1 {
		t.Errorf("exit %d, %+v", r.code, sum)
	}
	p.configure("profile: generic", "profile: nothing")
	var ans struct{ Error errorObject }
	p.want(exitUsage, "watch", "--json").into(t, &ans)
}

// interrupted runs the program until it says something on standard error, and
// interrupts it then.
func (p *place) interrupted(t *testing.T, until string, args ...string) result {
	t.Helper()
	c := p.command(args...)
	return p.interruptedCommand(t, until, c)
}

func (p *place) interruptedCommand(t *testing.T, until string, c *exec.Cmd) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longEnough)
	defer cancel()
	stderr := &signalled{text: until, seen: make(chan struct{})}
	var stdout strings.Builder
	c.Stdout, c.Stderr = &stdout, stderr
	must(t, c.Start())
	go func() {
		select {
		case <-stderr.seen:
			_ = c.Process.Signal(os.Interrupt)
		case <-ctx.Done():
			_ = c.Process.Kill()
		}
	}()
	code := exitOf(t, c.Wait())
	if !strings.Contains(stderr.String(), until) {
		t.Fatalf("it never said %q\n%s", until, stderr)
	}
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}
