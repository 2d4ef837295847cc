package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/zalando/go-keyring"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/s3/s3admin"
)

// storeVerbs are the verbs below store: what an administrator does with a bucket,
// which the nightly run never does.
func (a *app) storeVerbs(keep func(answer)) *cobra.Command {
	return group("store", "set a bucket up, see whether it still is what it must be, print the rights that it needs", keep,
		a.storeSetupVerb(), a.storeCheckVerb(), a.storePolicyVerb(), a.storeSecretVerb())
}

// placeFlags are what only a service's administration needs to know.
type placeFlags struct {
	with                        string
	project, location           string
	subscription, resourceGroup string
	management                  string
	admins                      []string
	service                     string
	users                       []string
	split                       bool
	floor                       config.Duration
	lock                        bool
}

func (f *placeFlags) add(s *pflag.FlagSet, setup bool) {
	s.StringVar(&f.with, "with", "", "the administrator's credentials as `KEY=VALUE&...`, such as profile=admin; else those of the environment")
	s.StringVar(&f.subscription, "subscription", "", "Azure: the `ID` of the subscription")
	s.StringVar(&f.resourceGroup, "resource-group", "", "Azure: the `NAME` of the resource group")
	s.StringVar(&f.management, "management", "", "Azure: the `ADDRESS` of the management plane, for other clouds than the public one")
	f.floor = config.Duration(14 * 24 * time.Hour)
	s.Var(&textFlag{&f.floor, "DURATION", f.floor.String}, "floor", "what nobody can remove sooner than this after its arrival: `DURATION`")
	f.addS3(s)
	if setup {
		s.StringVar(&f.project, "project", "", "Google: the `ID` of the project in which a missing bucket is made")
		s.StringVar(&f.location, "location", "", "Google, Azure: the `PLACE` in which a missing bucket or account is made")
		s.BoolVar(&f.lock, "lock", false, "Azure: lock the container's default policy, which nobody can undo")
	}
}

// addS3 adds what the policies of S3 and its compatibles are made from.
func (f *placeFlags) addS3(s *pflag.FlagSet) {
	s.StringVar(&f.service, "service", "", "S3: the `NAME` of the service, where its address does not tell: aws, wasabi, b2, minio or ceph")
	s.StringArrayVar(&f.admins, "admin", nil, "S3: the `ARN` of a principal that may change the bucket's settings; may be given again")
	s.StringArrayVar(&f.users, "user", nil, "S3: who has a role, as `ROLE=ARN`, for services whose users have no policies of their own; may be given again")
	s.BoolVar(&f.split, "split", false, "S3: the uploader raises no leases; a manager on another machine does")
}

// policyS3 is what the flags say of S3's policies.
func (f *placeFlags) policyS3() (s3admin.PolicyConfig, error) {
	c := s3admin.PolicyConfig{Service: s3admin.Service(f.service), Admins: f.admins, Split: f.split}
	for _, u := range f.users {
		role, arn, ok := strings.Cut(u, "=")
		if !ok || !slices.Contains(providers.Roles(), providers.Role(role)) {
			return c, wrongUse("--user "+quoted(u)+" names no role and principal", "write ROLE=ARN, such as uploader=arn:aws:iam:::user/nightly")
		}
		if c.Users == nil {
			c.Users = make(map[providers.Role]string)
		}
		c.Users[providers.Role(role)] = arn
	}
	return c, nil
}

type settingsAnswer struct {
	Store    string              `json:"store"`
	Cost     string              `json:"cost,omitempty"`
	Settings []providers.Setting `json:"settings"`
}

func (s settingsAnswer) text(w io.Writer) {
	writeSettings(w, s.Settings)
	if s.Cost != "" {
		fmt.Fprintf(w, "\n%s\n", s.Cost)
	}
}

func writeSettings(w io.Writer, settings []providers.Setting) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SETTING\tSTATE\tIS")
	for _, s := range settings {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.State, s.Have)
	}
	t.Flush()
	for _, s := range settings {
		if s.State != providers.StateRight {
			fmt.Fprintf(w, "%s must be %s: %s\n", s.Name, s.Want, s.Remedy)
		}
	}
}

func wrongSettings(settings []providers.Setting) int {
	n := 0
	for _, s := range settings {
		if s.State == providers.StateWrong {
			n++
		}
	}
	return n
}

