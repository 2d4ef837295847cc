package azure_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azureadmin"
	"offsite/providers/azure/azuretest"
)

// office is an account with nothing set up, everybody's roles as they are printed, and
// the management plane.
type office struct {
	*testing.T
	layer *azuretest.Layer
	arm   *azuretest.ARM
	cfg   azureadmin.Config // the administrator's
}

type officeOptions struct {
	layer     azuretest.Options
	leases    azure.LeaseMode
	keep      int
	noAccount bool
	wrap      func(http.Handler) http.Handler // around the management plane
}

func newOffice(t *testing.T, opt officeOptions) office {
	t.Helper()
	layer, endpoint := newLayer(t, opt.layer)
	account := realServer(t).Account
	o := office{T: t, layer: layer, arm: azuretest.NewARM(layer, "sub", "group", !opt.noAccount)}
	var h http.Handler = o.arm
	if opt.wrap != nil {
		h = opt.wrap(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	name := fmt.Sprintf("office-%d", azurite.seq.Add(1))
	for _, role := range providers.Roles() {
		docs, err := azureadmin.Policies(role, azureadmin.PolicyConfig{Subscription: "sub", ResourceGroup: "group", Account: account, Container: name, Leases: opt.leases})
		if err != nil {
			t.Fatal(err)
		}
		if len(docs) > 0 {
			if err := layer.Assign("token of "+string(role), docs[0].Text); err != nil {
				t.Fatal(err)
			}
		}
	}
	o.cfg = azureadmin.Config{Subscription: "sub", ResourceGroup: "group", Management: server.URL,
		Store: azure.Config{Account: account, Container: name, Endpoint: endpoint, Leases: opt.leases, KeepDays: opt.keep, Token: tokenOf("admin")}}
	return o
}

// tokenOf is a sign-in of a role.
func tokenOf(role providers.Role) func(context.Context, string) (string, time.Time, error) {
	return func(context.Context, string) (string, time.Time, error) {
		return "token of " + string(role), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
}

func (o office) admin() *azureadmin.Admin {
	o.Helper()
	a, err := azureadmin.Open(o.Context(), o.cfg)
	if err != nil {
		o.Fatal(err)
	}
	return a
}

// setUp sets everything up and fails unless all is right then.
func (o office) setUp() {
	o.Helper()
	settings, err := o.admin().Setup(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	for _, s := range settings {
		if s.State != providers.StateRight {
			o.Errorf("after setup: %+v", s)
		}
	}
}

// longestLease is what the manager of an office gives at most: a little more than the
// longest class of the default policy.
const longestLease = 8 * 366 * day

// as is the store's configuration for a role.
func (o office) as(role providers.Role) azure.Config {
	cfg := o.cfg.Store
	cfg.Token = tokenOf(role)
	cfg.Versions = cfg.Leases == azure.LeaseManaged
	if role == providers.RoleManager {
		cfg.Leases, cfg.MaxLease = azure.LeaseManager, longestLease
	}
	return cfg
}

// wrongOf are the names of settings that are not right, with their state.
func wrongOf(settings []providers.Setting) map[string]providers.State {
	out := map[string]providers.State{}
	for _, s := range settings {
		if s.State != providers.StateRight {
			out[s.Name] = s.State
		}
	}
	return out
}

func (o office) audit() map[string]providers.State {
	o.Helper()
	settings, err := o.admin().Audit(o.Context())
	if err != nil {
		o.Fatal(err)
	}
	for _, s := range settings {
		if (s.State == providers.StateRight) != (s.Remedy == "") || s.Name == "" || s.Want == "" {
			o.Errorf("setting %+v", s)
		}
	}
	return wrongOf(settings)
}

// schemes are what is set up: with a manager, and by last access.
var schemes = map[string]officeOptions{
	"managed":     {leases: azure.LeaseManaged},
	"last access": {leases: azure.LeaseLastAccess, keep: 40},
	"no leases":   {leases: azure.LeaseNone},
}

func TestSetupMakesWhatAuditWants(t *testing.T) {
	for name, opt := range schemes {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, opt)
			before := o.audit()
			for _, want := range []string{"public access", "encrypted connections", "soft deletion", "container"} {
				if before[want] != providers.StateWrong {
					t.Errorf("before setup %q is %q", want, before[want])
				}
			}
			if opt.leases == azure.LeaseManaged && (before["versioning"] == "" || before["immutability by version"] == "" || before["default retention"] == "" || before["removal rule"] == "") ||
				opt.leases == azure.LeaseLastAccess && (before["tracking of the last access"] == "" || before["removal rule"] == "") {
				t.Errorf("before setup only these are wrong: %v", before)
			}
			o.setUp()
			o.layer.Requests()
			o.setUp()
			for what, n := range o.layer.Requests() {
				if what != "ARM GET" {
					t.Errorf("a second setup wrote: %d %s", n, what)
				}
			}
		})
	}
}

func TestSetupMakesAMissingAccountWhereItIsToldTo(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged, noAccount: true})
	if wrong := o.audit(); wrong["account"] != providers.StateWrong {
		t.Errorf("audit of nothing: %v", wrong)
	}
	_, err := o.admin().Setup(t.Context())
	wantKind(t, "setup without a location", err, providers.ErrNotExist)
	o.cfg.Location = "testland"
	o.setUp()
}

