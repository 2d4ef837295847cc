package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/retention"
	"offsite/uploader"
)

// maxHoldReason bounds the reason of a hold: a sentence or two.
const maxHoldReason = 500

// heldAnswer is one held day of one store, or what a store did about a hold.
type heldAnswer struct {
	Store    string     `json:"store"`
	Day      string     `json:"day"`
	Since    *time.Time `json:"since,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Until    *time.Time `json:"kept_until,omitempty"` // leased so far
	Released bool       `json:"released,omitempty"`
	Error    string     `json:"error,omitempty"`
}

type holdAnswer struct {
	Held []heldAnswer `json:"held"`

	zone *time.Location
}

func (h holdAnswer) text(w io.Writer) {
	if len(h.Held) == 0 {
		fmt.Fprintln(w, "no day is held")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range h.Held {
		what := "held"
		if d.Released {
			what = "released"
		}
		until := ""
		if d.Until != nil {
			until = "leased until " + d.Until.In(h.zone).Format(time.DateOnly)
		}
		if d.Error != "" {
			what, until = "not "+what, d.Error
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", d.Store, d.Day, what, until, d.Reason)
	}
	t.Flush()
}

func (a *app) holdVerb() verb {
	var reason string
	var release bool
	return verb{
		use: "hold [DAY] [--reason TEXT] [--release]", short: "keep a day until it is released, or list the days that are held",
		long: `A held day is kept in every store of the configuration, whatever the retention
says. It is leased for three months ahead, at once, and runs lease it anew for as
long as it is held; so a hold needs runs. Released, it stays until that lease has run
out, or for as long as the retention keeps it. The reason is stored sealed: this
PC and who has the restore key can read it.`,
		example: "  offsite hold 2026-11-20 --reason 'complaint of 3 December'\n  offsite hold 2026-11-20 --release\n  offsite hold",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		args: func(args []string) error {
			if len(args) > 1 {
				return wrongUse("hold takes one day, but there is "+quoted(args[1]), "hold one day after the other")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&reason, "reason", "", "why the day is held, a `TEXT`")
			f.BoolVar(&release, "release", false, "end the hold")
		},
		run: func(ctx context.Context, args []string) (answer, error) {
			switch {
			case len(args) == 0 && (release || reason != ""):
				return nil, wrongUse("hold needs a day", "write a day as offsite days lists it")
			case len(args) == 1 && !release && reason == "":
				return nil, wrongUse("hold needs a reason", "add --reason TEXT, or --release to end the hold")
			case len(reason) > maxHoldReason:
				return nil, wrongUse("the reason is too long", fmt.Sprintf("write at most %d letters", maxHoldReason))
			}
			p, err := a.loadSite()
			if err != nil {
				return nil, err
			}
			targets, down, err := a.targets(ctx, p)
			if err != nil {
				return nil, err
			}
			if len(targets) == 0 {
				return nil, allDown(down)
			}
			ans := holdAnswer{Held: []heldAnswer{}, zone: p.calendar.Zone()}
			if len(args) == 0 {
				err = a.listHolds(ctx, p, targets, &ans)
			} else {
				err = a.hold(ctx, p, targets, args[0], reason, release, &ans)
			}
			if err == nil && len(down) > 0 {
				err = fail(exitStore, fmt.Errorf("store %s was left out: %w", down[0].name, down[0].err), "do it again when the store is there")
			}
			return ans, err
		},
	}
}

// shelf is one store of the configuration with its days and the notes about them.
type shelf struct {
	*library
	history
	notes manifest.Notes
}

func (a *app) shelf(ctx context.Context, p *site, t uploader.Target) (s shelf, err error) {
	s.library = p.library(t.Name, t.Store)
	if err := s.identify(ctx); err != nil {
		return s, err
	}
	if s.history, err = a.history(ctx, s.library); err != nil {
		return s, err
	}
	s.notes, err = a.notesOf(ctx, s.library)
	return s, err
}

// notesOf reads the notes about the library's source, and says which cannot be read.
func (a *app) notesOf(ctx context.Context, l *library) (manifest.Notes, error) {
	notes, bad, err := manifest.ReadNotes(ctx, l.store, l.trust, l.source)
	for _, d := range bad {
		a.say("%s: a note that cannot be read counts for nothing: %v", d.Key, d.Err)
	}
	return notes, err
}

func (a *app) listHolds(ctx context.Context, p *site, targets []uploader.Target, ans *holdAnswer) error {
	opener, err := p.key.IndexOpener()
	if err != nil {
		return err
	}
	for _, t := range targets {
		s, err := a.shelf(ctx, p, t)
		if err != nil {
			return fmt.Errorf("list holds in %s: %w", t.Name, err)
		}
		for _, d := range s.Days {
			if n, ok := s.notes.Held(d.ref.Record.Seq); ok {
				ans.Held = append(ans.Held, heldAnswer{Store: t.Name, Day: d.Day, Since: &n.Time.Time, Reason: reasonOf(n, opener), Until: &d.Until})
			}
		}
	}
	return nil
}

// reasonOf opens the reason of a hold.
func reasonOf(n manifest.Note, opener *seal.Opener) string {
	sealed, err := n.Sealed()
	if err != nil || len(sealed) == 0 {
		return ""
	}
	text, err := opener.Open(sealed)
	if err != nil {
		return "(the reason cannot be opened with this key)"
	}
	return string(text)
}

// hold writes the note to every store that has the day, and has the leases raised.
func (a *app) hold(ctx context.Context, p *site, targets []uploader.Target, day, reason string, release bool, ans *holdAnswer) error {
	sealer, err := p.key.Sealer()
	if err != nil {
		return err
	}
	var first error
	for _, t := range targets {
		one := heldAnswer{Store: t.Name, Day: day, Reason: reason, Released: release}
		if err := a.holdIn(ctx, p, t, sealer, &one); err != nil {
			one.Error = oneLine(err)
			if first == nil {
				first = fmt.Errorf("store %s: %w", t.Name, err)
			}
		}
		ans.Held = append(ans.Held, one)
	}
	if slices.IndexFunc(ans.Held, func(h heldAnswer) bool { return h.Error == "" }) < 0 {
		return first
	}
	if !release {
		res, err := uploader.Raise(ctx, a.uploadConfig(p, targets, retention.Date{}, false, &bar{}))
		if err != nil {
			return err
		}
		for i, s := range res.Stores {
			if s.Err != nil && ans.Held[i].Error == "" {
				first = fmt.Errorf("store %s: the day is held, but its lease was not raised: %w", s.Name, s.Err)
				ans.Held[i].Error = oneLine(first)
			}
		}
	}
	for i, t := range targets {
		s, err := a.shelf(ctx, p, t)
		if err != nil {
			return err
		}
		if d, _, err := s.pick(day); err == nil && ans.Held[i].Error == "" {
			ans.Held[i].Day, ans.Held[i].Until = d.Day, &d.Until
		}
	}
	return first
}

func (a *app) holdIn(ctx context.Context, p *site, t uploader.Target, sealer *seal.Sealer, one *heldAnswer) error {
	s, err := a.shelf(ctx, p, t)
	if err != nil {
		return err
	}
	d, note, err := s.pick(one.Day)
	if err != nil {
		return err
	}
	if note != "" {
		a.say("%s: %s", t.Name, note)
	}
	n := manifest.Note{Format: manifest.FormatVersion, Repository: p.key.Repository, Source: s.source, PC: p.key.PC,
		Time: manifest.At(a.now()), Kind: manifest.HoldNote, Snapshots: []uint64{d.ref.Record.Seq}}
	if one.Released {
		n.Kind = manifest.ReleaseNote
		held, ok := s.notes.Held(d.ref.Record.Seq)
		if !ok {
			return wrongUse(d.Day+" is not held", "offsite hold lists the days that are")
		}
		if n.Time.Equal(held.Time.Time) {
			n.Time = manifest.At(n.Time.Add(time.Second)) // in one second the hold would win
		}
	}
	if one.Reason != "" {
		sealed, err := sealer.Index(nil, []byte(one.Reason))
		if err != nil {
			return fmt.Errorf("seal reason: %w", err)
		}
		n.Text = base64.StdEncoding.EncodeToString(sealed)
	}
	return manifest.WriteNote(ctx, t.Store, n, p.key.Signing)
}

// noteChecked writes down that every stored byte of the days that are whole was read
// and was right; broken are the records of those that are not.
func (a *app) noteChecked(ctx context.Context, l *library, h history, broken []string) error {
	p, err := a.loadSite()
	if err != nil {
		return err
	}
	var seqs []uint64
	for _, d := range h.Days {
		if d.Source == l.source && !slices.Contains(broken, d.ref.Key) && d.Until.After(a.now()) {
			seqs = append(seqs, d.ref.Record.Seq)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	slices.Sort(seqs)
	return manifest.WriteNote(ctx, l.store, manifest.Note{Format: manifest.FormatVersion, Repository: p.key.Repository, Source: l.source, PC: p.key.PC,
		Time: manifest.At(a.now()), Kind: manifest.CheckedNote, Snapshots: slices.Compact(seqs)}, p.key.Signing)
}
