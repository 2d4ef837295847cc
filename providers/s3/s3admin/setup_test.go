package s3admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

func foreignRule(id, prefix string, days int32) types.LifecycleRule {
	return types.LifecycleRule{ID: &id, Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: &prefix},
		Expiration: &types.LifecycleExpiration{Days: &days}}
}

func setRules(t *testing.T, cfg s3.Config, rules ...types.LifecycleRule) {
	t.Helper()
	_, err := client(cfg).PutBucketLifecycleConfiguration(t.Context(), &sdk.PutBucketLifecycleConfigurationInput{Bucket: &cfg.Bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: rules}})
	if err != nil {
		t.Fatal(err)
	}
}

// Setup makes the bucket, keeps what others set, and changes nothing the second time.
func TestSetup(t *testing.T) {
	cfg := onCeph(t)
	cfg.Prefix = "practice"
	_, arn := cephUser(t, cfg, providers.RoleUploader)
	a := open(t, s3admin.Config{Store: cfg, Floor: 3 * day, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Max: 100 * day, Split: true, Users: map[providers.Role]string{providers.RoleUploader: arn}}})
	settings, err := a.Audit(t.Context())
	if err != nil || len(settings) != 1 || settings[0].State != providers.StateWrong {
		t.Fatalf("a missing bucket: %v\n%s", err, table(settings))
	}
	for range 2 {
		if settings, err = a.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range settings {
			if s.State != providers.StateRight || s.Remedy != "" {
				t.Errorf("after setup:\n%s", table(settings))
			}
		}
	}
	// Others come, and setup leaves them alone.
	c := client(cfg)
	rules, err := c.GetBucketLifecycleConfiguration(t.Context(), &sdk.GetBucketLifecycleConfigurationInput{Bucket: &cfg.Bucket})
	if err != nil || len(rules.Rules) != 1 {
		t.Fatalf("%v rules, %v", rules, err)
	}
	setRules(t, cfg, foreignRule("logs", "logs/", 3))
	policy, err := c.GetBucketPolicy(t.Context(), &sdk.GetBucketPolicyInput{Bucket: &cfg.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	theirs := `{"Version":"2012-10-17","Statement":{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"s3:GetBucketLocation","Resource":"arn:aws:s3:::` + cfg.Bucket + `"}}`
	if _, err := c.PutBucketPolicy(t.Context(), &sdk.PutBucketPolicyInput{Bucket: &cfg.Bucket, Policy: &theirs}); err != nil {
		t.Fatal(err)
	}
	if settings, err = a.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if s.State != providers.StateRight {
			t.Errorf("beside others:\n%s", table(settings))
		}
	}
	if rules, err = c.GetBucketLifecycleConfiguration(t.Context(), &sdk.GetBucketLifecycleConfigurationInput{Bucket: &cfg.Bucket}); err != nil || len(rules.Rules) != 2 {
		t.Errorf("%d rules, %v", len(rules.Rules), err)
	}
	merged, err := c.GetBucketPolicy(t.Context(), &sdk.GetBucketPolicyInput{Bucket: &cfg.Bucket})
	if err != nil || !strings.Contains(*merged.Policy, "Theirs") || strings.Count(*merged.Policy, "Sid") != strings.Count(*policy.Policy, "Sid")+1 {
		t.Errorf("policy %s, %v", aws.ToString(merged.Policy), err)
	}
}