// What others set stays: rules, settings of the blob service, a longer soft deletion, a
// longer default retention.
func TestSetupKeepsWhatOthersSet(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
	foreign := []string{
		`{"name":"logs","type":"Lifecycle","enabled":true,"definition":{"filters":{"blobTypes":["blockBlob"],"prefixMatch":["logs/"]},"actions":{"baseBlob":{"delete":{"daysAfterModificationGreaterThan":7}}}}}`,
		`{"name":"cool","type":"Lifecycle","definition":{"filters":{"blobTypes":["blockBlob"]},"actions":{"baseBlob":{"tierToCool":{"daysAfterModificationGreaterThan":30}}}}}`,
	}
	for _, rule := range foreign {
		if err := o.arm.AddRule(rule); err != nil {
			t.Fatal(err)
		}
	}
	o.setUp()
	for _, part := range []string{`"name":"logs"`, `"daysAfterModificationGreaterThan":7`, `"tierToCool"`, o.cfg.Store.Container + "/r/"} {
		if !strings.Contains(o.arm.Rules(), part) {
			t.Errorf("after setup the rules lack %s: %s", part, o.arm.Rules())
		}
	}
	// A second store in the same account has a rule of its own.
	second := o
	second.cfg.Store.Container += "-b"
	second.setUp()
	o.setUp()
	if n := strings.Count(o.arm.Rules(), `"name":"offsite`); n != 2 {
		t.Errorf("%d rules of two stores: %s", n, o.arm.Rules())
	}
	longer := o
	longer.cfg.Floor = 30 * day
	longer.setUp()
	o.cfg.Max = 20 * day // now the default retention is longer than anything needs
	if wrong := o.audit(); wrong["default retention"] != providers.StateWrong {
		t.Errorf("a default longer than the longest class: %v", wrong)
	}
}

func TestAuditTellsRulesThatCouldEatData(t *testing.T) {
	rule := func(filters, actions string) string {
		return `{"name":"theirs","type":"Lifecycle","enabled":true,"definition":{"filters":{"blobTypes":["blockBlob"]` + filters + `},"actions":{` + actions + `}}}`
	}
	const eats = `"baseBlob":{"delete":{"daysAfterModificationGreaterThan":7}}`
	for name, c := range map[string]struct {
		rule string
		bad  bool
	}{
		"everything":             {rule("", eats), true},
		"a prefix of the name":   {rule(`,"prefixMatch":["offi"]`, eats), true},
		"our keys":               {rule(`,"prefixMatch":["CONTAINER/keys/"]`, eats), true},
		"elsewhere":              {rule(`,"prefixMatch":["logs/"]`, eats), false},
		"archive":                {rule("", `"baseBlob":{"tierToArchive":{"daysAfterModificationGreaterThan":7}}`), true},
		"cool":                   {rule("", `"baseBlob":{"tierToCool":{"daysAfterModificationGreaterThan":7}}`), false},
		"older versions":         {rule("", `"version":{"delete":{"daysAfterCreationGreaterThan":7}}`), true},
		"snapshots":              {rule("", `"snapshot":{"delete":{"daysAfterCreationGreaterThan":7}}`), false},
		"switched off":           {strings.Replace(rule("", eats), `"enabled":true`, `"enabled":false`, 1), false},
		"append blobs":           {strings.Replace(rule("", eats), "blockBlob", "appendBlob", 1), false},
		"only what has a tag":    {rule(`,"blobIndexMatch":[{"name":"a","op":"==","value":"b"}]`, eats), true},
		"a container like ours":  {rule(`,"prefixMatch":["CONTAINERx/"]`, eats), false},
		"one of several matches": {rule(`,"prefixMatch":["logs/","CONTAINER/r/d/"]`, eats), true},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
			o.setUp()
			if err := o.arm.AddRule(strings.ReplaceAll(c.rule, "CONTAINER", o.cfg.Store.Container)); err != nil {
				t.Fatal(err)
			}
			if wrong := o.audit(); (wrong["rules of others"] == providers.StateWrong) != c.bad || len(wrong) > 1 {
				t.Errorf("audit: %v", wrong)
			}
		})
	}
}