func (a *app) storeSetupVerb() verb {
	var f placeFlags
	size, daily := config.Size(0), config.Size(0)
	return verb{
		use:   "setup --store NAME|ADDRESS [flags]",
		short: "make the bucket what leases need: versions, lock, floor, removal rule",
		long: `Works with an administrator's credentials, which never belong on the practice's
PC. What others set in the bucket stays; what could eat data is reported. Before
anything is changed it says what the store will cost and asks. Where a service cannot
lock objects it asks whether leases as signed records will do.`,
		example: "  offsite store setup --store s3://practice-backup?region=eu-west-2 --with profile=admin --size 200GB --daily 500MB",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore},
		flags: func(s *pflag.FlagSet) {
			f.add(s, true)
			s.Var(&textFlag{&size, "SIZE", func() string { return "" }}, "size", "how much will be stored, for the estimate of the cost: `SIZE`")
			s.Var(&textFlag{&daily, "SIZE", func() string { return "" }}, "daily", "how much is new each night, for the estimate: `SIZE`")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			s, c, err := a.oneStore("setup")
			if err != nil {
				return nil, err
			}
			ans := settingsAnswer{Store: s.Name, Settings: []providers.Setting{}}
			if size > 0 {
				ans.Cost = costLine(s, float64(size), float64(daily))
			}
			if s.Lease() == "none" {
				return a.setupWithoutLeases(ctx, s, &f, ans)
			}
			admin, err := a.openAdmin(ctx, s, c, &f)
			if err != nil {
				return nil, err
			}
			if err := a.confirm(ans.Cost, "Set up "+s.Reference()+"?"); err != nil {
				return nil, err
			}
			ans.Settings, err = admin.Setup(ctx)
			if errors.Is(err, errors.ErrUnsupported) && s.Address.Scheme == "s3" {
				return a.fallBack(ctx, s, &f, ans, err)
			}
			if err != nil {
				return nil, fmt.Errorf("set up store %s: %w", s.Name, err)
			}
			if n := wrongSettings(ans.Settings); n > 0 {
				return ans, fail(exitFailed, fmt.Errorf("%d settings are not what they must be", n), "each is named above, with what to do")
			}
			return ans, nil
		},
	}
}

// withoutLeases is said loudly: such a store breaks the promise that a stolen
// credential can undo nothing.
const withoutLeases = `WARNING: this store keeps no leases of its own.
  Whoever steals the upload credential may be able to remove what is stored, unless
  the service refuses that by other means (a bucket lock, a credential without the
  right to delete). Leases are kept as signed records. What has lapsed is removed by
  offsite sweep, with a credential that must not lie on the practice's PC.
  Use it as a second store, never as the only one.`

// fallBack is for a service that cannot lock objects: leases become signed records.
// That gives up what protects from a thief, so it is for a person to agree to, here and
// by a word in the configuration.
func (a *app) fallBack(ctx context.Context, s config.Store, f *placeFlags, ans settingsAnswer, why error) (answer, error) {
	a.say("%s keeps no leases: %v", s.Reference(), why)
	s.Leases = "none"
	done, err := a.setupWithoutLeases(ctx, s, f, ans)
	if err != nil {
		return nil, err
	}
	if err := a.confirm("", "Use "+s.Reference()+" all the same?"); err != nil {
		return nil, fail(exitFailed, errors.New("store "+s.Name+" is not used"), "take a service that can lock objects; nothing was stored there")
	}
	a.say("Write leases: none into the store's block, or leases=none behind its address: without it nothing is stored there.")
	return done, nil
}

