package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"offsite/retention"
	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// The limits of what doctor accepts.
const (
	// maxSkew is how far the clocks of PC and store may be apart: enough for a file
	// server that is set by hand, far from enough to change the day.
	maxSkew = 5 * time.Minute
	// stateRoom is what the local state of a practice with a million files takes.
	stateRoom = 1 << 30
	// maxOpened is how many files of the set doctor opens to see whether it may.
	maxOpened = 500
	// listedSets is how many sets it names.
	listedSets = 14
	// lateDisk is after how long a disk in a rotation is missed: a week and two days.
	lateDisk = 9 * 24 * time.Hour
)

// The results of a requirement. Only fail makes the exit code 1.
const (
	resultPass = "pass"
	resultWarn = "warn" // met, or not to be told, but worth a look
	resultFail = "fail"
)

// requirement is one line of the doctor's table.
type requirement struct {
	Area     string `json:"area"`
	Check    string `json:"check"`
	Result   string `json:"result"`
	Measured string `json:"measured"`
	Remedy   string `json:"remedy,omitempty"` // of what is not a pass
}

type doctorAnswer struct {
	Account string        `json:"account"`
	Checks  []requirement `json:"checks"`
	Passed  int           `json:"passed"`
	Warned  int           `json:"warned"`
	Failed  int           `json:"failed"`
}

func (d *doctorAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "looked at as %s\n", d.Account)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range d.Checks {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Result, c.Area, c.Check, c.Measured)
	}
	t.Flush()
	for _, c := range d.Checks {
		if c.Result != resultPass {
			fmt.Fprintf(w, "%s: %s, %s: %s\n", c.Result, c.Area, c.Check, c.Remedy)
		}
	}
	fmt.Fprintf(w, "%d passed, %d to look at, %d failed\n", d.Passed, d.Warned, d.Failed)
}