func TestAuditTellsDrift(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseLastAccess, keep: 40})
	o.setUp()
	o.arm.AddTask("harmless", false)
	if wrong := o.audit(); len(wrong) > 0 {
		t.Errorf("audit: %v", wrong)
	}
	o.arm.AddTask("sweeper", true)
	changed := o
	changed.cfg.Store.KeepDays = 60 // the rule there says 40
	changed.cfg.Max = 90 * day
	for _, want := range []string{"storage tasks", "removal rule", "reach of the rule"} {
		if wrong := changed.audit(); wrong[want] != providers.StateWrong || len(wrong) != 3 {
			t.Errorf("audit: %v, want %q", wrong, want)
		}
	}
}

// What a credential may not see is unseen, not an error; an unknown one is an error.
func TestAuditWithLessRights(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
	o.setUp()
	o.cfg.Store.Token = tokenOf(providers.RoleRestore)
	for name, state := range o.audit() {
		if state != providers.StateUnseen {
			t.Errorf("%s is %s", name, state)
		}
	}
	if n := len(o.audit()); n < 10 {
		t.Errorf("only %d settings are unseen", n)
	}
	_, err := o.admin().Setup(t.Context())
	wantKind(t, "setup", err, providers.ErrDenied)
	o.cfg.Store.Token = tokenOf("nobody")
	_, err = o.admin().Audit(t.Context())
	wantKind(t, "audit by a stranger", err, providers.ErrDenied)
}

// The lock is made only on demand; a locked policy is made longer, never shorter.
func TestDefaultRetentionIsLockedOnDemand(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
	o.setUp()
	o.cfg.Lock = true
	if wrong := o.audit(); wrong["lock of the default retention"] != providers.StateWrong || len(wrong) != 1 {
		t.Errorf("before the lock: %v", wrong)
	}
	o.setUp()
	o.cfg.Floor = 20 * day
	o.setUp()
	o.cfg.Floor = 10 * day
	o.setUp()
	d := open(t, o.as(providers.RoleUploader))
	if _, err := d.Put(t.Context(), "r/p/a", []byte("x"), providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if obj, err := d.Stat(t.Context(), "r/p/a", ""); err != nil || !obj.Lease.Equal(start.Add(20*day)) {
		t.Errorf("lease %v, %v", obj.Lease, err)
	}
}

// A container that was there before has no immutability by version; that cannot be
// switched on in passing.
func TestAnOldContainerIsTold(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseNone})
	o.setUp()
	o.cfg.Store.Leases = azure.LeaseManaged
	settings, err := o.admin().Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrong := wrongOf(settings)
	if wrong["immutability by version"] != providers.StateWrong || wrong["default retention"] != providers.StateWrong || len(wrong) != 2 {
		t.Errorf("after setup: %v", wrong)
	}
}

// Terraform names the rule as the program does, so that each finds the other's right.
func TestTerraformNamesTheRuleAlike(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
	o.setUp()
	text, err := os.ReadFile("../../examples/terraform/azure/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	if want := `"offsite${substr(sha256("${var.container}/"), 0, 16)}"`; !strings.Contains(string(text), want) {
		t.Errorf("main.tf does not say %s", want)
	}
	if want := fmt.Sprintf(`"name":"offsite%x"`, sha256.Sum256([]byte(o.cfg.Store.Container+"/")))[:len(`"name":"offsite`)+16]; !strings.Contains(o.arm.Rules(), want+`"`) {
		t.Errorf("the rules lack %s: %s", want, o.arm.Rules())
	}
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("LEFT OUT, there is no terraform to check the format with")
	}
	if out, err := exec.Command("terraform", "fmt", "-check", "-diff", "../../examples/terraform/azure").CombinedOutput(); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
}

