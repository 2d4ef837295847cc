package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"offsite/uploader/source"
)

// Verdict is what a set is worth. The zero Verdict is Incomplete, so that
// forgetting to judge never passes for a good day.
type Verdict uint8

// The verdicts.
const (
	// Incomplete: something is missing; the set is not a backup.
	Incomplete Verdict = iota
	// Suspect: worth saving, but not to be trusted as a day of its own.
	Suspect
	// Clean: nothing was found against it.
	Clean
)

var verdictNames = [...]string{"incomplete", "suspect", "clean"}

// String returns the word for v.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "unknown"
}

// MarshalText returns the word for v.
func (v Verdict) MarshalText() ([]byte, error) {
	if int(v) >= len(verdictNames) {
		return nil, fmt.Errorf("write verdict: %d is none", v)
	}
	return []byte(v.String()), nil
}

// UnmarshalText reads the word for a verdict.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdictNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("read verdict: %.20q is none", text)
	}
	*v = Verdict(i)
	return nil
}

// Level is how much a finding weighs.
type Level uint8

// The levels. A warning leaves the verdict as it is.
const (
	LevelWarning Level = iota
	LevelSuspect
	LevelIncomplete
)

var levelNames = [...]string{"warning", "suspect", "incomplete"}

// String returns the word for l.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "unknown"
}

// MarshalText returns the word for l.
func (l Level) MarshalText() ([]byte, error) {
	if int(l) >= len(levelNames) {
		return nil, fmt.Errorf("write level: %d is none", l)
	}
	return []byte(l.String()), nil
}

// UnmarshalText reads the word for a level.
func (l *Level) UnmarshalText(text []byte) error {
	i := slices.Index(levelNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("read level: %.20q is none", text)
	}
	*l = Level(i)
	return nil
}

// Finding is one thing that a check has to say. None of its texts may hold a
// file name or anything else out of the source: findings go into records,
// reports and logs.
type Finding struct {
	Check    string `json:"check"` // the check, or "required:" or "optional:" with the id of a rule
	Level    Level  `json:"level"`
	Measured string `json:"measured"`
	Limit    string `json:"limit"`
	Remedy   string `json:"remedy"`
	Count    int    `json:"count,omitempty"` // of entries that the finding is about
}

// Report is the outcome of judging one set. The zero Report is Incomplete. It is
// not safe for concurrent use.
type Report struct {
	judged   bool
	profile  string
	totals   source.Totals
	newest   time.Time
	findings []Finding
	console  []string
}

// Verdict returns the verdict that the findings add up to.
func (r Report) Verdict() Verdict {
	if !r.judged {
		return Incomplete
	}
	v := Clean
	for _, f := range r.findings {
		switch f.Level {
		case LevelWarning:
		case LevelSuspect:
			v = min(v, Suspect)
		default:
			v = Incomplete
		}
	}
	return v
}

// Profile returns the name of the profile that was applied.
func (r Report) Profile() string { return r.profile }

// Totals returns the counts over the judged set.
func (r Report) Totals() source.Totals { return r.totals }

// Findings returns the findings, heaviest first.
func (r Report) Findings() []Finding {
	out := slices.Clone(r.findings)
	slices.SortStableFunc(out, func(a, b Finding) int { return int(b.Level) - int(a.Level) })
	return out
}

// Console returns lines that name files, for the person in front of the screen.
// They belong in no log, record or answer for programs.
func (r Report) Console() []string { return slices.Clone(r.console) }

// Add adds findings. They can only lower the verdict.
func (r *Report) Add(f ...Finding) { r.findings = append(slices.Clip(r.findings), f...) }

// AddDetail adds lines for the console, which may name files.
func (r *Report) AddDetail(lines ...string) {
	r.console = append(slices.Clip(r.console), lines...)
}

// AddUnreadable says that n files could not be read while they were stored. A
// set without them is incomplete. Nothing is added for n < 1.
func (r *Report) AddUnreadable(n int) {
	if n < 1 {
		return
	}
	r.Add(Finding{
		Check: "read", Level: LevelIncomplete, Count: n,
		Measured: plural(n, "file") + " could not be read", Limit: "none",
		Remedy: "close the program that holds them, or give the account that runs offsite the right to read them",
	})
}

// AddChanged says that n files changed while they were stored. What was read is
// a mix of two states. Nothing is added for n < 1.
func (r *Report) AddChanged(n int) {
	if n < 1 {
		return
	}
	r.Add(Finding{
		Check: "changed", Level: LevelIncomplete, Count: n,
		Measured: plural(n, "file") + " changed while being read", Limit: "none",
		Remedy: "start offsite after the backup has ended, or let it wait with --wait",
	})
}

// MarshalJSON writes what may leave the PC: everything but the console lines.
func (r Report) MarshalJSON() ([]byte, error) {
	findings := r.Findings()
	if findings == nil {
		findings = []Finding{}
	}
	out := struct {
		Profile    string     `json:"profile"`
		Verdict    Verdict    `json:"verdict"`
		Files      int        `json:"files"`
		Folders    int        `json:"folders"`
		Links      int        `json:"links"`
		Others     int        `json:"others"`
		Bytes      int64      `json:"bytes"`
		Unreadable int        `json:"unreadable"`
		Excluded   int        `json:"excluded"`
		Newest     *time.Time `json:"newest,omitempty"`
		Findings   []Finding  `json:"findings"`
	}{
		r.profile, r.Verdict(), r.totals.Files, r.totals.Dirs, r.totals.Symlinks, r.totals.Others,
		r.totals.Bytes, r.totals.Unreadable, r.totals.Excluded, nil, findings,
	}
	if !r.newest.IsZero() {
		newest := r.newest.UTC().Truncate(time.Second)
		out.Newest = &newest
	}
	return json.Marshal(out)
}

func plural(n int, word string) string {
	switch {
	case n == 1:
		return "1 " + word
	case word == "entry":
		return fmt.Sprintf("%d entries", n)
	}
	return fmt.Sprintf("%d %ss", n, word)
}
