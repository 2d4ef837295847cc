package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/uploader/verify"
)

// maxReason bounds the text of a reason: a sentence.
const maxReason = 500

type acknowledgeAnswer struct {
	Day string `json:"day"`
}

func (r acknowledgeAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "the changes of %s are taken for what later sets are compared with; run offsite run to store the day as clean\n", r.Day)
}

func (a *app) acknowledgeVerb() verb {
	var reason string
	return verb{
		use:   "acknowledge DAY --reason TEXT",
		short: "say that what made a day suspect is known and right",
		long: `For a change that the checks cannot tell from damage: image compression, the move of
an archive, a table that is no longer used. The set of DAY, which must be the last one
that was judged, becomes what later sets are compared with. What is stored stays as it
is; the next run of the same set stores it as clean.

The reason is kept on this PC alone, in acknowledged.txt in the state folder.
Look at the files first: findings.txt beside it names them.`,
		example: "  offsite acknowledge 2026-11-20 --reason 'EXACT compressed the images of last year'",
		exits:   []int{exitDone, exitFailed, exitUsage},
		args: func(args []string) error {
			if len(args) != 1 {
				return wrongUse("acknowledge takes one day", "write it as 2026-11-20")
			}
			return nil
		},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&reason, "reason", "", "why it is right, a `TEXT` for those who look later")
		},
		run: func(_ context.Context, args []string) (answer, error) {
			return a.acknowledge(args[0], strings.Join(strings.Fields(reason), " "))
		},
	}
}

func (a *app) acknowledge(text, reason string) (answer, error) {
	var day config.Date
	if err := day.UnmarshalText([]byte(text)); err != nil {
		return nil, wrongUse(quoted(text)+" is not a day", "write it as 2026-11-20")
	}
	if reason == "" || len(reason) > maxReason {
		return nil, wrongUse(fmt.Sprintf("a reason of 1 to %d letters is needed", maxReason), "write --reason 'EXACT compressed the images'")
	}
	p, err := a.loadSite()
	if err != nil {
		return nil, err
	}
	h, err := p.checks()
	if err != nil {
		return nil, err
	}
	err = h.Acknowledge(dateOf(day).String())
	switch {
	case errors.Is(err, verify.ErrNotLast):
		return nil, fail(exitUsage, err, "name the last day, or run offsite run first")
	case errors.Is(err, verify.ErrClean):
		return nil, fail(exitUsage, err, "there is nothing to acknowledge")
	case err != nil:
		return nil, err
	}
	return acknowledgeAnswer{dateOf(day).String()}, p.noteReason(dateOf(day).String(), reason, a.now())
}

// noteReason adds a line to the list of what was acknowledged.
func (p *site) noteReason(day, reason string, now time.Time) error {
	f, err := os.OpenFile(filepath.Join(p.stateOf(), reasonsFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("write reason: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s\t%s\t%s\n", now.UTC().Format(time.RFC3339), day, reason)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write reason: %w", err)
	}
	return nil
}