// setupWithoutLeases has nothing to set: it sees that the bucket is there.
func (a *app) setupWithoutLeases(ctx context.Context, s config.Store, f *placeFlags, ans settingsAnswer) (answer, error) {
	a.say("%s", withoutLeases)
	s, err := a.storeWith(s, f.with)
	if err != nil {
		return nil, err
	}
	store, err := a.openStore(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := manifest.Vacant(ctx, store); err != nil && !errors.Is(err, providers.ErrExist) {
		return nil, fmt.Errorf("store %s: %w", s.Name, err)
	}
	ans.Settings = append(ans.Settings, providers.Setting{Name: "leases", Want: "signed records and offsite sweep", Have: "signed records and offsite sweep", State: providers.StateRight})
	return ans, nil
}

// confirm asks before something is done that is hard to undo.
func (a *app) confirm(first, question string) error {
	if first != "" {
		a.say("%s", first)
	}
	if a.yes {
		return nil
	}
	if _, ok := terminal(a.stdin); !ok {
		return wrongUse("there is nobody to ask: "+question, "add --yes")
	}
	fmt.Fprint(a.stderr, question+" Type yes: ")
	var word string
	if _, err := fmt.Fscanln(a.stdin, &word); err != nil || word != "yes" {
		return fail(exitFailed, errors.New("nothing was changed"))
	}
	return nil
}

// oneStore is the store that --store names, by name or by address.
func (a *app) oneStore(verb string) (config.Store, *config.Config, error) {
	s, c, err := a.readFrom()
	if err == nil && s.Address.Scheme == "dir" && verb != "check" {
		return s, c, wrongUse("a folder needs no "+verb, "name a store at s3:, gs: or azblob: by --store; who may write to a folder is the system's affair")
	}
	return s, c, err
}

// storeCheck is what store check found.
type storeCheck struct {
	Store     string              `json:"store"`
	Settings  []providers.Setting `json:"settings"`
	Attempts  []providers.Attempt `json:"attempts"`
	Canaries  *canaryAnswer       `json:"canaries"`
	ClockSkew *float64            `json:"clock_skew_seconds"`
	Problems  []string            `json:"problems"`
}

type canaryAnswer struct {
	RemovalProven string `json:"removal_proven,omitempty"` // date
	Removed       int    `json:"removed"`
	Overdue       int    `json:"overdue"`
	Kept          int    `json:"kept"`
	Missing       int    `json:"missing"`
}

func (s storeCheck) text(w io.Writer) {
	if len(s.Settings) > 0 {
		writeSettings(w, s.Settings)
		fmt.Fprintln(w)
	}
	if len(s.Attempts) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "WITH THE UPLOAD CREDENTIAL\tREFUSED\tANSWER")
		for _, at := range s.Attempts {
			refused := "yes"
			if !at.Refused {
				refused = "NO"
				if at.Accepted != "" {
					refused = "no, accepted: " + at.Accepted
				}
			}
			fmt.Fprintf(t, "%s\t%s\t%s\n", at.Name, refused, at.Answer)
		}
		t.Flush()
		fmt.Fprintln(w)
	}
	if c := s.Canaries; c != nil {
		if c.RemovalProven != "" {
			fmt.Fprintf(w, "removal proven on %s; ", c.RemovalProven)
		} else {
			fmt.Fprint(w, "removal not proven yet; ")
		}
		fmt.Fprintf(w, "canaries: %d lapsed and gone, %d overdue, %d kept, %d missing\n", c.Removed, c.Overdue, c.Kept, c.Missing)
	}
	if s.ClockSkew != nil {
		fmt.Fprintf(w, "the store's clock is %.0f s ahead of this computer's\n", *s.ClockSkew)
	}
	for _, p := range s.Problems {
		fmt.Fprintf(w, "PROBLEM: %s\n", p)
	}
	if len(s.Problems) == 0 {
		fmt.Fprintln(w, "all is well")
	}
}

func (a *app) storeCheckVerb() verb {
	var f placeFlags
	var attack bool
	return verb{
		use:   "check [--store NAME] [flags]",
		short: "see whether the bucket still is what it must be, and whether the upload credential is refused what would undo it",
		long: `Compares the bucket's settings with what they must be, tries with the upload
credential everything that would undo a lease (on a canary made for it, and on
nothing else), looks at what became of earlier canaries, and compares the clocks.
Settings that the upload credential may not see are seen with --with.`,
		example: "  offsite store check --with profile=admin",
		exits:   []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		flags: func(s *pflag.FlagSet) {
			f.add(s, false)
			s.BoolVar(&attack, "attack", true, "try what a thief would try")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			s, c, err := a.oneStore("check")
			if err != nil {
				return nil, err
			}
			ans := storeCheck{Store: s.Name, Settings: []providers.Setting{}, Attempts: []providers.Attempt{}, Problems: []string{}}
			if s.Address.Scheme != "dir" {
				if err := a.auditStore(ctx, s, c, &f, &ans); err != nil {
					return nil, err
				}
			}
			if attack && s.Address.Scheme != "dir" {
				if err := a.attackStore(ctx, s, &ans); err != nil {
					return nil, err
				}
			}
			if err := a.watchCanaries(ctx, s, &f, &ans); err != nil {
				return nil, err
			}
			if len(ans.Problems) > 0 {
				return ans, fail(exitFailed, fmt.Errorf("store %s: %d problems", s.Name, len(ans.Problems)), "each is named in the answer")
			}
			return ans, nil
		},
	}
}