func (a *app) doctorVerb() verb {
	return verb{
		use: "doctor", short: "look whether everything that a backup needs is there, and say what to do where it is not",
		long: `Run it as the account that will do the work: what a person may read, a service
often may not. It looks at the source, the report of the backup program, the local
state, every store, the clocks, the schedule and the room on the disks. It changes
nothing but a file of its own that it makes and removes in the state folder and, to
learn a folder store's clock, in that store.`,
		example: "  offsite doctor\n  offsite doctor --json",
		exits:   []int{exitDone, exitFailed, exitUsage},
		run: func(ctx context.Context, _ []string) (answer, error) {
			p, err := a.loadSite()
			if err != nil {
				return nil, err
			}
			d := &doctor{app: a, site: p, answer: &doctorAnswer{Account: account(), Checks: []requirement{}}}
			d.examine(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if d.answer.Failed > 0 {
				return d.answer, verdictOnly(exitFailed)
			}
			return d.answer, nil
		},
	}
}

// account is who this process is.
func account() string {
	u, err := user.Current()
	if err != nil {
		return "an account without a name"
	}
	return u.Username
}

// doctor looks at one thing after the other. What fails keeps nothing else from
// being looked at.
type doctor struct {
	app    *app
	site   *site
	answer *doctorAnswer
	set    source.Set // the newest; zero: none could be listed
}

func (d *doctor) examine(ctx context.Context) {
	d.keys()
	d.layout(ctx)
	d.newest(ctx)
	d.report()
	d.state()
	for _, s := range d.site.config.Stores {
		d.store(ctx, s)
	}
	d.schedule()
}

func (d *doctor) add(area, check, result, measured, remedy string) {
	if result == resultPass {
		remedy = ""
	}
	d.answer.Checks = append(d.answer.Checks, requirement{area, check, result, measured, remedy})
	switch result {
	case resultPass:
		d.answer.Passed++
	case resultWarn:
		d.answer.Warned++
	default:
		d.answer.Failed++
	}
}

// judged adds a requirement that is met or fails.
func (d *doctor) judged(area, check string, met bool, measured, remedy string) {
	result := resultFail
	if met {
		result = resultPass
	}
	d.add(area, check, result, measured, remedy)
}

// failed adds an error with the first hint that is known for it.
func (d *doctor) failed(area, check string, err error, remedy string) {
	if _, hints := judge(err); len(hints) > 0 {
		remedy = hints[0]
	}
	d.add(area, check, resultFail, oneLine(err), remedy)
}

// keys looks at what loading the site has proved already.
func (d *doctor) keys() {
	d.add("account", "configuration", resultPass, "read, and every value is in its bounds", "")
	d.add("account", "upload key", resultPass, "read, and closed to others", "")
}

// layout looks at the folders and at what stands in them.
func (d *doctor) layout(ctx context.Context) {
	for _, f := range d.site.layout.Scan.Roots {
		d.folder(ctx, f.Path)
	}
	l := d.site.sets(d.app.now)
	found, err := l.Find(ctx)
	if err != nil {
		d.failed("source", "layout", err, "correct source.layout or source.folders")
		return
	}
	d.add("source", "layout", resultPass, fmt.Sprintf("%s, %s", l.Kind, count(len(found.Sets), "set")), "")
	d.sets(ctx, found)
	if len(d.site.layout.Scan.Live) == 0 {
		d.add("source", "live data", resultWarn, "no live folder is named", "name the folder of the running program under source.live, so that it can never be taken for the backup")
	}
}

// sets names the days whose sets stand in the source, newest first: those that run
// --day can take.
func (d *doctor) sets(ctx context.Context, found source.Found) {
	if !d.site.layout.Kind.Several() {
		return
	}
	var days []string
	for _, c := range found.Sets[:min(len(found.Sets), listedSets)] {
		if set, err := c.Scan(ctx); err == nil {
			days = append(days, d.site.businessDate(set, d.app.now()).String())
		}
	}
	slices.Sort(days)
	slices.Reverse(days)
	d.judged("source", "sets", len(days) > 0, strings.Join(days, ", "), "none of the sets can be listed: give "+d.answer.Account+" the right to read them")
}

// folder looks at one configured folder by itself.
func (d *doctor) folder(ctx context.Context, path string) {
	st, err := os.Stat(path)
	switch {
	case err != nil && d.site.layout.Kind == source.Computers:
		return // counted as away
	case err != nil:
		d.add("source", "folder", resultFail, oneLine(err), "is the disk connected, and may "+d.answer.Account+" read it?")
		return
	case !st.IsDir():
		d.add("source", "folder", resultFail, path+" is a file", "name the folder that it stands in, and a layout such as archives")
		return
	}
	d.add("source", "folder", resultPass, path, "")
	if guess, err := source.Guess(ctx, path); err == nil && guess != source.Folder && d.site.layout.Kind == source.Folder {
		d.add("source", "layout", resultWarn, "the folder looks like the layout "+string(guess), "if it is, write it as source.layout; every set in it is saved as one otherwise")
	}
}

// newest looks at the newest set.
func (d *doctor) newest(ctx context.Context) {
	set, err := d.site.sets(d.app.now).Newest(ctx)
	if err != nil {
		d.failed("source", "newest set", err, "did the backup run?")
		return
	}
	d.set = set
	d.day()
	d.volumes()
	d.reading(ctx)
	checks, err := d.site.checks()
	if err != nil {
		d.failed("source", "history of checks", err, "is the state folder readable by this account?")
		return
	}
	_, report := d.site.judge(ctx, set, 0, d.app.now, d.site.expected(checks, d.app.now()))
	for _, f := range report.Findings() {
		result := resultWarn
		if f.Level == verify.LevelIncomplete {
			result = resultFail
		}
		d.add("source", f.Check, result, f.Measured, f.Remedy)
	}
	if len(report.Findings()) == 0 {
		d.add("source", "profile "+report.Profile(), resultPass, "nothing is missing", "")
	}
}

// day compares the day of the newest set with the one that it should be of.
func (d *doctor) day() {
	now := d.app.now()
	cal := d.site.calendar
	day, want := d.site.businessDate(d.set, now), lastOpen(cal, cal.BusinessDate(now))
	files := fmt.Sprintf("of %s, %s, %s", day, count(d.set.Totals().Files, "file"), bytesText(d.set.Totals().Bytes))
	d.judged("source", "newest set", !day.Before(want), files,
		fmt.Sprintf("the backup of %s is missing: look whether the practice system's own backup ran", want))
	if newest := d.set.Newest(); newest.After(now.Add(maxSkew)) {
		d.add("clock", "source", resultFail, "the newest change lies "+newest.Sub(now).Round(time.Second).String()+" in the future",
			"set the clock of the PC or server that holds the folder, or that of this PC")
	}
}

// lastOpen is the last business day whose backup must be there: the one before
// today, because today's may be yet to come.
func lastOpen(cal *retention.Calendar, today retention.Date) retention.Date {
	const most = 60 // a longer closure has nothing to miss
	for n := 1; n <= most; n++ {
		if d := today.AddDays(-n); cal.Open(d) {
			return d
		}
	}
	return today.AddDays(-most)
}

// volumes looks at what the folders stand on.
func (d *doctor) volumes() {
	roots := d.set.Roots()
	for i, v := range d.set.Volumes() {
		var about []string
		for _, s := range []string{v.Type, v.Label} {
			if s != "" {
				about = append(about, s)
			}
		}
		if v.Serial != "" {
			about = append(about, "serial "+v.Serial)
		}
		result, remedy := resultPass, ""
		switch {
		case v.Remote && runtime.GOOS == "windows" && !strings.HasPrefix(roots[i].Path, `\\`):
			result, remedy = resultFail, `a drive letter of a share belongs to one logon, and a service has none: write \\server\share\folder`
		case v.Coarse:
			result, remedy = resultWarn, "this file system keeps local time and no change time, so waiting takes the whole quiet period; format the disk with NTFS, APFS or ext4"
		}
		d.add("source", "volume", result, strings.Join(about, ", "), remedy)
	}
	if d.set.Disk() == "" {
		return
	}
	d.add("source", "disk", resultPass, d.set.Disk()+" is connected", "")
	seen := d.site.seenDisks()
	for _, disk := range d.site.config.Source.Disks {
		at, ok := seen[disk.Name]
		if late := d.app.now().Sub(at); ok && disk.Name != d.set.Disk() && late > lateDisk {
			d.add("source", "disk", resultWarn, fmt.Sprintf("%s was not seen for %d days", disk.Name, int(late/(24*time.Hour))), "look where it is, or take it out of source.disks")
		}
	}
}

// reading opens files of the set, evenly spread, as far as this account may.
func (d *doctor) reading(ctx context.Context) {
	t := d.set.Totals()
	tried, refused := 0, 0
	var first error
	for i, step := 0, max(1, d.set.Len()/maxOpened); i < d.set.Len() && ctx.Err() == nil; i += step {
		e := d.set.At(i)
		if e.Type != source.TypeFile || e.Err != nil {
			continue
		}
		tried++
		f, err := d.set.Open(e)
		if err != nil {
			if refused++; first == nil {
				first = err
			}
			continue
		}
		if _, err := f.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
			refused++
			first = err
		}
		_ = f.Close()
	}
	refused += t.Unreadable
	measured := fmt.Sprintf("%s opened, %d refused", count(tried, "file"), refused)
	if first != nil {
		measured += ": " + oneLine(first)
	}
	d.judged("source", "reading", refused == 0, measured, "give "+d.answer.Account+" the right to read everything in the source, and close what holds files open")
}

