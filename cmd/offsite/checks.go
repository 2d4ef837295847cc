package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/retention"
	"offsite/uploader"
	"offsite/uploader/verify"
)

const (
	// checksFile is the history of checks in the state folder of a source: numbers and
	// keyed hashes.
	checksFile = "checks"
	// findingsFile names the files that the findings of the last run are about. It is
	// readable by its owner alone and leaves the PC in no other form.
	findingsFile = "findings.txt"
	// reasonsFile keeps what was acknowledged, and why.
	reasonsFile = "acknowledged.txt"
	// backupGrace is how much later than the last clean one a day's backup may be
	// written before its absence counts.
	backupGrace = 3 * time.Hour
)

// profileOf reads the profile that the configuration names: a built-in one, or a file.
func profileOf(c *config.Config) (verify.Profile, error) {
	if !c.Source.ProfileIsFile() {
		return verify.Builtin(c.Source.Profile)
	}
	p, err := readProfile(c.Source.Profile)
	if err != nil {
		return p, c.Problem("source.profile", err.Error(), "start from a built-in one: offsite profile print generic")
	}
	return p, nil
}

func readProfile(path string) (verify.Profile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return verify.Profile{}, fmt.Errorf("read profile: %w", err)
	}
	return verify.ParseProfile(data)
}

func (p *site) checks() (*verify.History, error) {
	owner := p.key.Repository + " " + sourceID(p.key, p.config.Source.Name)
	return verify.LoadHistory(filepath.Join(p.stateOf(), checksFile), owner, p.key.Namer().Path)
}

// expected is the time that today's backup cannot be older than, if one is due: the
// day is open, and the time of day at which the last clean one was written has passed
// by a while.
func (p *site) expected(h *verify.History, now time.Time) time.Time {
	written, judged := h.Written()
	today := p.calendar.BusinessDate(now)
	if written.IsZero() || p.calendar.Closed(today) != "" || judged.Sub(written) > 36*time.Hour || today == p.calendar.BusinessDate(written) {
		return time.Time{}
	}
	local := written.In(p.calendar.Zone())
	begin := time.Date(today.Year, today.Month, today.Day, 0, 0, 0, 0, p.calendar.Zone()).
		Add(time.Duration(p.config.Calendar.CutOff.Hour)*time.Hour + time.Duration(p.config.Calendar.CutOff.Minute)*time.Minute)
	due := time.Date(today.Year, today.Month, today.Day, local.Hour(), local.Minute(), 0, 0, p.calendar.Zone()).Add(backupGrace)
	if due.Before(begin) { // it is written after midnight
		due = due.AddDate(0, 0, 1)
	}
	if now.Before(due) {
		return time.Time{}
	}
	return begin
}

// observer prepares the checks of the bytes. A day that is older than the last clean
// one is compared with nothing: what came after it is no measure.
func (p *site) observer(h *verify.History, passed verify.Passed, day retention.Date) (*verify.Pass, error) {
	if err := os.MkdirAll(p.stateOf(), 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	if day.String() < h.Clean() {
		h = h.Empty()
	}
	return verify.NewPass(passed, h, day.String()), nil
}

// concluded remembers the set as it was judged in the end, and names the files that
// the findings are about to the person at the console and in a file of their own.
func (a *app) concluded(p *site, pass *verify.Pass, listed []string, res uploader.Result, runErr error) error {
	lines := append(listed, pass.Console()...)
	a.sayNames(pass.Console())
	err := p.keepNames(lines)
	v := verify.Incomplete
	if !errors.Is(runErr, uploader.ErrIncomplete) {
		if runErr != nil && !errors.Is(runErr, uploader.ErrNothingNew) {
			return err // what was not stored is no measure for the next set
		}
		if verr := v.UnmarshalText([]byte(res.Verdict)); verr != nil {
			return errors.Join(err, verr)
		}
	}
	return errors.Join(err, pass.Save(v, a.now()))
}

// keepNames writes the lines that name files. Without any, the file goes.
func (p *site) keepNames(lines []string) error {
	path := filepath.Join(p.stateOf(), findingsFile)
	if len(lines) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove names of findings: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(p.stateOf(), 0o700); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("write names of findings: %w", err)
	}
	return nil
}
