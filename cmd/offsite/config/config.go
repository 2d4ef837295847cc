// Package config reads the one configuration file of offsite.
//
// It promises that a file it accepts means exactly what it says: every key is
// known and stands once, every duration and size has a unit, every date exists,
// every number is within its bounds, and relative paths are relative to the file.
// Every mistake is reported at once, each with its line, the line's text and
// what to write instead.
//
// It refuses secrets as values (they are named, env:NAME or file:PATH), YAML
// anchors, aliases and tags, and more than one document. It opens no store and
// looks at no other file, except where Secret.Resolve is called.
package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"offsite/retention"
)

// MaxFile bounds the file that Parse accepts; a configuration is a few KiB, and
// anything near the bound is a wrong path on the command line.
const MaxFile = 1 << 20

// Config is the whole file. Example is its documentation.
type Config struct {
	Version   int       `yaml:"version" need:"yes" min:"1" max:"1"`
	State     Path      `yaml:"state"`
	UploadKey Path      `yaml:"upload_key"`
	Source    Source    `yaml:"source" need:"yes"`
	Stores    []Store   `yaml:"stores" need:"yes" max:"8"`
	Schedule  Schedule  `yaml:"schedule"`
	Retention Retention `yaml:"retention"`
	Calendar  Calendar  `yaml:"calendar"`

	file file
	at   map[string]position
}

// Schedule says when watch works. Both times are local to Calendar.Zone.
type Schedule struct {
	At       TimeOfDay `yaml:"at"`
	Deadline TimeOfDay `yaml:"deadline"`
}

// Retention says how many keepers of each class are wanted, and the insurances
// against silence.
type Retention struct {
	BusinessDays   int      `yaml:"business_days" min:"1" max:"400"`
	MonthEnds      int      `yaml:"month_ends" min:"0" max:"240"`
	QuarterEnds    int      `yaml:"quarter_ends" min:"0" max:"120"`
	FiscalYearEnds int      `yaml:"fiscal_year_ends" min:"0" max:"50"`
	FiscalYearEnd  MonthDay `yaml:"fiscal_year_end"`
	FiscalQuarters bool     `yaml:"fiscal_quarters"`
	Floor          Duration `yaml:"floor" min:"7d" max:"3650d"`
	WeeklyFloor    Duration `yaml:"weekly_floor" min:"14d" max:"3650d"`
}

// Calendar says which days are business days.
type Calendar struct {
	Country string      `yaml:"country"`
	Zone    Zone        `yaml:"zone"`
	Open    []Weekday   `yaml:"open" max:"7"`
	CutOff  TimeOfDay   `yaml:"cut_off"`
	Closed  []DateRange `yaml:"closed" max:"512"`
	Extra   []DateRange `yaml:"extra" max:"512"`
}

// Default is what holds for every key that the file leaves out.
func Default() *Config {
	return &Config{
		Version:   1,
		UploadKey: "upload.key",
		Source:    Source{Profile: "generic", Layout: "folder"}, // without Quiet, the profile's holds
		Retention: Retention{
			BusinessDays: 10, MonthEnds: 12, QuarterEnds: 8, FiscalYearEnds: 7,
			FiscalYearEnd: MonthDay{12, 31},
			Floor:         Duration(30 * day), WeeklyFloor: Duration(90 * day),
		},
		Calendar: Calendar{
			Country: "GB", Zone: "Europe/London",
			Open:   []Weekday{Weekday(time.Monday), Weekday(time.Tuesday), Weekday(time.Wednesday), Weekday(time.Thursday), Weekday(time.Friday)},
			CutOff: TimeOfDay{set: true, Hour: 5},
		},
	}
}

// Parse reads the file called name from data. Relative paths are taken relative
// to the folder of name. The error is an Errors.
func Parse(name string, data []byte) (*Config, error) {
	c := Default()
	d := newDecoder(name, data)
	if root := d.parse(); root != nil {
		d.structure(root, c)
	}
	c.file, c.at = d.file, d.at
	if len(d.errs) == 0 {
		c.check(d)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	c.resolve(filepath.Dir(name))
	return c, nil
}

// Problem reports something that only a caller can know to be wrong with the
// value at key ("source.profile", "stores[1].address"), with its line.
func (c *Config) Problem(key, problem, hint string) error {
	d := decoder{file: c.file, at: c.at}
	d.problemAt(key, problem, hint)
	return d.err()
}

// StoreNamed returns the store called name and its number in the file.
func (c *Config) StoreNamed(name string) (Store, int, bool) {
	for i, s := range c.Stores {
		if s.Name == name {
			return s, i, true
		}
	}
	return Store{}, 0, false
}

// resolve makes the paths absolute.
func (c *Config) resolve(base string) {
	abs := func(p *Path) {
		if *p != "" && !filepath.IsAbs(string(*p)) {
			*p = Path(filepath.Join(base, string(*p)))
		}
	}
	abs(&c.State)
	abs(&c.UploadKey)
	c.Source.resolve(abs)
	for i := range c.Stores {
		c.Stores[i].resolve(abs)
	}
}

// namePattern is the grammar of names of sources and stores: they go into flags,
// file names of the state folder and reports.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

const nameHint = "use 1 to 32 lower-case letters, digits and hyphens, such as nas or cloud-1"

// check finds what no single value shows.
func (c *Config) check(d *decoder) {
	c.Source.check(d)
	seen := map[string]bool{}
	for i, s := range c.Stores {
		block := fmt.Sprintf("stores[%d]", i)
		switch {
		case !namePattern.MatchString(s.Name):
			d.problemAt(block+".name", fmt.Sprintf("%q is not a name", s.Name), nameHint)
		case seen[s.Name]:
			d.problemAt(block+".name", fmt.Sprintf("two stores are called %q", s.Name), "give each store a name of its own")
		}
		seen[s.Name] = true
		_, keys := keysOf(reflect.TypeOf(s))
		for _, key := range keys[2:] { // behind name and address
			if _, ok := d.at[block+"."+key]; ok && !slices.Contains(schemeKeys[s.Address.Scheme], key) {
				d.problemAt(block+"."+key, fmt.Sprintf("a store at %s: takes no %s", s.Address.Scheme, key), "remove the line")
			}
		}
		for _, p := range s.problems() {
			d.problemAt(strings.TrimSuffix(block+"."+p.key, "."), p.problem, p.hint)
		}
	}
	d.oneOf("calendar.country", "country", c.Calendar.Country, retention.Regions())
	if c.Retention.WeeklyFloor < c.Retention.Floor {
		d.problemAt("retention.weekly_floor", "weekly_floor is shorter than floor", "make it at least as long")
	}
	open := map[Weekday]bool{}
	for i, w := range c.Calendar.Open {
		if open[w] {
			d.problemAt(fmt.Sprintf("calendar.open[%d]", i), fmt.Sprintf("%s stands twice", w), "remove one of them")
		}
		open[w] = true
	}
	if c.Schedule.Deadline.IsSet() && !c.Schedule.At.IsSet() {
		d.problemAt("schedule.deadline", "a deadline needs the time at which the wait begins", "add the key at")
	}
	if c.Schedule.Deadline.IsSet() && c.Schedule.Deadline == c.Schedule.At {
		d.problemAt("schedule.deadline", "the deadline is the same time as at", "leave some hours between them")
	}
}

// oneOf records a value that is none of the known ones.
func (d *decoder) oneOf(key, what, got string, known []string) {
	if slices.Contains(known, got) {
		return
	}
	hint := "write one of " + strings.Join(known, ", ")
	if near := Nearest(got, known); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	d.problemAt(key, fmt.Sprintf("there is no %s %q", what, got), hint)
}
