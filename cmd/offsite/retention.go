package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"offsite/retention"
)

// retentionAnswer is the plan for one store.
type retentionAnswer struct {
	Store   string        `json:"store"`
	Days    []keptDay     `json:"days"` // newest first
	Open    []openTerm    `json:"open"`
	Missing []missingTerm `json:"missing"`
	Raises  []dueRaise    `json:"raises"` // what the next run raises
	Alarms  []string      `json:"alarms"`
	Pending []string      `json:"pending"` // changes of the configuration that nobody has confirmed

	full bool
	plan retention.Plan
}

type keptDay struct {
	Day     string       `json:"day"`
	Verdict string       `json:"verdict"`
	Until   time.Time    `json:"kept_until"`
	Leased  *time.Time   `json:"leased_until,omitempty"`
	Reasons []keptReason `json:"reasons"`
}

type keptReason struct {
	Class  string     `json:"class"`
	Period string     `json:"period,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Text   string     `json:"text"`
}

// openTerm is a period that is not over.
type openTerm struct {
	Class  string `json:"class"`
	Period string `json:"period"`
	Last   string `json:"last"`             // its last day
	Keeper string `json:"keeper,omitempty"` // so far
	Left   int    `json:"open_days_left"`
	Why    string `json:"why,omitempty"` // there is none
}

type missingTerm struct {
	Class  string `json:"class"`
	Period string `json:"period"`
	Why    string `json:"why"`
	Late   string `json:"late,omitempty"` // the day that stands in
}

type dueRaise struct {
	Day   string    `json:"day"`
	Until time.Time `json:"until"`
	Class string    `json:"class"`
}

func (r retentionAnswer) text(w io.Writer) {
	for _, p := range r.Pending {
		fmt.Fprintf(w, "! not confirmed yet: %s\n", p)
	}
	if r.full {
		io.WriteString(w, r.plan.Explain())
		return
	}
	for _, a := range r.Alarms {
		fmt.Fprintf(w, "! %s\n", a)
	}
	if len(r.Days) == 0 {
		fmt.Fprintln(w, "no snapshots yet")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DAY\tVERDICT\tKEPT UNTIL\tBECAUSE")
	for i, k := range r.plan.Kept() {
		because := k.Reasons[0].Text
		if n := len(k.Reasons) - 1; n > 0 {
			because += fmt.Sprintf(" (and %d more)", n)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Days[i].Day, k.Verdict, r.plan.Day(k.Until), because)
	}
	t.Flush()
	fmt.Fprintln(w)
	for _, o := range r.plan.Open() {
		fmt.Fprintln(w, r.plan.SoFar(o))
	}
	for _, m := range r.Missing {
		fmt.Fprintf(w, "no clean snapshot for %s: %s", m.Period, m.Why)
		if m.Late != "" {
			fmt.Fprintf(w, "; %s stands in", m.Late)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "nothing is expected before %s\n", r.plan.Since())
	fmt.Fprintf(w, "each day is kept until the longest of its reasons ends; --full says them all\n")
}

func (a *app) retentionVerb() verb {
	var full, confirm bool
	var picture, other string
	return verb{
		use: "retention", short: "say for every stored day until when it is kept, and why",
		long: `Works the plan out from the records of a store, and from the calendar and the
retention that runs use. It changes nothing in a store: run raises what the plan
asks for.

When the configuration has changed, runs go on with what was confirmed before.
--if FILE shows what another configuration would change; --confirm shows what this
one changes, asks, and makes it count. What is leased never shortens.`,
		example: "  offsite retention\n  offsite retention --svg year.svg\n  offsite retention --if new.yaml\n  offsite retention --confirm",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&full, "full", false, "give every reason of every day")
			f.StringVar(&picture, "svg", "", "also draw the last twelve months as an SVG `FILE`")
			f.StringVar(&other, "if", "", "show what the configuration in `FILE` would change")
			f.BoolVar(&confirm, "confirm", false, "make the calendar and the retention of the configuration count")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if strings.Contains(a.store, ":") {
				return nil, wrongUse("retention needs the calendar of a configuration", "name a store of the configuration")
			}
			if confirm && other != "" || (confirm || other != "") && (picture != "" || full) {
				return nil, wrongUse("--if, --confirm and the plan are three things", "ask for one of them")
			}
			p, err := a.loadSite()
			if err != nil {
				return nil, err
			}
			l, err := a.openLibrary(ctx, nil)
			if err != nil {
				return nil, err
			}
			h, err := a.history(ctx, l)
			if err != nil {
				return nil, err
			}
			snapshots, err := a.markedSnapshots(ctx, l, h)
			if err != nil {
				return nil, err
			}
			switch {
			case other != "":
				return a.ifTerms(p, h, snapshots, other)
			case confirm:
				return a.confirmTerms(p, h, snapshots)
			}
			return a.explainRetention(p, h, snapshots, full, picture)
		},
	}
}

// markedSnapshots are those of a history with what was said about them since.
func (a *app) markedSnapshots(ctx context.Context, l *library, h history) ([]retention.Snapshot, error) {
	snapshots, err := snapshotsOf(h)
	if err != nil {
		return nil, err
	}
	notes, err := a.notesOf(ctx, l)
	if err != nil {
		return nil, err
	}
	for i, d := range h.Days {
		if n, ok := notes.Held(d.ref.Record.Seq); ok {
			// The reason itself, which may name a person, is for offsite hold alone: a plan may be sent.
			snapshots[i].Hold = "since " + n.Time.In(h.zone).Format(time.DateOnly)
		}
		snapshots[i].Checked = notes.Checked(d.ref.Record.Seq, d.ref.Record.Time.Time)
	}
	return snapshots, nil
}

func (a *app) explainRetention(p *site, h history, snapshots []retention.Snapshot, full bool, picture string) (answer, error) {
	plan, err := retention.NewPlan(p.calendar, p.policy, snapshots, a.now())
	if err != nil {
		return nil, err
	}
	ans := retentionAnswer{Store: h.Store, Days: []keptDay{}, Open: []openTerm{}, Missing: []missingTerm{}, Raises: []dueRaise{},
		Alarms: append([]string{}, plan.Alarms()...), Pending: append([]string{}, p.terms.pending...), full: full, plan: plan}
	for _, k := range plan.Kept() {
		ans.Days = append(ans.Days, keptDayOf(k))
	}
	for _, o := range plan.Open() {
		ans.Open = append(ans.Open, openTerm{Class: string(o.Class), Period: o.String(), Last: o.Last.String(), Keeper: o.Keeper, Left: o.Left, Why: o.Why})
	}
	for _, m := range plan.Missing() {
		ans.Missing = append(ans.Missing, missingTerm{Class: string(m.Class), Period: m.Period.String(), Why: m.Why, Late: m.Late})
	}
	for _, r := range plan.Raises() {
		ans.Raises = append(ans.Raises, dueRaise{Day: r.ID, Until: r.Until, Class: string(r.Class)})
	}
	if picture != "" {
		var b bytes.Buffer
		if err := plan.Picture(&b, p.calendar, p.calendar.BusinessDate(a.now())); err != nil {
			return ans, err
		}
		if err := os.WriteFile(picture, b.Bytes(), 0o644); err != nil {
			return ans, fmt.Errorf("write picture: %w", err)
		}
	}
	if len(h.Damaged) > 0 {
		return ans, fail(exitDamaged, fmt.Errorf("%d records cannot be read; the plan leaves them out", len(h.Damaged)), "offsite days names them")
	}
	return ans, nil
}

func keptDayOf(k retention.Kept) keptDay {
	d := keptDay{Day: k.ID, Verdict: string(k.Verdict), Until: k.Until, Reasons: []keptReason{}}
	if u := k.Snapshot.Until; !u.IsZero() {
		d.Leased = &u
	}
	for _, r := range k.Reasons {
		one := keptReason{Class: string(r.Class), Period: r.Period, Text: r.Text}
		if !r.Until.IsZero() {
			until := r.Until
			one.Until = &until
		}
		d.Reasons = append(d.Reasons, one)
	}
	return d
}
