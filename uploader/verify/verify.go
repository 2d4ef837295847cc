// Package verify judges a set before anything of it is uploaded.
//
// What it promises: a Passed comes from Judge alone, and only for a set that is
// clean or suspect, so nothing that is incomplete can be uploaded by mistake;
// findings carry numbers, limits and remedies, but never a file name or any
// content of the source. CHECKS.md says what each check proves and what it
// cannot.
//
// What it refuses: profiles with unknown fields or beyond their limits.
package verify

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"offsite/uploader/source"
)

const (
	// maxDetail is how many files a finding names on the console.
	maxDetail = 20
	// maxAhead is how far in the future a file's time may lie. File systems that
	// keep local time are off by the width of the time zones.
	maxAhead = 24 * time.Hour
)

// Passed is a judged set that may be stored. The zero Passed is not valid.
type Passed struct {
	set    source.Set
	report Report
	fixed  []source.Pattern // what the profile says is written once
}

// Valid reports whether Judge made p.
func (p Passed) Valid() bool { return p.set.Valid() && p.report.judged }

// Set returns the judged set.
func (p Passed) Set() source.Set { return p.set }

// Report returns a copy of the report; adding to it leaves p as it is.
func (p Passed) Report() Report { return p.report }

// Verdict returns the verdict at the time of judging.
func (p Passed) Verdict() Verdict { return p.report.Verdict() }

// Options are what the checks need besides the set.
type Options struct {
	// Now is the clock. nil: the checks that need one are left out.
	Now func() time.Time
	// Quiet is the quiet period in force. 0: the profile's.
	Quiet time.Duration
	// Finished says that the backup program itself has told that it is done: it
	// started this run as its last step. Then no quiet period is asked for.
	Finished bool
	// Expected is the time that a backup of the day cannot be older than. Zero: none
	// is due.
	Expected time.Time
	// Zone is that of the PC that writes the backup program's log. nil: this PC's.
	Zone *time.Location
	// Free returns how much room is left on the disk that holds path. nil: the check is
	// left out.
	Free func(path string) (uint64, error)
}

// Judge applies a profile to a set. The Passed is valid unless the report's
// verdict is Incomplete.
func Judge(ctx context.Context, set source.Set, profile Profile, opt Options) (Passed, Report) {
	j := judge{set: set, profile: profile}
	j.report = Report{judged: true, profile: profile.name, totals: set.Totals(), newest: set.Newest()}
	switch {
	case !set.Valid():
		j.add(Finding{
			Check: "set", Level: LevelIncomplete, Measured: "no set", Limit: "a scanned set",
			Remedy: "scan the source before judging it",
		})
	case profile.name == "":
		j.add(Finding{
			Check: "profile", Level: LevelIncomplete, Measured: "no profile", Limit: "a profile",
			Remedy: "name a profile in the configuration",
		})
	default:
		j.content()
		j.settled(opt)
		j.due(opt.Expected)
		j.evidence(opt)
		j.last()
		j.room(opt.Free)
		j.entries(ctx, opt.Now)
		j.kinds()
		j.found()
	}
	if j.report.Verdict() == Incomplete {
		return Passed{}, j.report
	}
	return Passed{set, j.report, profile.fixed}, j.report
}

// judge is the state of one Judge.
type judge struct {
	set     source.Set
	profile Profile
	report  Report
}

func (j *judge) add(f Finding, details ...string) {
	j.report.Add(f)
	j.report.AddDetail(details...)
}

// content compares the totals with what a set must have at least.
func (j *judge) content() {
	t, p := j.set.Totals(), j.profile
	if t.Files == 0 || t.Bytes == 0 {
		j.add(Finding{
			Check: "content", Level: LevelIncomplete,
			Measured: fmt.Sprintf("%s, %d bytes", plural(t.Files, "file"), t.Bytes), Limit: "at least 1 file that is not empty",
			Remedy: "look whether the backup program ran, and whether the configuration names the folder it writes to",
		})
		return
	}
	if t.Files < p.minFiles {
		j.add(Finding{
			Check: "min-files", Level: LevelSuspect,
			Measured: plural(t.Files, "file"), Limit: "at least " + plural(p.minFiles, "file"),
			Remedy: "look at the log of the backup program; lower min_files in the profile if so few are right",
		})
	}
	if t.Bytes < p.minBytes {
		j.add(Finding{
			Check: "min-bytes", Level: LevelSuspect,
			Measured: strconv.FormatInt(t.Bytes, 10) + " bytes", Limit: "at least " + strconv.FormatInt(p.minBytes, 10) + " bytes",
			Remedy: "look at the log of the backup program; lower min_bytes in the profile if so little is right",
		})
	}
}