// Every drift from what the bucket must be is seen, and setup repairs all but what is
// somebody else's.
func TestDrift(t *testing.T) {
	cfg := onCeph(t)
	_, arn := cephUser(t, cfg, providers.RoleUploader)
	a := open(t, s3admin.Config{Store: cfg, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Max: 400 * day, Split: true, Users: map[providers.Role]string{providers.RoleUploader: arn}}})
	if _, err := a.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := client(cfg)
	retain := func(rule *types.ObjectLockRule) error {
		_, err := c.PutObjectLockConfiguration(t.Context(), &sdk.PutObjectLockConfigurationInput{Bucket: &cfg.Bucket,
			ObjectLockConfiguration: &types.ObjectLockConfiguration{ObjectLockEnabled: types.ObjectLockEnabledEnabled, Rule: rule}})
		return err
	}
	mode := func(m types.ObjectLockRetentionMode, days int32) *types.ObjectLockRule {
		return &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: m, Days: &days}}
	}
	ours := func() types.LifecycleRule {
		out, err := c.GetBucketLifecycleConfiguration(t.Context(), &sdk.GetBucketLifecycleConfigurationInput{Bucket: &cfg.Bucket})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.Rules {
			if *r.ID == s3admin.RuleID {
				return r
			}
		}
		t.Fatal("the removal rule is missing")
		panic("unreachable")
	}
	policy := func(statement string) error {
		text := `{"Version":"2012-10-17","Statement":[` + strings.ReplaceAll(statement, "BUCKET", cfg.Bucket) + `]}`
		_, err := c.PutBucketPolicy(t.Context(), &sdk.PutBucketPolicyInput{Bucket: &cfg.Bucket, Policy: &text})
		return err
	}
	for _, d := range []struct {
		what, setting string
		drift         func() error
		repaired      bool
	}{
		{"default retention gone", "default retention", func() error { return retain(nil) }, true},
		{"default retention too short", "default retention", func() error { return retain(mode(types.ObjectLockRetentionModeGovernance, 13)) }, true},
		{"default retention beyond the longest lease", "default retention", func() error { return retain(mode(types.ObjectLockRetentionModeGovernance, 500)) }, true},
		{"default retention in compliance mode", "default retention", func() error { return retain(mode(types.ObjectLockRetentionModeCompliance, 14)) }, true},
		{"removal rule gone", "removal rule", func() error {
			_, err := c.DeleteBucketLifecycle(t.Context(), &sdk.DeleteBucketLifecycleInput{Bucket: &cfg.Bucket})
			return err
		}, true},
		{"removal rule switched off", "removal rule", func() error { r := ours(); r.Status = types.ExpirationStatusDisabled; setRules(t, cfg, r); return nil }, true},
		{"removal rule for everything", "removal rule", func() error { r := ours(); r.Filter.Prefix = ptr(""); setRules(t, cfg, r); return nil }, true},
		{"removal rule for tagged objects", "removal rule", func() error {
			r := ours()
			r.AbortIncompleteMultipartUpload = nil // no service takes both
			r.Filter = &types.LifecycleRuleFilter{And: &types.LifecycleRuleAndOperator{Prefix: ptr("r/"), Tags: []types.Tag{{Key: ptr("a"), Value: ptr("b")}}}}
			setRules(t, cfg, r)
			return nil
		}, true},
		{"removal rule with other days", "removal rule", func() error { r := ours(); r.Expiration.Days = ptr(int32(700)); setRules(t, cfg, r); return nil }, true},
		{"foreign rule for everything", "foreign rules", func() error { setRules(t, cfg, ours(), foreignRule("tidy", "", 30)); return nil }, false},
		{"foreign rule below the keys", "foreign rules", func() error { setRules(t, cfg, ours(), foreignRule("tidy", "keys/", 30)); return nil }, false},
		{"foreign rule for hidden versions", "foreign rules", func() error {
			r := foreignRule("tidy", "", 30)
			r.Expiration, r.NoncurrentVersionExpiration = nil, &types.NoncurrentVersionExpiration{NoncurrentDays: ptr(int32(30))}
			setRules(t, cfg, ours(), r)
			return nil
		}, false},
		{"no policy", "bucket policy", func() error {
			_, err := c.DeleteBucketPolicy(t.Context(), &sdk.DeleteBucketPolicyInput{Bucket: &cfg.Bucket})
			return err
		}, true},
		{"policy weakened", "bucket policy", func() error {
			return policy(`{"Sid":"OffsiteNoHarmToObjectsUploader","Effect":"Deny","Principal":{"AWS":["` + arn + `"]},"Action":["s3:DeleteObject"],"Resource":["arn:aws:s3:::BUCKET/*"]}`)
		}, true},
		{"foreign grant", "foreign grants", func() error {
			return policy(`{"Sid":"Friend","Effect":"Allow","Principal":{"AWS":["` + arn + `"]},"Action":["s3:Delete*"],"Resource":["arn:aws:s3:::BUCKET/*"]}`)
		}, false},
	} {
		if err := d.drift(); err != nil {
			t.Fatalf("%s: %v", d.what, err)
		}
		settings, err := a.Audit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range settings {
			if s.Name == d.setting && (s.State != providers.StateWrong || s.Remedy == "") {
				t.Errorf("%s: %+v", d.what, s)
			}
		}
		if settings, err = a.Setup(t.Context()); err != nil {
			t.Fatalf("%s: setup: %v", d.what, err)
		}
		if got := state(t, settings, d.setting) == providers.StateRight; got != d.repaired {
			t.Errorf("%s: after setup right %v, want %v:\n%s", d.what, got, d.repaired, table(settings))
		}
	}
}

