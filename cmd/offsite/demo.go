package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/examples/practice"
	"offsite/manifest/restore"
	"offsite/retention"
)

const (
	// demoNights are three good ones and one that breaks off.
	demoNights = 4
	// demoSize is enough for every kind of file and done in seconds.
	demoSize = config.Size(64e6)
	// demoMost bounds the made-up practice: what is stored and restored is as much again each.
	demoMost = config.Size(100e9)
	// demoMark says that a folder was made by demo, and that the next one may
	// replace it.
	demoMark = ".offsite-demo"
	// demoPassphrase guards made-up data only.
	demoPassphrase = "for the made-up practice only"
	// demoPassphraseFile holds it.
	demoPassphraseFile = "passphrase.txt"
	// demoConfigFile is what the profile exact wants to see in a finished backup.
	demoConfigFile = "UNICONFIG6.FS5"
)

type demoAnswer struct {
	Folder   string      `json:"folder"`
	Program  string      `json:"program"` // as it can be typed from here
	Days     []demoDay   `json:"days"`
	Refused  string      `json:"refused"` // what was said of the backup that broke off
	Restored demoRestore `json:"restored"`
	Checked  checkAnswer `json:"checked"`
}

type demoDay struct {
	Day     string  `json:"day"`
	Files   int64   `json:"files"`
	Bytes   int64   `json:"bytes"`
	New     int64   `json:"new"`
	Sent    int64   `json:"sent"` // to each store
	Seconds float64 `json:"seconds"`
}

type demoRestore struct {
	restoreAnswer
	Equal bool `json:"equal"`
}

func (d demoAnswer) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "DAY\tFILES\tSIZE\tNEW\tSENT\tSECONDS\t")
	for _, n := range d.Days {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%.1f\t\n", n.Day, n.Files, bytesText(n.Bytes), bytesText(n.New), bytesText(n.Sent), n.Seconds)
	}
	t.Flush()
	fmt.Fprintf(w, "broken backup  refused: %s\n", d.Refused)
	fmt.Fprintf(w, "restored       %s: %d files, %s in %.1f s, equal to that day's backup bit for bit\n", d.Days[1].Day, d.Restored.Files, bytesText(d.Restored.Bytes), d.Restored.Seconds)
	fmt.Fprintf(w, "checked        %d packs, %s in %.1f s, all is well\n", d.Checked.Packs, bytesText(d.Checked.Bytes), d.Checked.Seconds)
	fmt.Fprintf(w, "\nAll of it is in %s. Look around with:\n", d.Folder)
	for _, verb := range []string{"days", "retention", "ls latest --recovery-passphrase-file " + filepath.Join(d.Folder, demoPassphraseFile)} {
		fmt.Fprintf(w, "  %s --config %s %s\n", d.Program, filepath.Join(d.Folder, "offsite.yaml"), verb)
	}
	fmt.Fprintf(w, "and set a real one up with:\n  %s help init\n", d.Program)
}

func (a *app) demoVerb() verb {
	to, size := "demo", demoSize
	return verb{
		use: "demo [--to DIR]", short: "do the whole job on a made-up practice, in one folder",
		long: `Makes a practice up, saves some of its days to two stores, refuses a backup that
broke off, restores the second day elsewhere and compares every byte. Everything
stays in one folder, which the next demo replaces.`,
		example: "  offsite demo\n  offsite demo --to /tmp/demo --size 1GB",
		exits:   []int{exitDone, exitFailed, exitUsage},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&to, "to", to, "the folder to work in, a `DIR`")
			f.Var(&textFlag{&size, "SIZE", func() string { return "64MB" }}, "size", "the `SIZE` of the practice's backup")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if size < practice.MinSize || size > demoMost {
				return nil, wrongUse("--size is out of bounds", "write a size from 2MB to 100GB")
			}
			folder, err := filepath.Abs(to)
			if err != nil {
				return nil, fmt.Errorf("find folder: %w", err)
			}
			d := demo{folder: folder, made: practice.Options{Dir: filepath.Join(folder, "databackup"), Size: int64(size), Seed: 1}}
			// The verbs run as they do for anybody, with the demo's own configuration.
			d.app = &app{stdin: a.stdin, stdout: io.Discard, stderr: a.stderr, env: a.env, now: a.now,
				configFile: filepath.Join(folder, "offsite.yaml"), yes: true}
			ans, err := d.play(ctx)
			if err != nil {
				return nil, fmt.Errorf("demo: %w", err)
			}
			return ans, nil
		},
	}
}

// demo is one demonstration.
type demo struct {
	app    *app
	folder string
	made   practice.Options
	ans    demoAnswer
}

func (d *demo) play(ctx context.Context) (answer, error) {
	d.ans.Folder, d.ans.Program = d.folder, typed()
	if err := d.prepare(); err != nil {
		return nil, err
	}
	d.app.say("making up a practice in %s", d.made.Dir)
	if _, err := practice.Generate(ctx, d.made); err != nil {
		return nil, err
	}
	if err := d.setUp(ctx); err != nil {
		return nil, err
	}
	p, err := d.app.loadSite()
	if err != nil {
		return nil, err
	}
	dates := pastDays(p.calendar, p.calendar.BusinessDate(d.app.now()))
	for n, date := range dates {
		if n > 0 {
			if _, err := practice.Advance(ctx, d.made); err != nil {
				return nil, err
			}
		}
		if n == len(dates)-1 {
			if err := d.breakOff(ctx, p, date); err != nil {
				return nil, err
			}
		}
		if err := d.night(ctx, p, date); err != nil {
			return nil, err
		}
	}
	if err := d.restore(ctx); err != nil {
		return nil, err
	}
	d.app.say("opening every stored byte")
	checked, err := d.app.check(ctx, restore.Bytes, d.unlock(), false)
	if err != nil {
		return nil, err
	}
	d.ans.Checked = checked.(checkAnswer)
	return d.ans, nil
}

// typed is how this program is called from the present folder.
func typed() string {
	self, err := os.Executable()
	if err != nil {
		return "offsite"
	}
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, self); err == nil && filepath.IsLocal(rel) {
			return "." + string(filepath.Separator) + rel
		}
	}
	return self
}

// prepare empties a folder of an earlier demo, and refuses any other.
func (d *demo) prepare() error {
	entries, err := os.ReadDir(d.folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(d.folder, demoMark)); err != nil {
			return wrongUse(d.folder+" holds other things", "name another folder with --to DIR")
		}
		if err := os.RemoveAll(d.folder); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(d.passphraseFile(), []byte(demoPassphrase+"\n"), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(d.folder, demoMark), []byte("the next demo may replace this folder\n"), 0o600)
}

func (d *demo) passphraseFile() string { return filepath.Join(d.folder, demoPassphraseFile) }

func (d *demo) unlock() *keyFlags { return &keyFlags{passphraseFile: d.passphraseFile()} }

// setUp is the verb init.
func (d *demo) setUp(ctx context.Context) error {
	d.app.say("setting up keys, two stores and a configuration")
	_, err := d.app.initialise(ctx, initFlags{
		name: "demo", sources: []string{d.made.Dir}, profile: "exact", country: "GB", passphraseFile: d.passphraseFile(),
		stores: []string{"dir:" + filepath.Join(d.folder, "store-a"), "dir:" + filepath.Join(d.folder, "store-b")},
	})
	return err
}

// pastDays are the last open days up to today, oldest first.
func pastDays(cal *retention.Calendar, today retention.Date) []retention.Date {
	out := make([]retention.Date, 0, demoNights)
	for d := today; len(out) < demoNights; d = d.AddDays(-1) {
		if cal.Open(d) {
			out = append([]retention.Date{d}, out...)
		}
	}
	return out
}

// night is the verb run, for one day.
func (d *demo) night(ctx context.Context, p *site, date retention.Date) error {
	d.app.say("saving %s", date)
	start := d.app.now()
	ans, err := d.app.save(ctx, p, saving{date: config.Date{Year: date.Year, Month: date.Month, Day: date.Day}})
	if err != nil {
		return err
	}
	r := ans.(runAnswer)
	d.ans.Days = append(d.ans.Days, demoDay{Day: r.Day, Files: r.Files, Bytes: r.Bytes, New: r.New, Sent: r.Stores[0].Sent,
		Seconds: d.app.now().Sub(start).Seconds()})
	return nil
}

// breakOff takes the file away that a backup writes last, and sees that nothing
// is committed.
func (d *demo) breakOff(ctx context.Context, p *site, date retention.Date) error {
	d.app.say("a backup that breaks off")
	last := filepath.Join(d.made.Dir, demoConfigFile)
	away := filepath.Join(d.folder, demoConfigFile)
	if err := os.Rename(last, away); err != nil {
		return err
	}
	_, err := d.app.save(ctx, p, saving{date: config.Date{Year: date.Year, Month: date.Month, Day: date.Day}})
	if exit, _ := judge(err); exit != exitIncomplete {
		return errors.Join(errors.New("a backup that broke off was not refused"), err)
	}
	d.ans.Refused = err.Error()
	return os.Rename(away, last)
}

// restore is the verb restore for the second day. The source has moved on since
// then, so that day is made up once more to compare with.
func (d *demo) restore(ctx context.Context) error {
	day := d.ans.Days[1].Day
	d.app.say("restoring %s and comparing it with the backup of that day", day)
	to := filepath.Join(d.folder, "restored")
	ans, err := d.app.restore(ctx, day, nil, to, d.unlock())
	if err != nil {
		return err
	}
	d.ans.Restored.restoreAnswer = ans.(restoreAnswer)
	was := d.made
	was.Dir, was.Day = filepath.Join(d.folder, "expected"), 1
	if _, err := practice.Generate(ctx, was); err != nil {
		return err
	}
	if err := practice.Compare(was.Dir, to); err != nil {
		return err
	}
	d.ans.Restored.Equal = true
	return os.RemoveAll(was.Dir)
}