// settled warns when nobody waited and the newest change is recent. It is silent
// when the backup program itself started the run at its end: that is better
// evidence than any waiting, and a warning every night would be one that nobody reads.
func (j *judge) settled(opt Options) {
	quiet := opt.Quiet
	if quiet <= 0 {
		quiet = j.profile.quiet
	}
	if opt.Now == nil || opt.Finished || j.set.Quiet() >= quiet || j.set.Proof().Kind >= source.ProofMark || j.set.Newest().IsZero() {
		return
	}
	since := opt.Now().Sub(j.set.Newest())
	if since >= quiet {
		return
	}
	j.add(Finding{
		Check: "settled", Level: LevelWarning,
		Measured: fmt.Sprintf("newest change %v ago", max(since, 0).Round(time.Second)),
		Limit:    fmt.Sprintf("quiet for %v", quiet),
		Remedy:   "start offsite as the last step of the backup with --wait 0s, or let it wait",
	})
}

// due notices that nothing at all has changed since a backup was due.
func (j *judge) due(expected time.Time) {
	newest := written(j.set)
	if expected.IsZero() || newest.IsZero() || !newest.Before(expected) {
		return
	}
	j.add(Finding{
		Check: "unchanged", Level: LevelIncomplete,
		Measured: fmt.Sprintf("nothing written for %v", expected.Sub(newest).Round(time.Hour)), Limit: "a backup of the day",
		Remedy: "look whether the backup program ran: nothing in the source is newer than the last one",
	})
}

// last looks at the file that the backup program writes at the end of every run: it
// must not be older than the rest.
func (j *judge) last() {
	if len(j.profile.last) == 0 {
		return
	}
	var mark, newest int64
	for e := range j.set.Entries() {
		switch {
		case e.Type != source.TypeFile:
		case slices.ContainsFunc(j.profile.last, func(p source.Pattern) bool { return p.Match(j.set.Within(e), false) }):
			mark = max(mark, e.ModTime)
		default:
			newest = max(newest, e.ModTime)
		}
	}
	if late := time.Duration(newest - mark); mark == 0 || late > logSlack {
		j.add(Finding{
			Check: "last", Level: LevelIncomplete,
			Measured: fmt.Sprintf("what the backup program writes last is %v older than the rest", late.Round(time.Second)), Limit: logSlack.String(),
			Remedy: "the backup was stopped, or still runs: wait, or let it run again",
		})
	}
}

// room notices a disk that was full when the backup was written.
func (j *judge) room(free func(string) (uint64, error)) {
	if free == nil {
		return
	}
	limit := min(freeLeast, freeBase+uint64(j.set.Totals().Bytes)/freeShare)
	for _, r := range j.set.Roots() {
		left, err := free(r.Resolved)
		if err != nil || left >= limit {
			continue
		}
		j.add(Finding{
			Check: "room", Level: LevelSuspect,
			Measured: fmt.Sprintf("%d bytes left on the disk of the backup", left), Limit: fmt.Sprintf("%d bytes", limit),
			Remedy: "make room, and let the backup run again: a disk that is full cuts off what is written last",
		})
		return
	}
}

// written is the newest modification time of any file. A set's own newest change
// also counts when files were copied, which says nothing about what is in them.
func written(set source.Set) time.Time {
	var newest int64
	for e := range set.Entries() {
		if e.Type == source.TypeFile {
			newest = max(newest, e.ModTime)
		}
	}
	if newest == 0 {
		return time.Time{}
	}
	return time.Unix(0, newest)
}