// Rules of others that cannot touch the store are no reason to worry.
func TestHarmlessForeignRules(t *testing.T) {
	cfg := onCeph(t)
	cfg.Prefix = "practice"
	a := open(t, s3admin.Config{Store: cfg, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true}})
	if _, err := a.Setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	off := foreignRule("off", "", 1)
	off.Status = types.ExpirationStatusDisabled
	tagged := foreignRule("tagged", "", 1)
	tagged.Filter = &types.LifecycleRuleFilter{Tag: &types.Tag{Key: ptr("a"), Value: ptr("b")}}
	parts := foreignRule("parts", "", 1)
	parts.Expiration, parts.AbortIncompleteMultipartUpload = nil, &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: ptr(int32(1))}
	setRules(t, cfg, off, tagged, parts, foreignRule("elsewhere", "practices/", 1))
	settings, err := a.Setup(t.Context())
	if err != nil || state(t, settings, "foreign rules") != providers.StateRight || state(t, settings, "removal rule") != providers.StateRight {
		t.Errorf("%v\n%s", err, table(settings))
	}
}

// What a credential may not see is no error; a credential that nobody knows is one.
func TestAuditWithLittleRights(t *testing.T) {
	_, uploader := store(t)
	a := open(t, s3admin.Config{Store: uploader, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true}})
	settings, err := a.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state(t, settings, "versioning") != providers.StateRight || state(t, settings, "removal rule") != providers.StateRight || state(t, settings, "default retention") != providers.StateRight {
		t.Errorf("the uploader may look, and sees\n%s", table(settings))
	}
	if state(t, settings, "bucket policy") != providers.StateUnseen {
		t.Errorf("the uploader may not look, and sees\n%s", table(settings))
	}
	uploader.SecretKey = "wrong"
	a = open(t, s3admin.Config{Store: uploader, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true}})
	if settings, err := a.Audit(t.Context()); providers.KindOf(err) != providers.ErrDenied {
		t.Errorf("a wrong secret: %v\n%s", err, table(settings))
	}
	if _, err := a.Setup(t.Context()); providers.KindOf(err) != providers.ErrDenied {
		t.Errorf("setup with a wrong secret: %v", err)
	}
}

// A service without lifecycle rules is told to sweep; the rest is set up.
func TestServiceWithoutLifecycleRules(t *testing.T) {
	cfg := onGateway(t)
	a := open(t, s3admin.Config{Store: cfg})
	settings, err := a.Setup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		want := providers.StateRight
		switch s.Name {
		case "removal rule":
			want = providers.StateWrong
			if !strings.Contains(s.Remedy, "sweep") {
				t.Errorf("remedy %q", s.Remedy)
			}
		case "public access":
			want = providers.StateUnseen
		}
		if s.State != want {
			t.Errorf("%s is %s, want %s:\n%s", s.Name, s.State, want, table(settings))
		}
	}
}

// A bucket of old times has neither versions nor a lock.
func TestBucketWithoutLock(t *testing.T) {
	for name, cfg := range map[string]s3.Config{"ceph": onCeph(t), "gateway": onGateway(t)} {
		if _, err := client(cfg).CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: &cfg.Bucket}); err != nil {
			t.Fatal(err)
		}
		a := open(t, s3admin.Config{Store: cfg, Policy: s3admin.PolicyConfig{Service: s3admin.Ceph, Split: true}})
		settings, err := a.Audit(t.Context())
		if err != nil || state(t, settings, "versioning") != providers.StateWrong || state(t, settings, "object lock") != providers.StateWrong {
			t.Errorf("%s: %v\n%s", name, err, table(settings))
		}
		settings, err = a.Setup(t.Context())
		t.Logf("%s: %v", name, err)
		if err != nil && !strings.Contains(err.Error(), "object lock") {
			t.Errorf("%s: %v does not say what is wrong", name, err)
		}
		if err == nil && state(t, settings, "object lock") != providers.StateRight {
			t.Errorf("%s:\n%s", name, table(settings))
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := s3admin.Config{Store: s3.Config{Bucket: "b", Region: "eu-central-1", AccessKey: "a", SecretKey: "b", Lock: true}, Policy: s3admin.PolicyConfig{Max: 400 * day}}
	if _, err := s3admin.Open(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*s3admin.Config){
		"object lock":       func(c *s3admin.Config) { c.Store.Lock = false },
		"at least one day":  func(c *s3admin.Config) { c.Floor = time.Hour },
		"shorter than":      func(c *s3admin.Config) { c.Floor = 500 * day },
		"longest lease is":  func(c *s3admin.Config) { c.Policy.Max = 0 },
		"bucket is missing": func(c *s3admin.Config) { c.Store.Bucket = "" },
	} {
		c := good
		change(&c)
		if _, err := s3admin.Open(t.Context(), c); providers.KindOf(err) != providers.ErrInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }
