package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"offsite/uploader/verify"
	"offsite/uploader/verify/evidence"
)

// profileVerbs are the verbs below profile.
func (a *app) profileVerbs(keep func(answer)) *cobra.Command {
	return group("profile", "how a finished backup of a practice system is recognised", keep, a.profileListVerb(), a.profilePrintVerb(), a.profileLearnVerb())
}

type profileRow struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

type profileListAnswer struct {
	Profiles []profileRow `json:"profiles"`
}

func (r profileListAnswer) text(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range r.Profiles {
		fmt.Fprintf(t, "%s\t%s\n", p.Name, p.Title)
	}
	t.Flush()
}

func (a *app) profileListVerb() verb {
	return verb{
		use: "list", short: "list the built-in profiles",
		example: "  offsite profile list", exits: []int{exitDone, exitUsage},
		run: func(context.Context, []string) (answer, error) {
			var r profileListAnswer
			for _, name := range verify.Builtins() {
				p, err := verify.Builtin(name)
				if err != nil {
					return nil, err
				}
				r.Profiles = append(r.Profiles, profileRow{p.Name(), p.Title()})
			}
			return r, nil
		},
	}
}

type profileTextAnswer struct {
	Text string `json:"text"`
}

func (r profileTextAnswer) text(w io.Writer) { io.WriteString(w, r.Text) }

func (a *app) profilePrintVerb() verb {
	return verb{
		use: "print NAME", short: "print a built-in profile, to be copied and changed",
		long: `Write what it prints to a file, change it, and name the file in the configuration as
source.profile.`,
		example: "  offsite profile print exact > our-exact.yaml", exits: []int{exitDone, exitUsage},
		args: func(args []string) error {
			if len(args) != 1 {
				return wrongUse("profile print takes the name of a profile", "the profiles are "+strings.Join(verify.Builtins(), ", "))
			}
			return nil
		},
		run: func(_ context.Context, args []string) (answer, error) {
			text, err := verify.BuiltinText(args[0])
			if err != nil {
				return nil, wrongUse("there is no profile "+quoted(args[0]), "the profiles are "+strings.Join(verify.Builtins(), ", "))
			}
			return profileTextAnswer{string(text)}, nil
		},
	}
}

func (a *app) profileLearnVerb() verb {
	var s evidence.Samples
	var log, dates string
	return verb{
		use: "learn --good LINE --bad LINE", short: "learn from lines of a log how the backup program tells success and failure",
		long: `Paste a line that the backup program wrote after a good backup, and one after a bad
one. What it prints belongs into a profile. Name with --computer and --location what in
the lines says who wrote the backup and where to, so that lines of other computers are
left alone, and with --varying what else differs from day to day, such as who was logged
in. More lines of either kind may be given.`,
		example: `  offsite profile learn --computer FRONTDESK1 --location 'D:\DataBkup' --varying JANE \
    --log '\\server\EXACTData\logfiles\backup.log' \
    --good '20/11/2026 18:45 FRONTDESK1 JANE backup to D:\DataBkup successful' \
    --bad '19/11/2026 18:45 FRONTDESK1 JANE backup to D:\DataBkup FAILED'`,
		exits: []int{exitDone, exitUsage},
		flags: func(f *pflag.FlagSet) {
			f.StringArrayVar(&s.Good, "good", nil, "a `LINE` after a good backup")
			f.StringArrayVar(&s.Bad, "bad", nil, "a `LINE` after a bad backup")
			f.StringVar(&s.Computer, "computer", "", "the `NAME` of the computer in the lines")
			f.StringVar(&s.Location, "location", "", "the `FOLDER` in the lines")
			f.StringArrayVar(&s.Varying, "varying", nil, "a `TEXT` in the lines that differs from day to day")
			f.StringVar(&dates, "dates", "", "`ORDER` of a date: dmy, mdy or ymd, if the lines do not show it")
			f.StringVar(&log, "log", "", "the `FILE` that the lines come from")
		},
		run: func(context.Context, []string) (answer, error) {
			switch s.Order = evidence.Order(dates); s.Order {
			case "", evidence.DMY, evidence.MDY, evidence.YMD:
			default:
				return nil, wrongUse("--dates: "+quoted(dates)+" is no order", "write dmy, mdy or ymd")
			}
			spec, err := evidence.Learn(s)
			if errors.Is(err, evidence.ErrOrder) {
				return nil, fail(exitUsage, err, "add --dates dmy, or --dates mdy")
			}
			if err != nil {
				return nil, fail(exitUsage, err, "to read more: offsite profile learn --help")
			}
			spec.Log = log
			text, err := verify.EvidenceText(spec)
			return profileTextAnswer{text}, err
		},
	}
}