// entries looks at every entry once: for what cannot be read, for times in the
// future and for what the rules want.
func (j *judge) entries(ctx context.Context, now func() time.Time) {
	found := make([]int, len(j.profile.rules))
	small := make([]int, len(j.profile.rules))
	var unreadable, ahead int
	var details []string
	horizon := time.Time{}
	if now != nil {
		horizon = now().Add(maxAhead)
	}
	i := 0
	for e := range j.set.Entries() {
		if i++; i%4096 == 0 && ctx.Err() != nil {
			j.add(Finding{
				Check: "stopped", Level: LevelIncomplete, Measured: "judging was stopped", Limit: "judged to the end",
				Remedy: "start again",
			})
			return
		}
		if e.Err != nil {
			if unreadable++; unreadable <= maxDetail {
				details = append(details, fmt.Sprintf("cannot read %s %s: %v", e.Type, e.Path, e.Err))
			}
			continue
		}
		if e.Type == source.TypeFile && now != nil && e.ModTime > horizon.UnixNano() {
			ahead++
		}
		j.applyRules(e, found, small)
	}
	if unreadable > 0 {
		if unreadable > maxDetail {
			details = append(details, fmt.Sprintf("and %d more", unreadable-maxDetail))
		}
		j.add(Finding{
			Check: "unreadable", Level: LevelIncomplete, Count: unreadable,
			Measured: plural(unreadable, "entry") + " cannot be listed", Limit: "none",
			Remedy: "give the account that runs offsite the right to read the whole source",
		}, details...)
	}
	if ahead > 0 {
		j.add(Finding{
			Check: "clock", Level: LevelWarning, Count: ahead,
			Measured: plural(ahead, "file") + " dated in the future", Limit: "at most 24h ahead",
			Remedy: "compare the clocks of this PC and of the PC that wrote the backup",
		})
	}
	for i, r := range j.profile.rules {
		if found[i] < r.minCount {
			j.missing(r, found[i], small[i])
		}
	}
}

// applyRules counts e for every rule that still looks for something.
func (j *judge) applyRules(e source.Entry, found, small []int) {
	if e.Type != source.TypeFile && e.Type != source.TypeDir {
		return
	}
	dir := e.Type == source.TypeDir
	path := j.set.Within(e)
	for i := range j.profile.rules {
		r := &j.profile.rules[i]
		if found[i] >= r.minCount || !slices.ContainsFunc(r.match, func(p source.Pattern) bool {
			return p.Match(path, dir) && (!dir || strings.HasSuffix(p.String(), "/"))
		}) {
			continue
		}
		if dir || e.Size >= r.minSize {
			found[i]++
		} else {
			small[i]++
		}
	}
}

func (j *judge) missing(r rule, found, small int) {
	measured := strconv.Itoa(found) + " found"
	if small > 0 {
		measured += fmt.Sprintf(", %d too small", small)
	}
	limit := fmt.Sprintf("at least %d", r.minCount)
	if r.minSize > 1 {
		limit += " of " + strconv.FormatInt(r.minSize, 10) + " bytes or more"
	} else {
		limit += ", not empty"
	}
	remedy := "look at the log and the settings of the backup program, then let it run again"
	if r.level != LevelIncomplete {
		remedy = "look whether the backup program is set to copy everything; if this practice has none of it, remove the rule from the profile"
	}
	names := make([]string, 0, len(r.match))
	for _, p := range r.match {
		names = append(names, p.String())
	}
	detail := fmt.Sprintf("%s: %s that match %s (%s)", r.check, measured, strings.Join(names, ", "), limit)
	if r.help != "" {
		detail += ": " + strings.TrimSpace(r.help)
	}
	j.add(Finding{Check: r.check, Level: r.level, Measured: measured, Limit: limit, Remedy: remedy, Count: small}, detail)
}

// kinds warns about what is listed but not stored the way a person may expect.
func (j *judge) kinds() {
	t := j.set.Totals()
	if t.Symlinks > 0 {
		j.add(Finding{
			Check: "links", Level: LevelWarning, Count: t.Symlinks,
			Measured: plural(t.Symlinks, "link"), Limit: "none",
			Remedy: "what a link points to is not stored: add its folder to the source if it belongs to the backup",
		})
	}
	if t.Others > 0 {
		j.add(Finding{
			Check: "others", Level: LevelWarning, Count: t.Others,
			Measured: plural(t.Others, "entry") + " that is neither file, folder nor link", Limit: "none",
			Remedy: "such things have no content to store; a backup folder does not usually hold any",
		})
	}
}

// found warns about what finding the set brought up.
func (j *judge) found() {
	if n := j.set.LiveUnchecked(); n > 0 {
		j.add(Finding{
			Check: "live", Level: LevelWarning, Count: n,
			Measured: plural(n, "live folder") + " could not be reached", Limit: "none",
			Remedy: "make sure the source is not the running program's own data",
		})
	}
	if n := j.set.Away(); n > 0 {
		j.add(Finding{
			Check: "computers", Level: LevelWarning, Count: n,
			Measured: plural(n, "folder") + " could not be reached", Limit: "none",
			Remedy: "if the newest backup was written by a PC that is switched off, switch it on and run again",
		})
	}
	if n := j.set.Ahead(); n > 0 {
		j.add(Finding{
			Check: "dated-ahead", Level: LevelWarning, Count: n,
			Measured: plural(n, "set") + " with a date in the future left out", Limit: "none",
			Remedy: "set the clock of the PC that writes the backup, and correct or remove what has the wrong date",
		})
	}
}
