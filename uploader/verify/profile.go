package verify

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"offsite/uploader/source"
	"offsite/uploader/verify/evidence"
)

// The limits of a profile. The built-in ones use a tenth of each.
const (
	MaxProfile  = 16 << 10 // bytes of text
	MaxRules    = 64       // required and optional together
	MaxMatch    = 32       // patterns of one rule
	maxID       = 32       // letters of a name or id
	maxQuiet    = 24 * time.Hour
	maxMinBytes = 1 << 50
)

//go:embed profiles/*.yaml
var builtin embed.FS

// Profile is what a practice system's backup must look like. Only ParseProfile
// and Builtin make one; the zero Profile is not valid.
type Profile struct {
	name, title, proves, cannot string
	quiet                       time.Duration
	minFiles                    int
	minBytes                    int64
	exclude, last, fixed        []source.Pattern
	rules                       []rule
	evidence                    evidence.Spec
	missing                     Level // of evidence that is not there
}

// rule is something that is looked for.
type rule struct {
	check    string // "required:id" or "optional:id"
	match    []source.Pattern
	minSize  int64
	minCount int
	level    Level
	help     string
}

// Name returns the short name.
func (p Profile) Name() string { return p.name }

// Title returns the name for people.
func (p Profile) Title() string { return p.title }

// Quiet returns for how long nothing may have changed before the set is judged.
func (p Profile) Quiet() time.Duration { return p.quiet }

// Exclude returns the patterns that a scan for this profile leaves out.
func (p Profile) Exclude() []source.Pattern { return slices.Clone(p.exclude) }

// Proves and CannotProve say in plain words what a clean verdict means.
func (p Profile) Proves() string { return p.proves }

// CannotProve says what stays unknown even with a clean verdict.
func (p Profile) CannotProve() string { return p.cannot }

