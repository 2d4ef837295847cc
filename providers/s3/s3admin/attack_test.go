package s3admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

// store is a bucket set up on Ceph, with the credential of its uploader.
func store(t *testing.T) (owner, uploader s3.Config) {
	t.Helper()
	owner = onCeph(t)
	uploader, arn := cephUser(t, owner, providers.RoleUploader)
	a := open(t, s3admin.Config{Store: owner, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true, Users: map[providers.Role]string{providers.RoleUploader: arn}}})
	settings, err := a.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if s.State != providers.StateRight {
			t.Fatalf("after setup:\n%s", table(settings))
		}
	}
	return owner, uploader
}

// canary is a tiny object that is leased for a month.
func canary(t *testing.T, cfg s3.Config) providers.Object {
	t.Helper()
	d := driver(t, cfg)
	now, err := d.(providers.Clock).Time(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := fmt.Sprintf("r/c/%d", now.UnixNano())
	v, err := d.Put(t.Context(), key, []byte("canary"), providers.PutOptions{Lease: now.AddDate(0, 0, 30)})
	if err != nil {
		t.Fatal(err)
	}
	obj, err := d.Stat(t.Context(), key, v)
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func attack(t *testing.T, cfg s3.Config, obj providers.Object) map[string]providers.Attempt {
	t.Helper()
	a, err := s3admin.NewAttacker(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	attempts, err := a.Attack(t.Context(), obj)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]providers.Attempt{}
	for _, a := range attempts {
		t.Logf("%-45s refused %-5v %s %s", a.Name, a.Refused, a.Answer, a.Accepted)
		if out[a.Name] = a; (!a.Refused && a.Accepted == "") != strings.HasPrefix(a.Remedy, "take s3:") {
			t.Errorf("%s: refused %v, accepted %q, remedy %q", a.Name, a.Refused, a.Accepted, a.Remedy)
		}
	}
	return out
}

// With the printed policy the upload credential is refused everything that Ceph is
// able to refuse. What is left can be accepted: it harms no object that was there.
func TestAttacksOnCeph(t *testing.T) {
	_, uploader := store(t)
	obj := canary(t, uploader) // whose owner the uploader then is, with rights of its own
	got := attack(t, uploader, obj)
	gaps := []string{"overwrite", "put in compliance mode", "put with a lease of 99 years"}
	for name, a := range got {
		if a.Refused != !slices.Contains(gaps, name) || !a.Refused && a.Accepted == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if len(got) < 20 {
		t.Errorf("%d attempts", len(got))
	}
	after, err := driver(t, uploader).Stat(t.Context(), obj.Key, obj.Version)
	if err != nil || !after.Lease.Equal(obj.Lease) || after.Size != obj.Size {
		t.Errorf("the canary is now %+v, %v", after, err)
	}
}

// Ceph counts seconds up to 2106 and begins again: who may raise leases can end them.
// The attack finds that, and no policy for Ceph lets the uploader raise.
func TestLeasesThatEndInThePast(t *testing.T) {
	owner := onCeph(t)
	manager, arn := cephUser(t, owner, providers.RoleManager)
	a := open(t, s3admin.Config{Store: owner, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true, Users: map[providers.Role]string{providers.RoleManager: arn}}})
	if _, err := a.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	obj := canary(t, owner)
	if a := attack(t, manager, obj)["lease for 99 years"]; a.Refused || !strings.Contains(a.Answer, "now ends 19") {
		t.Errorf("%+v", a)
	}
	_, err := s3admin.Policies(providers.RoleUploader, s3admin.PolicyConfig{Service: s3admin.Ceph, Bucket: "b"})
	if err == nil || !strings.Contains(err.Error(), "2106") {
		t.Errorf("a policy that lets the uploader raise: %v", err)
	}
}

// Somebody who may do everything is refused only what the lock refuses, and the
// attack says so.
func TestAttacksFindEveryRight(t *testing.T) {
	for name, cfg := range map[string]s3.Config{"ceph": onCeph(t), "gateway": onGateway(t)} {
		t.Run(name, func(t *testing.T) {
			service := map[string]s3admin.Service{"ceph": s3admin.Ceph, "gateway": s3admin.Other}[name]
			a := open(t, s3admin.Config{Store: cfg, Policy: s3admin.PolicyConfig{Service: service, Split: true}})
			if _, err := a.Setup(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, err := a.Audit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := attack(t, cfg, canary(t, cfg))
			want := []string{"change the bucket policy", "delete", "delete the bucket", "tag", "legal hold", "shorten the lease by bypassing governance"}
			for _, try := range want {
				if a, ok := got[try]; !ok || a.Refused {
					t.Errorf("%s: %+v", try, a)
				}
			}
			for _, try := range []string{"delete the version", "delete versions in bulk", "shorten the lease"} {
				if !got[try].Refused {
					t.Errorf("%s: %+v", try, got[try])
				}
			}
			after, err := a.Audit(t.Context())
			if err != nil || table(after) != table(before) {
				t.Errorf("an attack changed settings: %v\n%s, before\n%s", err, table(after), table(before))
			}
		})
	}
}

// Nothing but a pinned, leased canary is ever attacked.
func TestOnlyCanariesAreAttacked(t *testing.T) {
	f := s3.Config{Bucket: "b", Endpoint: "http://127.0.0.1:1", AccessKey: "a", SecretKey: "b"}
	a, err := s3admin.NewAttacker(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	good := providers.Object{Key: "r/c/a", Version: "v1", Lease: time.Now().Add(day)}
	for what, change := range map[string]func(*providers.Object){
		"a pack":     func(o *providers.Object) { o.Key = "r/p/aa/a" },
		"the header": func(o *providers.Object) { o.Key = "offsite.json" },
		"a way out":  func(o *providers.Object) { o.Key = "r/c/../p/a" },
		"no version": func(o *providers.Object) { o.Version = "" },
		"a tag":      func(o *providers.Object) { o.Version = "etag:00" },
		"no lease":   func(o *providers.Object) { o.Lease = time.Time{} },
	} {
		obj := good
		change(&obj)
		if got, err := a.Attack(t.Context(), obj); providers.KindOf(err) != providers.ErrInvalid || len(got) > 0 {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
	if _, err := a.Attack(t.Context(), good); providers.KindOf(err) != providers.ErrUnreachable {
		t.Errorf("a store that is away: %v", err)
	}
}

// With a wrong secret everything is refused, which proves nothing.
func TestAttackWithAnUnknownCredential(t *testing.T) {
	owner, uploader := store(t)
	obj := canary(t, owner)
	uploader.SecretKey = "wrong"
	a, err := s3admin.NewAttacker(t.Context(), uploader)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Attack(t.Context(), obj); providers.KindOf(err) != providers.ErrDenied || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
}
