package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"offsite/retention"
)

// retentionAnswer is the plan for one store.
type retentionAnswer struct {
	Store   string        `json:"store"`
	Days    []keptDay     `json:"days"` // newest first
	Missing []missingTerm `json:"missing"`
	Alarms  []string      `json:"alarms"`

	plan retention.Plan
}

type keptDay struct {
	Day     string       `json:"day"`
	Verdict string       `json:"verdict"`
	Until   time.Time    `json:"kept_until"`
	Reasons []keptReason `json:"reasons"`
}

type keptReason struct {
	Class  string     `json:"class"`
	Period string     `json:"period,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Text   string     `json:"text"`
}

type missingTerm struct {
	Class  string `json:"class"`
	Period string `json:"period"`
	Why    string `json:"why"`
	Late   string `json:"late,omitempty"` // the day that stands in
}

func (r retentionAnswer) text(w io.Writer) { io.WriteString(w, r.plan.Explain()) }

func (a *app) retentionVerb() verb {
	return verb{
		use: "retention", short: "say for every stored day until when it is kept, and why",
		long: `Works the plan out from the records of a store and the calendar of the
configuration. It changes nothing: run raises what the plan asks for.`,
		example: "  offsite retention\n  offsite retention --store nas --json",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if strings.Contains(a.store, ":") {
				return nil, wrongUse("retention needs the calendar of a configuration", "name a store of the configuration")
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
			return a.explainRetention(p, h)
		},
	}
}

func (a *app) explainRetention(p *site, h history) (answer, error) {
	snapshots, err := snapshotsOf(h)
	if err != nil {
		return nil, err
	}
	plan, err := retention.NewPlan(p.calendar, p.policy, snapshots, a.now())
	if err != nil {
		return nil, err
	}
	ans := retentionAnswer{Store: h.Store, Days: []keptDay{}, Missing: []missingTerm{}, Alarms: append([]string{}, plan.Alarms()...), plan: plan}
	for _, k := range plan.Kept() {
		d := keptDay{Day: k.ID, Verdict: string(k.Verdict), Until: k.Until, Reasons: []keptReason{}}
		for _, r := range k.Reasons {
			one := keptReason{Class: string(r.Class), Period: r.Period, Text: r.Text}
			if !r.Until.IsZero() {
				until := r.Until
				one.Until = &until
			}
			d.Reasons = append(d.Reasons, one)
		}
		ans.Days = append(ans.Days, d)
	}
	for _, m := range plan.Missing() {
		ans.Missing = append(ans.Missing, missingTerm{Class: string(m.Class), Period: m.Period.String(), Why: m.Why, Late: m.Late})
	}
	if len(h.Damaged) > 0 {
		return ans, fail(exitDamaged, fmt.Errorf("%d records cannot be read; the plan leaves them out", len(h.Damaged)), "offsite days names them")
	}
	return ans, nil
}
