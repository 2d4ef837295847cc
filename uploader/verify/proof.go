package verify

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"offsite/uploader/source"
	"offsite/uploader/verify/evidence"
)

// logSlack is by how much a change may be newer than the line that ends the
// backup: logs tell whole minutes, and the clock of a server is another one.
const logSlack = 3 * time.Minute

// evidenceFile is the part of a profile that says where the backup program tells
// how its run ended.
type evidenceFile struct {
	Kind     string   `yaml:"kind"` // lines or robocopy
	Log      string   `yaml:"log"`
	ExitCode string   `yaml:"exit_code,omitempty"`
	Computer string   `yaml:"computer,omitempty"`
	Location string   `yaml:"location,omitempty"`
	Dates    string   `yaml:"dates"` // dmy, mdy or ymd
	Good     []string `yaml:"good"`
	Bad      []string `yaml:"bad"`
	Missing  string   `yaml:"missing"` // incomplete or suspect
}

func (f evidenceFile) spec() (evidence.Spec, Level, error) {
	s := evidence.Spec{Kind: evidence.Kind(f.Kind), Log: f.Log, Code: f.ExitCode, Computer: f.Computer, Location: f.Location, Order: evidence.Order(f.Dates)}
	level := LevelIncomplete
	switch f.Missing {
	case "", "incomplete":
	case "suspect":
		level = LevelSuspect
	default:
		return s, level, errors.New("missing is incomplete or suspect")
	}
	switch {
	case s.Kind == evidence.Robocopy && len(f.Good)+len(f.Bad) > 0:
		return s, level, errors.New("robocopy is judged by its numbers: leave good and bad out")
	case s.Kind == evidence.Robocopy:
		return s, level, nil
	case s.Kind != evidence.Lines:
		return s, level, errors.New("kind is lines or robocopy")
	case s.Log == "" && len(f.Good)+len(f.Bad) == 0:
		return s, level, nil // prepared, but not set up
	case len(f.Good) == 0 || len(f.Bad) == 0 || len(f.Good)+len(f.Bad) > evidence.MaxPatterns:
		return s, level, fmt.Errorf("good and bad must hold a pattern each, and at most %d together: use offsite profile learn", evidence.MaxPatterns)
	case s.Order != evidence.DMY && s.Order != evidence.MDY && s.Order != evidence.YMD:
		return s, level, errors.New("dates is dmy, mdy or ymd")
	}
	for _, k := range []struct {
		texts []string
		into  *[]evidence.Pattern
	}{{f.Good, &s.Good}, {f.Bad, &s.Bad}} {
		for _, text := range k.texts {
			p, err := evidence.ParsePattern(text)
			if err != nil {
				return s, level, err
			}
			*k.into = append(*k.into, p)
		}
	}
	return s, level, nil
}

// EvidenceText writes the part of a profile that makes it look at a log.
func EvidenceText(s evidence.Spec) (string, error) {
	f := evidenceFile{Kind: string(s.Kind), Log: s.Log, ExitCode: s.Code, Computer: s.Computer, Location: s.Location, Dates: string(s.Order), Missing: "incomplete"}
	for _, k := range []struct {
		patterns []evidence.Pattern
		into     *[]string
	}{{s.Good, &f.Good}, {s.Bad, &f.Bad}} {
		for _, p := range k.patterns {
			*k.into = append(*k.into, p.String())
		}
	}
	text, err := yaml.MarshalWithOptions(struct {
		Evidence evidenceFile `yaml:"evidence"`
	}{f}, yaml.IndentSequence(true))
	if err != nil {
		return "", fmt.Errorf("write profile: %w", err)
	}
	return string(text), nil
}

// Log returns the path of the log that the profile reads, "" if it reads none.
func (p Profile) Log() string { return p.evidence.Log }

// evidence looks what the backup program itself says of the run that wrote the set.
func (j *judge) evidence(opt Options) {
	s := j.profile.evidence
	if s.Log == "" || opt.Now == nil {
		return
	}
	finding := Finding{Check: "evidence", Level: j.profile.missing, Limit: "a success that is not older than the set"}
	switch inside, err := j.inside(s.Log); {
	case err != nil:
	case inside:
		finding.Level = LevelIncomplete
		finding.Measured, finding.Remedy = "the log is part of the set", "name the log that the backup program writes, on the computer where it writes it: the copy in the backup was taken before the result was known"
		j.add(finding)
		return
	}
	zone := opt.Zone
	if zone == nil {
		zone = time.Local
	}
	res, err := s.Read(opt.Now(), zone)
	newest := written(j.set)
	switch {
	case err != nil:
		finding.Level = min(finding.Level, LevelSuspect) // the backup may be whole all the same
		finding.Measured, finding.Remedy = "the log cannot be read", "let the account that runs offsite read it, and look whether its computer is on"
		j.add(finding, "log of the backup program: "+err.Error())
	case res.Outcome == evidence.Nothing:
		finding.Measured, finding.Remedy = "no line of this backup", "look at the log: if the backup was stopped, let it run again; if its lines look different now, use offsite profile learn"
		j.add(finding)
	case res.Outcome == evidence.Failed && res.When.Add(24*time.Hour).After(newest):
		finding.Level = LevelIncomplete
		finding.Measured, finding.Remedy = strings.TrimSpace("the backup program says that it failed "+res.Numbers), "look at the log, remove the cause and let the backup run again"
		j.add(finding, "log of the backup program: "+res.Text)
	case res.When.Add(logSlack).Before(newest), res.Outcome == evidence.Failed, res.When.Before(opt.Expected):
		finding.Measured = "the last success is older than the set by " + max(newest.Sub(res.When), opt.Expected.Sub(res.When)).Round(time.Minute).String()
		finding.Remedy = "the backup was stopped, or still runs: wait, or let it run again"
		j.add(finding, "log of the backup program: "+res.Text)
	case res.When.After(opt.Now().Add(maxAhead)):
		finding.Measured, finding.Remedy = "the last success lies in the future", "compare the clocks of this PC and of the one that writes the log"
		j.add(finding)
	}
}

// inside says whether the log is a file of the set, by whatever path it is named.
func (j *judge) inside(log string) (bool, error) {
	info, err := os.Stat(log)
	if err != nil {
		return false, err
	}
	base := strings.ToLower(filepath.Base(log))
	roots := j.set.Roots()
	for e := range j.set.Entries() {
		if e.Type != source.TypeFile || strings.ToLower(path.Base(e.Path)) != base {
			continue
		}
		for _, r := range roots {
			if len(roots) > 1 && !strings.HasPrefix(e.Path, r.Name+"/") {
				continue
			}
			if at, err := os.Stat(filepath.Join(r.Resolved, filepath.FromSlash(j.set.Within(e)))); err == nil && os.SameFile(at, info) {
				return true, nil
			}
		}
	}
	return false, nil
}