// auditStore compares the settings, with the administrator's credentials if they
// are named, else with the uploader's.
func (a *app) auditStore(ctx context.Context, s config.Store, c *config.Config, f *placeFlags, ans *storeCheck) error {
	if f.with == "" && f.subscription == "" && s.Address.Scheme == "azblob" {
		a.say("the account's settings are not looked at: --subscription, --resource-group and a sign-in are needed for that")
		return nil
	}
	open := a.openAdmin
	if f.with == "" && s.Address.Scheme != "azblob" {
		open = a.openAdminAs
	}
	admin, err := open(ctx, s, c, f)
	if err != nil {
		return err
	}
	if ans.Settings, err = admin.Audit(ctx); err != nil {
		return fmt.Errorf("look at store %s: %w", s.Name, err)
	}
	for _, set := range ans.Settings {
		if set.State == providers.StateWrong {
			ans.Problems = append(ans.Problems, fmt.Sprintf("%s is %s, and must be %s: %s", set.Name, set.Have, set.Want, set.Remedy))
		}
	}
	return nil
}

// attackStore makes a canary and attacks it.
func (a *app) attackStore(ctx context.Context, s config.Store, ans *storeCheck) error {
	store, err := a.openStore(ctx, s)
	if err != nil {
		return err
	}
	key := providers.CanaryPrefix + "attack-" + strings.ToLower(a.now().UTC().Format("20060102t150405z"))
	if _, err := store.Create(ctx, key, []byte("offsite canary "+key+"\n"), a.now().Add(manifest.ShortCanary)); err != nil {
		return fmt.Errorf("store %s: make canary: %w", s.Name, err)
	}
	canary, err := store.Stat(ctx, key, "")
	if err != nil {
		return fmt.Errorf("store %s: look at canary: %w", s.Name, err)
	}
	attacker, err := a.openAttacker(ctx, s)
	if err != nil {
		return err
	}
	if ans.Attempts, err = attacker.Attack(ctx, canary); err != nil {
		return fmt.Errorf("store %s: attack canary: %w", s.Name, err)
	}
	for _, at := range ans.Attempts {
		if !at.Refused && at.Accepted == "" {
			ans.Problems = append(ans.Problems, fmt.Sprintf("the upload credential may %s (%s): %s", at.Name, at.Answer, at.Remedy))
		}
	}
	return nil
}

// watchCanaries looks at what became of the canaries of past runs, and at the clock.
func (a *app) watchCanaries(ctx context.Context, s config.Store, f *placeFlags, ans *storeCheck) error {
	l, err := a.openLibrary(ctx, nil)
	if errors.Is(err, manifest.ErrNoStore) {
		return nil // set up, and not founded yet
	}
	if err != nil {
		return err
	}
	now := a.now()
	if at, err := l.store.Time(ctx); err == nil {
		skew := at.Sub(now).Seconds()
		ans.ClockSkew = &skew
		if at.Sub(now).Abs() > maxSkew {
			ans.Problems = append(ans.Problems, fmt.Sprintf("the clocks are %s apart: set this computer's clock", at.Sub(now).Abs().Round(time.Second)))
		}
		now = at
	} else if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	refs, _, err := manifest.List(ctx, l.store, l.trust, "", nil)
	if err != nil {
		return err
	}
	r, err := manifest.Canaries(ctx, l.store, refs, now, soonestRemoval(s, time.Duration(f.floor)))
	if err != nil {
		return err
	}
	ans.Canaries = &canaryAnswer{Removed: r.Gone, Overdue: r.Overdue, Kept: r.Kept, Missing: r.Missing}
	if !r.Removed.IsZero() {
		ans.Canaries.RemovalProven = r.Removed.In(l.zone).Format(time.DateOnly)
	}
	if r.Overdue > 0 {
		ans.Problems = append(ans.Problems, fmt.Sprintf("%d canaries lapsed days ago and still stand: %s", r.Overdue, overdueRemedy(s)))
	}
	if r.Missing > 0 {
		ans.Problems = append(ans.Problems, fmt.Sprintf("%d canaries are not there although they are leased: they could not be written, or something removes what is leased; look for foreign removal rules", r.Missing))
	}
	return nil
}

// soonestRemoval is the age below which a store that was set up removes nothing: a
// bucket's rule hides objects first, and a floor holds all that have no lease of
// their own.
func soonestRemoval(s config.Store, floor time.Duration) time.Duration {
	switch {
	case s.Address.Scheme == "dir" || s.Lease() == "none":
		return 0
	case s.Address.Scheme == "s3" && s.Lease() != "managed":
		return (s3admin.DefaultHideDays + 1) * 24 * time.Hour
	}
	return floor + 24*time.Hour
}

