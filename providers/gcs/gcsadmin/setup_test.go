package gcsadmin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs/gcsadmin"
)

// wrong are the settings that are not right.
func wrong(settings []providers.Setting) []string {
	names := []string{}
	for _, s := range settings {
		if s.State != providers.StateRight {
			names = append(names, s.Name)
		}
	}
	return names
}

func (s *scene) rules() []string {
	s.Helper()
	var b struct {
		Lifecycle struct{ Rule []json.RawMessage }
	}
	check(s, json.Unmarshal([]byte(s.must(owner, http.MethodGet, s.bucketPath(), "")), &b))
	rules := []string{}
	for _, r := range b.Lifecycle.Rule {
		rules = append(rules, string(r))
	}
	return rules
}

const (
	ownRule   = `{"action":{"type":"Delete"},"condition":{"daysSinceCustomTime":1,"matchesPrefix":["north/r/"]}}`
	abortRule = `{"action":{"type":"AbortIncompleteMultipartUpload"},"condition":{"age":3}}`
)

// A bucket that is missing is made, with all its settings; a second setup changes
// nothing and asks for nothing but a look.
func TestSetupMakesTheBucket(t *testing.T) {
	s := newScene(t, "north")
	a := s.admin(admin)
	settings, err := a.Audit(t.Context())
	if err != nil || len(settings) != 1 || settings[0].State != providers.StateWrong || settings[0].Have != "missing" {
		t.Fatalf("audit of a missing bucket: %+v, %v", settings, err)
	}
	s.setUp()
	if got := s.rules(); !slices.Equal(got, []string{ownRule, abortRule}) {
		t.Errorf("rules %q", got)
	}
	var b struct {
		Location         string
		IamConfiguration struct {
			UniformBucketLevelAccess struct{ Enabled bool }
			PublicAccessPrevention   string
		}
		RetentionPolicy struct {
			RetentionPeriod string
			IsLocked        bool
		}
		SoftDeletePolicy struct{ RetentionDurationSeconds string }
	}
	check(t, json.Unmarshal([]byte(s.must(owner, http.MethodGet, s.bucketPath(), "")), &b))
	if b.Location != "EUROPE-WEST3" || !b.IamConfiguration.UniformBucketLevelAccess.Enabled || b.IamConfiguration.PublicAccessPrevention != "enforced" ||
		b.RetentionPolicy.RetentionPeriod != "1209600" || b.RetentionPolicy.IsLocked || b.SoftDeletePolicy.RetentionDurationSeconds != "604800" {
		t.Errorf("made: %+v", b)
	}
	before := s.layer.Requests()
	s.setUp()
	after := s.layer.Requests()
	if after["buckets.patch"] != before["buckets.patch"] || after["buckets.get"] != before["buckets.get"]+1 {
		t.Errorf("a second setup asked for %v, before %v", after, before)
	}
}

func TestSetupNeedsAProjectAndALocation(t *testing.T) {
	s := newScene(t, "north")
	a, err := gcsadmin.Open(t.Context(), gcsadmin.Config{Store: s.config(admin)})
	check(t, err)
	defer a.Close()
	if _, err := a.Setup(t.Context()); providers.KindOf(err) != providers.ErrInvalid || !strings.Contains(err.Error(), "project") {
		t.Errorf("setup without a project: %v", err)
	}
}

func TestPeriodsOutOfOrderAreRefused(t *testing.T) {
	for _, c := range []gcsadmin.Config{{Floor: time.Hour}, {Floor: -day}, {Floor: 30 * day, Max: 20 * day}, {Floor: day + time.Millisecond}} {
		c.Store.Bucket, c.Store.Anonymous = "b", true
		if _, err := gcsadmin.Open(t.Context(), c); providers.KindOf(err) != providers.ErrInvalid {
			t.Errorf("%v to %v: %v", c.Floor, c.Max, err)
		}
	}
}