// Rules that say more than this program knows are not written back.
func TestRulesThatAreNotUnderstoodAreNotWritten(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
	if err := o.arm.AddRule(`{"name":"new","type":"Lifecycle","definition":{"filters":{"blobTypes":["blockBlob"],"prefixMatch":["logs/"],"suffixMatch":[".log"]},
		"actions":{"baseBlob":{"delete":{"daysAfterModificationGreaterThan":7}}}}}`); err != nil {
		t.Fatal(err)
	}
	before := o.arm.Rules()
	_, err := o.admin().Setup(t.Context())
	wantKind(t, "setup", err, providers.ErrConflict)
	if after := o.arm.Rules(); after != before {
		t.Errorf("the rules were %s and are %s", before, after)
	}
}

// The service has no condition for writing rules. When somebody else's writing wins,
// setup says so.
func TestRulesAreReadBack(t *testing.T) {
	lost := false
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged, wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if lost = lost || r.Method == http.MethodPut && strings.Contains(r.URL.Path, "managementPolicies"); lost && r.Method == http.MethodPut {
				r.Method = http.MethodGet // the answer to a writing that has no effect
			}
			h.ServeHTTP(w, r)
		})
	}})
	if err := o.arm.AddRule(`{"name":"theirs","type":"Lifecycle","definition":{"filters":{"blobTypes":["blockBlob"],"prefixMatch":["logs/"]},
		"actions":{"baseBlob":{"delete":{"daysAfterModificationGreaterThan":7}}}}}`); err != nil {
		t.Fatal(err)
	}
	_, err := o.admin().Setup(t.Context())
	wantKind(t, "setup", err, providers.ErrConflict)
}

func TestAdminErrorsHaveKinds(t *testing.T) {
	for status, kind := range map[int]error{400: providers.ErrInvalid, 401: providers.ErrDenied, 409: providers.ErrConflict, 429: providers.ErrBusy, 500: providers.ErrBusy, 503: providers.ErrBusy} {
		asked := 0
		o := newOffice(t, officeOptions{leases: azure.LeaseManaged, wrap: func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				w.Header().Set("X-Ms-Request-Id", "1")
				w.WriteHeader(status)
				fmt.Fprint(w, `{"error":{"code":"SomeCode","message":"names of other people"}}`)
			})
		}})
		_, err := o.admin().Audit(t.Context())
		wantKind(t, fmt.Sprint(status), err, kind)
		if !strings.Contains(err.Error(), "SomeCode") || strings.Contains(err.Error(), "other people") || asked != 1 {
			t.Errorf("%d: %v, asked %d times", status, err, asked)
		}
	}
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
	o.cfg.Management = "http://127.0.0.1:1"
	_, err := o.admin().Audit(t.Context())
	wantKind(t, "no answer", err, providers.ErrUnreachable)
	o.cfg.Store.Token = func(context.Context, string) (string, time.Time, error) {
		return "", time.Time{}, errors.New("not signed in")
	}
	_, err = o.admin().Audit(t.Context())
	wantKind(t, "no token", err, providers.ErrDenied)
}

func TestAdminOpenRefusesWhatCannotWork(t *testing.T) {
	good := azureadmin.Config{Subscription: "sub", ResourceGroup: "group",
		Store: azure.Config{Account: "practice", Container: "offsite", Leases: azure.LeaseManaged, Token: tokenOf("admin")}}
	if _, err := azureadmin.Open(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*azureadmin.Config){
		"SAS":             func(c *azureadmin.Config) { c.Store.Token, c.Store.SAS = nil, "sig=s" },
		"key":             func(c *azureadmin.Config) { c.Store.Token, c.Store.SharedKey = nil, "c2VjcmV0" },
		"no subscription": func(c *azureadmin.Config) { c.Subscription = "" },
		"no group":        func(c *azureadmin.Config) { c.ResourceGroup = "a/b" },
		"short floor":     func(c *azureadmin.Config) { c.Floor = time.Hour },
		"short longest":   func(c *azureadmin.Config) { c.Max = day },
		"plain HTTP":      func(c *azureadmin.Config) { c.Management = "http://management.example" },
		"container":       func(c *azureadmin.Config) { c.Store.Container = "A" },
		"no days":         func(c *azureadmin.Config) { c.Store.Leases = azure.LeaseLastAccess },
	} {
		cfg := good
		change(&cfg)
		_, err := azureadmin.Open(t.Context(), cfg)
		wantKind(t, name, err, providers.ErrInvalid)
	}
}

