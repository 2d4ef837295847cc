package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"offsite/retention"
	"offsite/uploader/statefile"
)

// termsFile holds the terms that were confirmed, in the folder for local state. If it
// is lost, the next run confirms what it finds in the configuration; leases are kept
// by the stores, and none is shortened by that.
const termsFile = "terms.json"

// terms are those that runs use, and how the configuration differs from them.
type terms struct {
	file    string
	known   bool            // a run, or somebody, has confirmed some
	used    retention.Terms // those that count
	wanted  retention.Terms // those of the configuration
	pending []string        // what the configuration wants to change, in plain words
}

// agree takes the confirmed terms instead of those of the configuration: a slip of the
// pen there must not decide for years.
func (p *site) agree() error {
	settings := settingsOf(p.config)
	p.terms = terms{file: filepath.Join(p.stateOf(), termsFile), wanted: retention.TermsOf(settings, p.policy)}
	p.terms.used = p.terms.wanted
	text, err := os.ReadFile(p.terms.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read confirmed terms: %w", err)
	}
	confirmed, err := retention.ParseTerms(text)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("%s: %w", p.terms.file, err), "offsite retention --confirm writes the file anew, from the configuration")
	}
	p.terms.known, p.terms.used, p.terms.pending = true, confirmed, confirmed.Differences(p.terms.wanted)
	if len(p.terms.pending) == 0 {
		return nil
	}
	settings, p.policy = confirmed.Apply(settings, p.policy)
	p.calendar, err = retention.NewCalendar(settings)
	return err
}

// tellPending says at each run that a change waits; the first run confirms what it finds.
func (a *app) tellPending(p *site) error {
	if !p.terms.known {
		return p.terms.confirm()
	}
	if len(p.terms.pending) > 0 {
		a.say("the calendar or the retention in the configuration has changed, and the old one counts until somebody confirms it: offsite retention --confirm shows what changes")
	}
	return nil
}

// confirm makes the terms of the configuration those that count.
func (t terms) confirm() error {
	text, err := t.wanted.Marshal()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(t.file), 0o700)
	}
	if err == nil {
		err = statefile.Replace(t.file, text)
	}
	if err != nil {
		return fmt.Errorf("confirm terms: %w", err)
	}
	return nil
}

// dayChange is a day that other terms would keep for less or for more.
type dayChange struct {
	Day     string `json:"day"`
	Now     string `json:"now"`  // until when it is kept
	Then    string `json:"then"` // until when it would be
	Sooner  bool   `json:"sooner"`
	Because string `json:"because"`
}

// changesAnswer shows what other terms would change.
type changesAnswer struct {
	Store     string      `json:"store"`
	Settings  []string    `json:"settings"` // what is different, in plain words
	Days      []dayChange `json:"days"`     // newest first
	Confirmed bool        `json:"confirmed"`
}

func (c changesAnswer) text(w io.Writer) {
	if len(c.Settings) == 0 {
		fmt.Fprintln(w, "the configuration says what has been confirmed")
	}
	for _, s := range c.Settings {
		fmt.Fprintln(w, s)
	}
	sooner := 0
	for _, d := range c.Days {
		what := "longer"
		if d.Sooner {
			what = "sooner"
			sooner++
		}
		fmt.Fprintf(w, "  %s  %s: %s instead of %s (%s)\n", d.Day, what, d.Then, d.Now, d.Because)
	}
	if len(c.Settings) > 0 {
		fmt.Fprintf(w, "%d stored days would lapse sooner, %d would be kept longer; what is leased stays leased\n", sooner, len(c.Days)-sooner)
	}
	if c.Confirmed {
		fmt.Fprintln(w, "confirmed: runs use this from now on")
	}
}

// compare shows what a store's days would become under other terms.
func (a *app) compare(p *site, h history, snapshots []retention.Snapshot, cal *retention.Calendar, policy retention.Policy, settings []string) (changesAnswer, error) {
	ans := changesAnswer{Store: h.Store, Settings: settings, Days: []dayChange{}}
	if ans.Settings == nil {
		ans.Settings = []string{}
	}
	now, err := retention.NewPlan(p.calendar, p.policy, snapshots, a.now())
	if err != nil {
		return ans, err
	}
	then, err := retention.NewPlan(cal, policy, snapshots, a.now())
	if err != nil {
		return ans, err
	}
	for _, c := range now.Changes(then) {
		ans.Days = append(ans.Days, dayChange{Day: c.ID, Now: retention.DateOf(c.Until.In(h.zone)).String(), Then: retention.DateOf(c.Then.In(h.zone)).String(),
			Sooner: c.Sooner(), Because: c.Because})
	}
	return ans, nil
}

// ifTerms shows what another configuration would change, and changes nothing.
func (a *app) ifTerms(p *site, h history, snapshots []retention.Snapshot, file string) (answer, error) {
	other := *a
	other.configFile = file
	c, err := other.loadConfig()
	if err != nil {
		return nil, err
	}
	cal, err := calendarOf(c)
	if err != nil {
		return nil, err
	}
	if len(p.terms.pending) > 0 {
		a.say("compared with what was confirmed; the configuration itself waits to be confirmed")
	}
	policy := policyOf(c)
	return a.compare(p, h, snapshots, cal, policy, p.terms.used.Differences(retention.TermsOf(settingsOf(c), policy)))
}

// confirmTerms shows what the configuration changes, asks, and makes it count.
func (a *app) confirmTerms(p *site, h history, snapshots []retention.Snapshot) (answer, error) {
	cal, err := calendarOf(p.config)
	if err != nil {
		return nil, err
	}
	ans, err := a.compare(p, h, snapshots, cal, policyOf(p.config), p.terms.pending)
	if err != nil {
		return nil, err
	}
	if p.terms.known && len(p.terms.pending) == 0 {
		return ans, nil
	}
	if !a.yes {
		if err := a.askYes(ans); err != nil {
			return ans, err
		}
	}
	if err := p.terms.confirm(); err != nil {
		return ans, err
	}
	ans.Confirmed = true
	return ans, nil
}

// askYes shows an answer to the person at the terminal and wants a yes.
func (a *app) askYes(shown answer) error {
	if _, ok := terminal(a.stdin); !ok {
		return wrongUse("nobody is there to confirm the change", "look at it, and add --yes to confirm it")
	}
	shown.text(a.stderr)
	fmt.Fprint(a.stderr, "Use this from now on? Write yes: ")
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read from terminal: %w", err)
	}
	if strings.TrimSpace(line) != "yes" {
		return wrongUse("not confirmed; nothing was changed")
	}
	return nil
}