func overdueRemedy(s config.Store) string {
	if s.Address.Scheme == "dir" || s.Lease() == "none" {
		return "run offsite sweep"
	}
	return "the removal rule is missing or switched off: offsite store setup"
}

type policyAnswer struct {
	Documents []policyDocument `json:"documents"`
}

type policyDocument struct {
	Name string `json:"name"`
	Use  string `json:"use"`
	Text string `json:"text"`
	File string `json:"file,omitempty"`
}

func (p policyAnswer) text(w io.Writer) {
	for i, d := range p.Documents {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if d.File != "" {
			fmt.Fprintf(w, "%s\n  %s\n", d.File, d.Use)
			continue
		}
		fmt.Fprintf(w, "# %s: %s\n%s", d.Name, d.Use, d.Text)
	}
}

func (a *app) storePolicyVerb() verb {
	var f placeFlags
	role, to := string(providers.RoleUploader), ""
	return verb{
		use:   "policy --for ROLE [--to DIR]",
		short: "print the least rights that a role needs, as the service takes them",
		long: `The roles are uploader (the practice's PC), manager (raises leases, elsewhere),
restore (reads) and admin (sets up). Nothing is asked of the service.`,
		example: "  offsite store policy --for uploader --store s3://practice-backup",
		exits:   []int{exitDone, exitFailed, exitUsage},
		flags: func(s *pflag.FlagSet) {
			s.StringVar(&role, "for", role, "the `ROLE`: uploader, manager, restore or admin")
			s.StringVar(&to, "to", "", "a `DIR` to write the documents to; nothing in it is replaced")
			f.addS3(s)
			s.StringVar(&f.project, "project", "", "Google: the `ID` of the project")
			s.StringVar(&f.subscription, "subscription", "", "Azure: the `ID` of the subscription")
			s.StringVar(&f.resourceGroup, "resource-group", "", "Azure: the `NAME` of the resource group")
		},
		run: func(_ context.Context, _ []string) (answer, error) {
			s, c, err := a.oneStore("policy")
			if err != nil {
				return nil, err
			}
			if !slices.Contains(providers.Roles(), providers.Role(role)) {
				return nil, wrongUse("there is no role "+quoted(role), "write one of uploader, manager, restore, admin")
			}
			docs, err := policies(providers.Role(role), s, c, &f)
			if err != nil {
				return nil, fail(exitUsage, err)
			}
			return writePolicies(docs, to)
		},
	}
}

func writePolicies(docs []providers.Document, to string) (answer, error) {
	var ans policyAnswer
	for _, d := range docs {
		p := policyDocument{Name: d.Name, Use: d.Use, Text: string(d.Text)}
		if to != "" {
			if err := os.MkdirAll(to, 0o755); err != nil {
				return nil, fmt.Errorf("write policy: %w", err)
			}
			p.File = filepath.Join(to, d.Name)
			if err := writeNew(p.File, d.Text); err != nil {
				return nil, fmt.Errorf("write policy: %w", err)
			}
		}
		ans.Documents = append(ans.Documents, p)
	}
	return ans, nil
}

type secretAnswer struct {
	Secret string `json:"secret"`
}

func (s secretAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "Kept. Name it in the configuration as %s.\n", s.Secret)
}

func (a *app) storeSecretVerb() verb {
	return verb{
		use:   "secret NAME",
		short: "put a secret, read from standard input, into the keyring of this user",
		long: `The configuration then names it as keyring:NAME. The keyring belongs to the user:
the service must run as the same one.`,
		example: "  offsite store secret azure-sas < sas.txt",
		exits:   []int{exitDone, exitFailed, exitUsage},
		args: func(args []string) error {
			if len(args) != 1 {
				return wrongUse("store secret takes the secret's name", "to read more: offsite store secret --help")
			}
			return nil
		},
		run: func(_ context.Context, args []string) (answer, error) {
			name := args[0]
			var value string
			if _, ok := terminal(a.stdin); ok {
				v, err := a.ask("Secret: ")
				if err != nil {
					return nil, err
				}
				value = v
			} else {
				text, err := io.ReadAll(io.LimitReader(a.stdin, maxHolderFile))
				if err != nil {
					return nil, fmt.Errorf("read secret: %w", err)
				}
				value = strings.TrimRight(string(text), "\r\n")
			}
			if value == "" {
				return nil, wrongUse("there is no secret on standard input")
			}
			if err := keyring.Set(config.KeyringService, name, value); err != nil {
				return nil, fmt.Errorf("put secret into the keyring: %w", err)
			}
			return secretAnswer{Secret: "keyring:" + name}, nil
		},
	}
}