// canary puts one with the uploader's credential.
func (o office) canary(name string) providers.Object {
	o.Helper()
	d := open(o.T, o.as(providers.RoleUploader))
	if _, err := d.Put(o.Context(), providers.CanaryPrefix+name, []byte("a canary"), providers.PutOptions{}); err != nil {
		o.Fatal(err)
	}
	obj, err := d.Stat(o.Context(), providers.CanaryPrefix+name, "")
	if err != nil {
		o.Fatal(err)
	}
	return obj
}

// The roles as they are printed, and the SAS that stand for them, pass no attack. A
// credential that may do everything passes all of them, but for policies where there
// is no immutability: so no attempt is refused because it is put wrongly.
func TestAttacksPassOnlyWithTooManyRights(t *testing.T) {
	for name, opt := range schemes {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, opt)
			o.setUp()
			sas := o.as(providers.RoleUploader)
			sas.Token, sas.SAS = nil, signature(t, sas, uploaderCan)
			for credential, cfg := range map[string]azure.Config{"uploader": o.as(providers.RoleUploader), "uploader's SAS": sas, "restore": o.as(providers.RoleRestore)} {
				canary := o.canary(strings.ToLower(strings.NewReplacer(" ", "-", "'", "").Replace(credential)))
				for _, a := range trials(t, cfg, canary) {
					if !a.Refused || a.Remedy != "" || a.Answer == "" {
						t.Errorf("%s: %+v", credential, a)
					}
				}
				if obj, err := open(t, cfg).Stat(t.Context(), canary.Key, ""); err != nil || obj.Version != canary.Version || !obj.Lease.Equal(canary.Lease) {
					t.Errorf("%s: the canary is %+v, %v; was %+v", credential, obj, err, canary)
				}
			}
			if err := o.layer.Assign("token of everything", []byte(`{"Actions":["Microsoft.Storage/*"],"DataActions":["Microsoft.Storage/*"]}`)); err != nil {
				t.Fatal(err)
			}
			all := o.as(providers.RoleUploader)
			all.Token = tokenOf("everything")
			passed := 0
			for _, a := range trials(t, all, o.canary("open")) {
				if a.Refused && (opt.leases == azure.LeaseManaged || a.Answer != "BlobOperationNotSupported") {
					t.Errorf("with every right: %+v", a)
				}
				if !a.Refused && a.Remedy == "" {
					t.Errorf("no remedy: %+v", a)
				}
				if !a.Refused {
					passed++
				}
			}
			if passed < 10 {
				t.Errorf("with every right only %d attacks pass", passed)
			}
		})
	}
}

func trials(t *testing.T, cfg azure.Config, canary providers.Object) []providers.Attempt {
	t.Helper()
	a, err := azureadmin.NewAttacker(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	attempts, err := a.Attack(t.Context(), canary)
	if err != nil {
		t.Fatal(err)
	}
	if len(attempts) < 15 {
		t.Errorf("only %d attempts", len(attempts))
	}
	return attempts
}

func TestOnlyCanariesAreAttacked(t *testing.T) {
	o := newOffice(t, officeOptions{leases: azure.LeaseManaged})
	o.setUp()
	a, err := azureadmin.NewAttacker(t.Context(), o.as(providers.RoleUploader))
	if err != nil {
		t.Fatal(err)
	}
	o.layer.Requests()
	for _, key := range []string{"r/p/pack", "offsite.json", "r/c", "r/c/../p", ""} {
		_, err := a.Attack(t.Context(), providers.Object{Key: key})
		wantKind(t, key, err, providers.ErrInvalid)
	}
	if n := len(o.layer.Requests()); n > 0 {
		t.Errorf("%d kinds of requests were sent", n)
	}
	_, err = a.Attack(t.Context(), providers.Object{Key: "r/c/absent"})
	wantKind(t, "absent", err, providers.ErrNotExist)
	if _, err := azureadmin.NewAttacker(t.Context(), azure.Config{}); err == nil {
		t.Error("an attacker of nothing")
	}
}