// What others have set stays, byte for byte, also what this program knows nothing of.
func TestSetupMerges(t *testing.T) {
	s := newScene(t, "north")
	s.setUp()
	foreign := `{"action":{"type":"Delete"},"condition":{"age":30,"matchesPrefix":["south/"],"matchesSuffix":[".tmp"]}}`
	cold := `{"action":{"storageClass":"NEARLINE","type":"SetStorageClass"},"condition":{"matchesStorageClass":["STANDARD"],"somethingNew":7}}`
	s.must(owner, http.MethodPatch, s.bucketPath(), `{"lifecycle":{"rule":[`+foreign+`,`+cold+`]},"labels":{"cost":"practice"},`+
		`"versioning":{"enabled":true},"defaultEventBasedHold":true,"retentionPolicy":{"retentionPeriod":"2592000"},`+
		`"softDeletePolicy":{"retentionDurationSeconds":"1209600"},"iamConfiguration":{"publicAccessPrevention":"inherited"}}`)
	a := s.admin(admin)
	settings, err := a.Audit(t.Context())
	check(t, err)
	if got := wrong(settings); !slices.Equal(got, []string{"public access", "versioning", "hold on new objects", "removal rule", "abandoned uploads"}) {
		t.Errorf("wrong before: %q", got)
	}
	for _, one := range settings {
		if one.State == providers.StateWrong && one.Remedy == "" {
			t.Errorf("no remedy for %+v", one)
		}
	}
	settings, err = a.Setup(t.Context())
	check(t, err)
	if got := wrong(settings); len(got) != 0 {
		t.Errorf("wrong afterwards: %q", got)
	}
	if got := s.rules(); !slices.Equal(got, []string{foreign, cold, ownRule, abortRule}) {
		t.Errorf("rules\n%s", strings.Join(got, "\n"))
	}
	text := s.must(owner, http.MethodGet, s.bucketPath(), "")
	for _, kept := range []string{`"cost":"practice"`, `"retentionPeriod":"2592000"`, `"retentionDurationSeconds":"1209600"`} {
		if !strings.Contains(text, kept) {
			t.Errorf("lost %s", kept)
		}
	}
}

// Two who change the bucket at once both succeed.
func TestSetupBesideAnotherAdministrator(t *testing.T) {
	s := newScene(t, "north")
	s.setUp()
	foreign := `{"action":{"type":"Delete"},"condition":{"age":30,"matchesPrefix":["south/"]}}`
	s.must(owner, http.MethodPatch, s.bucketPath(), `{"lifecycle":{"rule":[]}}`)
	others := 0
	s.between = func(r *http.Request) {
		if r.Method == http.MethodPatch && others == 0 {
			others++
			s.must(owner, http.MethodPatch, s.bucketPath(), `{"lifecycle":{"rule":[`+foreign+`]}}`)
		}
	}
	settings, err := s.admin(admin).Setup(t.Context())
	check(t, err)
	if got := wrong(settings); len(got) != 0 || others != 1 {
		t.Errorf("wrong afterwards: %q, after %d changes of another", got, others)
	}
	if got := s.rules(); !slices.Equal(got, []string{foreign, ownRule, abortRule}) {
		t.Errorf("rules %q", got)
	}
}