// report looks at how the end of a backup is told.
func (d *doctor) report() {
	if log := d.site.profile.Log(); log != "" {
		f, err := os.Open(log)
		if err == nil {
			err = f.Close()
		}
		measured := "told by the log of the backup program"
		if err != nil {
			measured = oneLine(err)
		}
		d.judged("log", "end of the backup", err == nil, measured, "is the computer that holds the log on, and may "+d.answer.Account+" read it there?")
		return
	}
	if d.site.config.Source.Done != "" {
		d.add("log", "end of the backup", resultPass, "told by the file that source.done names", "")
		return
	}
	d.add("log", "end of the backup", resultWarn, fmt.Sprintf("told by %v without a change alone", d.site.quiet()),
		"let the backup program start offsite run --wait 0s as its last step, or name under source.done a file that it writes last")
}

// state looks at the folder for local state.
func (d *doctor) state() {
	dir := string(d.site.config.State)
	err := os.MkdirAll(dir, 0o700)
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(dir, "doctor-*")
	}
	if err != nil {
		d.failed("state", "writing", err, "give "+d.answer.Account+" the right to write to "+dir)
		return
	}
	err = errors.Join(f.Close(), os.Remove(f.Name()))
	d.judged("state", "writing", err == nil, dir, "give "+d.answer.Account+" the right to write to it")
	d.room("state", dir, stateRoom)
}

// room looks at the free space where a folder is.
func (d *doctor) room(area, dir string, need uint64) {
	free, err := freeBytes(dir)
	if err != nil {
		d.add(area, "room", resultWarn, oneLine(err), "look by hand whether there is room in "+filepath.Clean(dir))
		return
	}
	d.judged(area, "room", free >= need, fmt.Sprintf("%s free, %s needed", bytesText(int64(min(free, 1<<62))), bytesText(int64(need))), "make room, or name another place")
}

// schedule looks at when watch works.
func (d *doctor) schedule() {
	s := d.site.config.Schedule
	if !s.At.IsSet() {
		d.add("schedule", "window", resultPass, "watch looks at all hours", "")
		return
	}
	now := d.app.now()
	w := windowAt(now, s, d.site.calendar.Zone())
	length := w.end.Sub(w.start)
	form := func(t time.Time) string { return t.In(d.site.calendar.Zone()).Format("15:04") }
	d.judged("schedule", "window", length >= 2*d.site.quiet(), form(w.start)+" to "+form(w.end),
		"leave at least twice the quiet period between schedule.at and schedule.deadline")
	if d.site.calendar.BusinessDate(w.start) != d.site.calendar.BusinessDate(w.end.Add(-time.Second)) {
		d.add("schedule", "cut-off", resultWarn, "the window goes on beyond the cut-off of the business day",
			"a backup that ends after calendar.cut_off counts for the day after: set the cut-off later, or the deadline earlier")
	}
}

func count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