// Builtins returns the names of the built-in profiles.
func Builtins() []string {
	entries, err := builtin.ReadDir("profiles")
	if err != nil {
		panic("verify: no profiles are built in: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Builtin returns a built-in profile.
func Builtin(name string) (Profile, error) {
	data, err := BuiltinText(name)
	if err != nil {
		return Profile{}, err
	}
	return ParseProfile(data)
}

// BuiltinText returns the text of a built-in profile, to be copied and changed.
func BuiltinText(name string) ([]byte, error) {
	if !slices.Contains(Builtins(), name) {
		return nil, fmt.Errorf("find profile: %.40q is not one of %s", name, strings.Join(Builtins(), ", "))
	}
	data, err := builtin.ReadFile("profiles/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("find profile: %w", err)
	}
	return data, nil
}

// profileFile is the text form.
type profileFile struct {
	Name        string        `yaml:"name"`
	Title       string        `yaml:"title"`
	Quiet       duration      `yaml:"quiet"`
	MinFiles    int           `yaml:"min_files"`
	MinBytes    size          `yaml:"min_bytes"`
	Exclude     []string      `yaml:"exclude"`
	Last        []string      `yaml:"last"`
	WriteOnce   []string      `yaml:"write_once"`
	Required    []ruleFile    `yaml:"required"`
	Optional    []ruleFile    `yaml:"optional"`
	Evidence    *evidenceFile `yaml:"evidence"`
	Proves      string        `yaml:"proves"`
	CannotProve string        `yaml:"cannot_prove"`
}

type ruleFile struct {
	ID        string   `yaml:"id"`
	Match     []string `yaml:"match"`
	MinSize   size     `yaml:"min_size"`
	MinCount  int      `yaml:"min_count"`
	MatchCase bool     `yaml:"match_case"`
	Level     string   `yaml:"level"`
	Help      string   `yaml:"help"`
}

// ParseProfile reads a profile. Unknown fields, a second document, anchors and
// anything outside of the limits are errors.
func ParseProfile(data []byte) (Profile, error) {
	p, err := parseProfile(data)
	if err != nil {
		return Profile{}, fmt.Errorf("parse profile: %w", err)
	}
	return p, nil
}

func parseProfile(data []byte) (Profile, error) {
	var f profileFile
	if err := decode(data, &f); err != nil {
		return Profile{}, err
	}
	if !validID(f.Name) {
		return Profile{}, errors.New("name must be of the letters a to z, digits and hyphens")
	}
	p := Profile{
		name: f.Name, title: f.Title, proves: f.Proves, cannot: f.CannotProve,
		quiet: time.Duration(f.Quiet), minFiles: f.MinFiles, minBytes: int64(f.MinBytes),
	}
	if p.title == "" {
		p.title = p.name
	}
	if p.quiet == 0 {
		p.quiet = source.DefaultQuiet
	}
	if p.minFiles < 0 {
		return Profile{}, errors.New("min_files is negative")
	}
	if len(f.Exclude) > source.MaxPatterns || len(f.Last)+len(f.WriteOnce) > MaxMatch || len(f.Required)+len(f.Optional) > MaxRules {
		return Profile{}, errors.New("too many patterns or rules")
	}
	var err error
	if p.exclude, err = parseMatch(f.Exclude, false); err != nil {
		return Profile{}, fmt.Errorf("exclude: %w", err)
	}
	if p.last, err = parseMatch(f.Last, false); err != nil {
		return Profile{}, fmt.Errorf("last: %w", err)
	}
	if p.fixed, err = parseMatch(f.WriteOnce, false); err != nil {
		return Profile{}, fmt.Errorf("write_once: %w", err)
	}
	seen := map[string]bool{}
	for _, list := range []struct {
		kind  string
		rules []ruleFile
	}{{"required", f.Required}, {"optional", f.Optional}} {
		for _, rf := range list.rules {
			r, err := rf.rule(list.kind)
			if err != nil {
				return Profile{}, fmt.Errorf("%s rule %.32q: %w", list.kind, rf.ID, err)
			}
			if seen[rf.ID] {
				return Profile{}, fmt.Errorf("id %q is used twice", rf.ID)
			}
			seen[rf.ID] = true
			p.rules = append(p.rules, r)
		}
	}
	if f.Evidence != nil {
		if p.evidence, p.missing, err = f.Evidence.spec(); err != nil {
			return Profile{}, fmt.Errorf("evidence: %w", err)
		}
	}
	return p, nil
}

// decode reads exactly one YAML document. Anchors are refused because a few lines
// of them can stand for gigabytes.
func decode(data []byte, into any) error {
	if len(data) > MaxProfile {
		return fmt.Errorf("longer than %d bytes", MaxProfile)
	}
	for _, t := range lexer.Tokenize(string(data)) {
		if t.Type == token.AnchorType || t.Type == token.AliasType || t.Type == token.MergeKeyType {
			return fmt.Errorf("line %d: anchors and aliases are not allowed", t.Position.Line)
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("nothing in it")
		}
		return err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return errors.New("more than one document")
	}
	return nil
}

func (f ruleFile) rule(kind string) (rule, error) {
	r := rule{check: kind + ":" + f.ID, minSize: int64(f.MinSize), minCount: f.MinCount, help: f.Help}
	switch {
	case !validID(f.ID):
		return r, errors.New("id must be of the letters a to z, digits and hyphens")
	case len(f.Match) == 0 || len(f.Match) > MaxMatch:
		return r, fmt.Errorf("match must hold 1 to %d patterns", MaxMatch)
	case f.MinCount < 0:
		return r, errors.New("min_count is negative")
	}
	switch {
	case kind == "required" && f.Level == "":
		r.level = LevelIncomplete
	case kind == "optional" && (f.Level == "" || f.Level == "warning"):
		r.level = LevelWarning
	case kind == "optional" && f.Level == "suspect":
		r.level = LevelSuspect
	default:
		return r, errors.New("level is for optional rules, and warning or suspect")
	}
	r.minSize = max(r.minSize, 1)
	r.minCount = max(r.minCount, 1)
	var err error
	r.match, err = parseMatch(f.Match, f.MatchCase)
	return r, err
}

func parseMatch(texts []string, exact bool) ([]source.Pattern, error) {
	parse := source.ParsePattern
	if exact {
		parse = source.ParseExact
	}
	var list []source.Pattern
	for _, text := range texts {
		p, err := parse(text)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// validID keeps names of profiles and rules to a form that no file name of a
// patient has, because they stand in findings.
func validID(s string) bool {
	if s == "" || len(s) > maxID || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// duration is a time span such as 10m or 1h30m.
type duration time.Duration

// UnmarshalYAML reads a duration.
func (d *duration) UnmarshalYAML(decode func(any) error) error {
	var text string
	if err := decode(&text); err != nil {
		return err
	}
	v, err := time.ParseDuration(text)
	if err != nil || v <= 0 || v > maxQuiet {
		return fmt.Errorf("%.20q is not a time such as 10m, or not within 24h", text)
	}
	*d = duration(v)
	return nil
}

// size is a number of bytes such as 4096 or 20 MiB.
type size int64

// UnmarshalYAML reads a size.
func (s *size) UnmarshalYAML(decode func(any) error) error {
	var text string
	if err := decode(&text); err != nil {
		return err
	}
	number, shift := text, 0
	for _, u := range []struct {
		name  string
		shift int
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"B", 0}} {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, shift = strings.TrimRight(rest, " "), u.shift
			break
		}
	}
	v, err := strconv.ParseUint(number, 10, 62)
	if err != nil || v > maxMinBytes>>shift {
		return fmt.Errorf("%.20q is not a size such as 4096 or 20 MiB", text)
	}
	*s = size(v << shift)
	return nil
}