// What no setup may change is told: rules of others that eat, and a period that is too long.
func TestAuditFindsWhatCouldEatData(t *testing.T) {
	rule := func(condition string) string {
		return `{"lifecycle":{"rule":[` + ownRule + `,` + abortRule + `,{"action":{"type":"Delete"},"condition":` + condition + `}]}}`
	}
	for name, c := range map[string]struct {
		patch string
		want  []string
	}{
		"age of everything":             {rule(`{"age":400}`), []string{"other rules"}},
		"age below the store":           {rule(`{"age":400,"matchesPrefix":["north/r/p/"]}`), []string{"other rules"}},
		"age above the store":           {rule(`{"age":400,"matchesPrefix":["south/","no"]}`), []string{"other rules"}},
		"age by suffix":                 {rule(`{"age":400,"matchesSuffix":[".age"]}`), []string{"other rules"}},
		"a date before leases end":      {rule(`{"customTimeBefore":"2031-12-31","matchesPrefix":["north/r/"]}`), []string{"other rules"}},
		"customTime, keys as well":      {rule(`{"daysSinceCustomTime":1}`), []string{"other rules"}},
		"customTime of keys":            {rule(`{"daysSinceCustomTime":1,"matchesPrefix":["north/r/","north/keys/"]}`), []string{"other rules"}},
		"live objects":                  {rule(`{"isLive":true}`), []string{"other rules"}},
		"no newer version needed":       {rule(`{"numNewerVersions":0}`), []string{"other rules"}},
		"later than ours":               {rule(`{"daysSinceCustomTime":30,"matchesPrefix":["north/r/"]}`), nil},
		"age and lapsed":                {rule(`{"age":1,"daysSinceCustomTime":0,"matchesPrefix":["north/r/"]}`), nil},
		"another practice":              {rule(`{"age":1,"matchesPrefix":["south/","northern/"]}`), nil},
		"old versions":                  {rule(`{"daysSinceNoncurrentTime":1}`), nil},
		"older versions":                {rule(`{"numNewerVersions":2}`), nil},
		"not live":                      {rule(`{"isLive":false}`), nil},
		"another practice, and ours":    {rule(`{"daysSinceCustomTime":1,"matchesPrefix":["north/r/","south/"]}`), nil},
		"removal rule, of any age":      {`{"lifecycle":{"rule":[` + abortRule + `,` + strings.Replace(ownRule, `{"days`, `{"age":0,"days`, 1) + `]}}`, nil},
		"removal rule, only of old":     {`{"lifecycle":{"rule":[` + abortRule + `,` + strings.Replace(ownRule, `{"days`, `{"age":9,"days`, 1) + `]}}`, []string{"removal rule"}},
		"removal rule is gone":          {`{"lifecycle":{"rule":[` + abortRule + `]}}`, []string{"removal rule"}},
		"removal rule reaches further":  {`{"lifecycle":{"rule":[` + abortRule + `,` + strings.Replace(ownRule, "r/", "", 1) + `]}}`, []string{"removal rule", "other rules"}},
		"no rules at all":               {`{"lifecycle":null}`, []string{"removal rule", "abandoned uploads"}},
		"retention too short":           {`{"retentionPolicy":{"retentionPeriod":"86400"}}`, []string{"retention period"}},
		"no retention":                  {`{"retentionPolicy":null}`, []string{"retention period"}},
		"retention beyond every lease":  {`{"retentionPolicy":{"retentionPeriod":"3155760000"}}`, []string{"retention period"}},
		"no soft delete":                {`{"softDeletePolicy":{"retentionDurationSeconds":"0"}}`, []string{"soft delete"}},
		"access by lists, and versions": {`{"iamConfiguration":{"uniformBucketLevelAccess":{"enabled":false}},"versioning":{"enabled":true}}`, []string{"uniform access", "versioning"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "north")
			s.setUp()
			s.must(owner, http.MethodPatch, s.bucketPath(), c.patch)
			settings, err := s.admin(admin).Audit(t.Context())
			check(t, err)
			if got := wrong(settings); !slices.Equal(got, append([]string{}, c.want...)) {
				t.Errorf("wrong: %q, want %q", got, c.want)
			}
		})
	}
}

// Whoever may not look is told so; that is no error.
func TestAuditUnseen(t *testing.T) {
	s := newScene(t, "")
	s.setUp()
	for _, token := range []string{uploadToken, manager, restorer, emergency} {
		settings, err := s.admin(token).Audit(t.Context())
		check(t, err)
		if len(settings) < 9 {
			t.Errorf("%s: %d settings", token, len(settings))
		}
		for _, one := range settings {
			if one.State != providers.StateUnseen {
				t.Errorf("%s sees %+v", token, one)
			}
		}
		if _, err := s.admin(token).Setup(t.Context()); providers.KindOf(err) != providers.ErrDenied {
			t.Errorf("%s: setup: %v", token, err)
		}
	}
}
