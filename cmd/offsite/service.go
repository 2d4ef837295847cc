package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
)

// serviceVerbs are the verbs below service.
func (a *app) serviceVerbs(keep func(answer)) *cobra.Command {
	return group("service", "let the system start watch, and keep it running", keep,
		a.serviceInstallVerb(), a.serviceRemoveVerb(), a.serviceStartVerb(), a.serviceStopVerb(), a.serviceStatusVerb())
}

// serviceAnswer says what was done about the service, or what would be.
type serviceAnswer struct {
	Name     string     `json:"name"`
	System   string     `json:"system"`
	Done     string     `json:"done"`
	File     string     `json:"file,omitempty"`     // what describes it to the system
	Text     string     `json:"text,omitempty"`     // of the file
	Commands [][]string `json:"commands,omitempty"` // of the system
	Running  *bool      `json:"running,omitempty"`

	notes []string
}

func (s serviceAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "service %s: %s\n", s.Name, s.Done)
	if s.Text != "" {
		fmt.Fprintf(w, "\n%s:\n\n%s", s.File, s.Text)
	}
	if len(s.Commands) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range s.Commands {
		fmt.Fprintln(w, strings.Join(quotedWords(c), " "))
	}
	for _, n := range s.notes {
		fmt.Fprintln(w, n)
	}
}

// quotedWords writes a command so that a person can type it.
func quotedWords(command []string) []string {
	var out []string
	for _, word := range command {
		if word == "" || strings.ContainsAny(word, " *$\"'();") {
			word = `"` + word + `"`
		}
		out = append(out, word)
	}
	return out
}

// serviceFlags are those of all service verbs.
type serviceFlags struct {
	name  string
	print bool
}

func (s *serviceFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.name, "name", "offsite", "the service's `NAME`, for a second one beside another configuration")
	f.BoolVar(&s.print, "print", false, "print what would be done, and touch nothing")
}

// serviceName is what all three systems take as a name.
var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

var serviceExits = []int{exitDone, exitFailed, exitUsage}

func (a *app) serviceInstallVerb() verb {
	var flags serviceFlags
	var user string
	return verb{
		use: "install --user NAME", short: "have the system start watch now and at every start, as a user that is named",
		long: `Linux: a unit of systemd. macOS: a daemon of launchd. Windows: a scheduled task, which
the system starts with the computer and looks after every quarter of an hour.

The user needs the right to read the source, the configuration and the upload key, and
to write to the state folder and to stores that are folders: run offsite doctor as that
user. On Windows SYSTEM, LOCAL SERVICE and NETWORK SERVICE need no password; for
another user the system asks for it and keeps it. No secret is written to any file, so
secrets of stores must be file: or keyring:, not env:.`,
		example: "  offsite service install --user offsite --print\n  sudo offsite service install --user offsite\n  offsite service install --user \"NETWORK SERVICE\"",
		exits:   serviceExits,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&user, "user", "", "the `NAME` of the account that watch runs as")
			flags.add(f)
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			if user == "" {
				return nil, wrongUse("a service needs an account to run as", "add --user NAME; this is "+account())
			}
			return a.installService(ctx, flags, user)
		},
	}
}

// serviceVerb is one that only tells the system what to do with a service.
func (a *app) serviceVerb(name, short, done string, steps func(servicePlan) []step, after func(servicePlan) error) verb {
	var flags serviceFlags
	return verb{
		use: name, short: short,
		example: "  offsite service " + name + "\n  offsite service " + name + " --print",
		exits:   serviceExits,
		flags:   flags.add,
		run: func(ctx context.Context, _ []string) (answer, error) {
			plan, err := a.servicePlan(serviceSettings{name: flags.name})
			if err != nil {
				return nil, err
			}
			ans := plan.answer(done)
			if flags.print {
				ans.Done, ans.Commands = "nothing was done", commands(steps(plan)...)
				return ans, nil
			}
			if err := a.command(ctx, plan, steps(plan)); err != nil {
				return nil, err
			}
			return ans, after(plan)
		},
	}
}

func (a *app) serviceRemoveVerb() verb {
	return a.serviceVerb("remove", "stop the service, and have the system forget it; what is stored stays", "removed",
		func(p servicePlan) []step { return p.remove },
		func(p servicePlan) error {
			if p.System == "windows" { // the system keeps no file of ours
				return nil
			}
			if err := os.Remove(p.File); err != nil && !errors.Is(err, os.ErrNotExist) {
				return noRights(err)
			}
			return nil
		})
}

func (a *app) serviceStartVerb() verb {
	return a.serviceVerb("start", "start the service", "started",
		func(p servicePlan) []step { return p.start }, func(servicePlan) error { return nil })
}

func (a *app) serviceStopVerb() verb {
	return a.serviceVerb("stop", "stop the service, until it is started again", "stopped",
		func(p servicePlan) []step { return p.stop }, func(servicePlan) error { return nil })
}

func (a *app) serviceStatusVerb() verb {
	var flags serviceFlags
	return verb{
		use: "status", short: "say whether the service runs",
		long:    "Whether the days that should be stored are stored, offsite status says.",
		example: "  offsite service status --json", exits: serviceExits,
		flags: flags.add,
		run: func(ctx context.Context, _ []string) (answer, error) {
			plan, err := a.servicePlan(serviceSettings{name: flags.name})
			if err != nil {
				return nil, err
			}
			ans := plan.answer("nothing was done")
			if flags.print {
				ans.Commands = commands(plan.look)
				return ans, nil
			}
			// Of a service that is not there the command fails, and that is an answer.
			said, err := exec.CommandContext(ctx, plan.look.words[0], plan.look.words[1:]...).CombinedOutput()
			if errors.Is(err, exec.ErrNotFound) {
				return nil, fail(exitFailed, fmt.Errorf("ask about service %s: %w", flags.name, err), plan.hint)
			}
			running := plan.running(string(said))
			ans.Running, ans.Done = &running, "runs"
			if !running {
				ans.Done = "does not run"
				return ans, verdictOnly(exitFailed)
			}
			return ans, nil
		},
	}
}

// servicePlan fills in what this system and this computer add to the settings.
func (a *app) servicePlan(s serviceSettings) (servicePlan, error) {
	if !serviceName.MatchString(s.name) {
		return servicePlan{}, wrongUse("--name: "+quoted(s.name)+" is not a name", "use up to 31 lower-case letters, digits and hyphens, a letter first")
	}
	s.system = runtime.GOOS
	return planService(s)
}

func (a *app) installService(ctx context.Context, flags serviceFlags, account string) (answer, error) {
	c, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	if name, secret := secretOfEnvironment(c); name != "" {
		return nil, wrongUse("store "+name+" takes a secret from "+secret.String()+", and a service has no such environment",
			"write the secret to a file that only the service's user can read, and file:PATH into the configuration")
	}
	program, err := os.Executable()
	if err == nil {
		program, err = filepath.EvalSymlinks(program)
	}
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	file, err := a.configPath()
	if err != nil {
		return nil, err
	}
	plan, err := a.servicePlan(serviceSettings{name: flags.name, user: account, program: program, config: file})
	if err != nil {
		return nil, err
	}
	ans := plan.answer("installed and started")
	if flags.print {
		ans.Done, ans.Text, ans.Commands = "nothing was done", plan.Text, commands(plan.install...)
		return ans, nil
	}
	if _, err := user.Lookup(account); err != nil && runtime.GOOS != "windows" {
		return nil, wrongUse("there is no user "+quoted(account), "name one that is there, or make it first")
	}
	if plan.asks {
		if _, ok := terminal(a.stdin); !ok {
			return nil, wrongUse("the system asks for the password of "+account+", and there is nobody to type it", "do it at a console, or name SYSTEM, LOCAL SERVICE or NETWORK SERVICE")
		}
		a.say("the system waits for the password of %s, and keeps it itself: type it, and press Enter", account)
	}
	if err := plan.writeFile(); err != nil {
		return nil, noRights(err)
	}
	err = a.command(ctx, plan, plan.install)
	if plan.System == "windows" { // the system has read it
		err = errors.Join(err, os.Remove(plan.File))
		ans.File = ""
	}
	if err != nil {
		return nil, err
	}
	ans.notes = []string{"run offsite doctor as " + account + ": it says whether that user may do all that is needed"}
	return ans, nil
}

// command has the system do something, one command after the other.
func (a *app) command(ctx context.Context, plan servicePlan, steps []step) error {
	for _, s := range steps {
		c := exec.CommandContext(ctx, s.words[0], s.words[1:]...)
		c.Stdin = a.stdin // schtasks asks for a password
		said, err := c.CombinedOutput()
		if err != nil && !s.mayFail {
			text := oneLine(errors.New(strings.TrimSpace(string(said))))
			return fail(exitFailed, fmt.Errorf("%s: %w: %s", strings.Join(quotedWords(s.words), " "), err, text), plan.hint)
		}
	}
	return nil
}

// noRights adds what to do about a file that this user may not write.
func noRights(err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	return fail(exitFailed, err, rightsHint(runtime.GOOS))
}

// secretOfEnvironment finds a store whose secret a service would not have.
func secretOfEnvironment(c *config.Config) (store string, secret config.Secret) {
	for _, s := range c.Stores {
		for _, one := range []config.Secret{s.AccessKey, s.SecretKey, s.SessionToken, s.AccountKey, s.SAS, s.Credentials} {
			if one.Scheme == "env" {
				return s.Name, one
			}
		}
	}
	return "", config.Secret{}
}
