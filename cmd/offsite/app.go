package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
)

// app is what every verb works with: the outside world, and the flags that all
// verbs take.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            config.Env
	now            func() time.Time

	configFile string
	json       bool
	yes        bool
	store      string
	nameless   bool // standard error is a log, and no line of it may name a file
}

// answer is what a verb says on standard output: as text, or as the JSON of its
// exported fields.
type answer interface {
	text(w io.Writer)
}

// verb is one command. Every verb has a sentence, an example and its exit codes.
type verb struct {
	use     string // name and arguments
	short   string // one sentence, without the full stop
	long    string // more, if there is more to know
	example string
	exits   []int
	args    func(args []string) error // nil: none are taken
	flags   func(f *pflag.FlagSet)
	run     func(ctx context.Context, args []string) (answer, error)
}

// verbs lists the commands in the order of a first week: set up, save, look, get
// back, look after.
func (a *app) verbs() []verb {
	return []verb{
		a.initVerb(),
		a.runVerb(),
		a.watchVerb(),
		a.statusVerb(),
		a.daysVerb(),
		a.retentionVerb(),
		a.holdVerb(),
		a.lsVerb(),
		a.diffVerb(),
		a.findVerb(),
		a.restoreVerb(),
		a.drillVerb(),
		a.checkVerb(),
		a.copyVerb(),
		a.acknowledgeVerb(),
		a.sweepVerb(),
		a.manageVerb(),
		a.doctorVerb(),
		a.demoVerb(),
		a.versionVerb(),
	}
}

func (a *app) run(ctx context.Context, args []string) int {
	var ans answer
	root := a.root(func(got answer) { ans = got })
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && err != nil && !errors.Is(err, context.Canceled) {
		err = errors.Join(err, ctx.Err())
	}
	if err != nil && slices.Contains(args, "--json") {
		a.json = true // a mistake in an earlier flag must not change the form
	}
	return a.present(ans, err)
}

// root builds the command tree. keep receives the answer of the verb that ran.
func (a *app) root(keep func(answer)) *cobra.Command {
	root := &cobra.Command{
		Use:           "offsite",
		Short:         "keep sealed daily copies of a practice's finished backup, for exactly as long as its calendar says",
		SilenceUsage:  true,
		SilenceErrors: true,
		// An unknown verb may come with flags of its own; the verb is the mistake.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args:               cobra.ArbitraryArgs,
		RunE:               unknownVerb,
	}
	f := root.PersistentFlags()
	f.StringVar(&a.configFile, "config", "", "the configuration `FILE`")
	f.BoolVar(&a.json, "json", false, "answer with one JSON object")
	f.BoolVar(&a.yes, "yes", false, "ask no questions")
	f.StringVar(&a.store, "store", "", "the `NAME` of a store in the configuration, or an address such as dir:PATH")
	f.SortFlags = false
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpTemplate(helpTemplate)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(helpVerb(root))
	for _, v := range a.verbs() {
		root.AddCommand(v.command(keep))
	}
	root.AddCommand(a.profileVerbs(keep), a.keyVerbs(keep), a.storeVerbs(keep), a.serviceVerbs(keep))
	return root
}

func (v verb) command(keep func(answer)) *cobra.Command {
	c := &cobra.Command{
		Use:                   v.use,
		DisableFlagsInUseLine: true,
		Short:                 v.short,
		Long:                  v.long,
		Example:               v.example,
		Annotations:           map[string]string{"exits": exitList(v.exits)},
		Args: func(_ *cobra.Command, args []string) error {
			if v.args != nil {
				return v.args(args)
			}
			return noArgs(v.name(), args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			ans, err := v.run(c.Context(), args)
			keep(ans)
			return err
		},
	}
	if v.flags != nil {
		v.flags(c.Flags())
		c.Flags().SortFlags = false
	}
	return c
}

func (v verb) name() string {
	name, _, _ := strings.Cut(v.use, " ")
	return name
}

// group makes a command whose verbs stand below it, such as key.
func group(name, short string, keep func(answer), verbs ...verb) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short, Args: cobra.ArbitraryArgs, RunE: unknownVerb,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
	}
	for _, v := range verbs {
		c.AddCommand(v.command(keep))
	}
	return c
}

// unknownVerb runs where a verb is wanted and none, or an unknown one, is given.
// It is an error also without arguments: a scheduled task that lost its verb must
// not look like a success.
func unknownVerb(c *cobra.Command, args []string) error {
	var names []string
	for _, v := range c.Commands() {
		if v.IsAvailableCommand() {
			names = append(names, v.Name())
		}
	}
	if len(args) == 0 {
		return wrongUse("no verb given", "the verbs are "+strings.Join(names, ", "), "to read more: "+c.CommandPath()+" --help")
	}
	if near := config.Nearest(args[0], names); near != "" {
		return wrongUse("there is no verb "+quoted(args[0]), "did you mean "+c.CommandPath()+" "+near+"?")
	}
	return wrongUse("there is no verb "+quoted(args[0]), "the verbs are "+strings.Join(names, ", "))
}

func noArgs(verb string, args []string) error {
	if len(args) > 0 {
		return wrongUse(verb+" takes no arguments, but there is "+quoted(args[0]), "to read more: offsite "+verb+" --help")
	}
	return nil
}

// flagError turns the flag package's errors into ours.
func flagError(c *cobra.Command, err error) error {
	more := "to read more: " + c.CommandPath() + " --help"
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		name := missing.GetSpecifiedName()
		if missing.GetSpecifiedShortnames() != "" {
			return wrongUse("there is no flag -"+name, "flags have long names with two hyphens", more)
		}
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		c.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := config.Nearest(name, names); near != "" {
			return wrongUse("there is no flag --"+name, "did you mean --"+near+"?")
		}
		return wrongUse("there is no flag --"+name, more)
	}
	var empty *pflag.ValueRequiredError
	if errors.As(err, &empty) {
		kind, _ := pflag.UnquoteUsage(empty.GetFlag())
		return wrongUse("the flag --"+empty.GetFlag().Name+" needs a value", "write --"+empty.GetFlag().Name+" "+kind)
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		name := "--" + invalid.GetFlag().Name
		var v *config.ValueError
		if errors.As(err, &v) {
			return wrongUse(name+": "+v.Problem, v.Hint)
		}
		if invalid.GetFlag().Value.Type() == "bool" {
			return wrongUse(name+" takes no value, but there is "+quoted(invalid.GetValue()), "write "+name+" alone")
		}
		return wrongUse(name+": "+quoted(invalid.GetValue())+" is not what this flag takes", more)
	}
	return wrongUse(err.Error(), more)
}

func helpVerb(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB]", Short: "explain a verb", Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownVerb(c, rest)
			}
			return c.Help()
		},
	}
}

func quoted(s string) string {
	if len(s) > 60 {
		s = s[:60] + "..."
	}
	return `"` + s + `"`
}

// helpTemplate is the form of every help page.
const helpTemplate = `{{.CommandPath}}: {{.Short}}.
{{with .Long}}
{{.}}
{{end}}
Usage:
{{- if .HasAvailableSubCommands}}
  {{.CommandPath}} VERB [flags]

Verbs:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{else}}
  {{.UseLine}}
{{end}}
{{- with .Example}}
Example:
{{.}}
{{end}}
{{- if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}
{{- if .HasAvailableInheritedFlags}}
Flags of every verb:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}
{{- with index .Annotations "exits"}}
Exit codes:
{{.}}{{end}}`

// capture returns what an answer writes as text.
func capture(ans answer) []byte {
	var b bytes.Buffer
	ans.text(&b)
	return b.Bytes()
}
