package s3admin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

var update = flag.Bool("update", false, "write the examples anew")

const day = 24 * time.Hour

// examples are the policies that lie in examples/policies, with names to be replaced.
// The longest lease is seven fiscal years and two weeks.
func examples() []s3admin.PolicyConfig {
	all := []s3admin.PolicyConfig{
		{Service: s3admin.AWS, Admins: []string{"arn:aws:iam::111122223333:role/offsite-admin"}},
		{Service: s3admin.Wasabi, Admins: []string{"arn:aws:iam::111122223333:user/offsite-admin"}},
		{Service: s3admin.MinIO},
		{Service: s3admin.B2, Split: true},
	}
	for i := range all {
		all[i].Bucket, all[i].Prefix, all[i].Max = "practice-backup", "offsite", (7*366+14)*day
	}
	return all
}

func TestExamplesAreWhatIsPrinted(t *testing.T) {
	for _, c := range examples() {
		dir := filepath.Join("..", "..", "..", "examples", "policies", string(c.Service))
		files := map[string][]byte{}
		var page bytes.Buffer
		fmt.Fprintf(&page, "# Policies for %s\n\nWhat `offsite store policy` prints for the bucket `%s` and the prefix `%s`; put your own names in their place.\n"+
			"Leases are at most %d days long: seven fiscal years and two weeks.\n\n", titles[c.Service], c.Bucket, c.Prefix, int(c.Max/day))
		for _, role := range providers.Roles() {
			docs, err := s3admin.Policies(role, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range docs {
				files[d.Name] = d.Text
				fmt.Fprintf(&page, "- `%s` (%s): %s\n", d.Name, role, d.Use)
			}
		}
		page.WriteString(notes[c.Service])
		files["README.md"] = page.Bytes()
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range files {
			file := filepath.Join(dir, name)
			if *update {
				if err := os.WriteFile(file, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
				t.Errorf("%s is not what is printed (%v); go test ./providers/s3/s3admin -run Examples -update", file, err)
			}
		}
		there, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range there {
			if files[e.Name()] == nil {
				t.Errorf("%s/%s is printed by nobody", dir, e.Name())
			}
		}
	}
}

var titles = map[s3admin.Service]string{s3admin.AWS: "Amazon S3", s3admin.Wasabi: "Wasabi", s3admin.MinIO: "MinIO", s3admin.B2: "Backblaze B2"}

// notes say what the policies of a service cannot do.
var notes = map[s3admin.Service]string{
	s3admin.AWS: `
The uploader creates and never writes over: every put must carry If-None-Match. It may therefore also found the store
(header and keys). Replacing a header or taking a recovery holder away needs the administrator.
`,
	s3admin.Wasabi: `
The service is not known to offer a condition on If-None-Match, so the uploader writes below ` + "`r/`" + ` alone: found the store, and let
PCs join, with the administrator's credential. ` + "`offsite store check`" + ` shows whether the limit on leases is enforced.
`,
	s3admin.MinIO: `
The limit on leases does not see those that come with a put, so puts with a lease are refused: set ` + "`lease_after_put`" + ` in the
driver's configuration. The uploader writes below ` + "`r/`" + ` alone: found the store, and let PCs join, with the administrator's credential.
`,
	s3admin.B2: `
Keys there have no conditions. Nothing limits the length of a lease but the service's 3,000 days, so the uploader may not
raise leases: a manager on another machine does. Who may write may also hide; readers pin versions, so that harms nobody.
`,
}

type document struct {
	Statement []struct {
		Sid, Effect      string
		Action, Resource []string
		Condition        map[string]map[string]any
	}
}

// allowed are the actions that the documents of a role allow.
func allowed(t *testing.T, role providers.Role, c s3admin.PolicyConfig) []string {
	t.Helper()
	docs, err := s3admin.Policies(role, c)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range docs {
		var p document
		if d.Name == "lifecycle.json" || json.Unmarshal(d.Text, &p) != nil {
			continue
		}
		for _, s := range p.Statement {
			if s.Effect == "Allow" {
				out = append(out, s.Action...)
			}
		}
	}
	return out
}

// Nobody but the administrator may do anything that takes data or protection away,
// and not even the administrator deletes.
func TestNoRoleDeletes(t *testing.T) {
	for _, c := range examples() {
		for _, role := range providers.Roles() {
			docs, err := s3admin.Policies(role, c)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range docs {
				for _, word := range []string{"deleteFiles", "bypassGovernance", "deleteBuckets", "writeKeys", "writeFileLegalHolds"} {
					if strings.Contains(string(d.Text), `"`+word+`"`) {
						t.Errorf("%s: %s grants %s", c.Service, d.Name, word)
					}
				}
			}
			for _, a := range allowed(t, role, c) {
				harmful := strings.Contains(a, "Delete") || strings.Contains(a, "Bypass") || strings.Contains(a, "*") || strings.Contains(a, "Tagging") || strings.Contains(a, "Acl")
				setting := strings.HasPrefix(a, "s3:Put") && a != "s3:PutObject" && a != "s3:PutObjectRetention"
				if harmful || setting && role != providers.RoleAdmin {
					t.Errorf("%s: the %s may %s", c.Service, role, a)
				}
			}
		}
		restore := allowed(t, providers.RoleRestore, c)
		if slices.ContainsFunc(restore, func(a string) bool { return strings.HasPrefix(a, "s3:Put") }) {
			t.Errorf("%s: who restores may write: %q", c.Service, restore)
		}
	}
}

// A split takes the raising of leases from the uploader and from nobody else.
func TestSplit(t *testing.T) {
	for _, c := range examples() {
		if c.Service == s3admin.B2 {
			continue
		}
		for _, split := range []bool{false, true} {
			c.Split = split
			if slices.Contains(allowed(t, providers.RoleUploader, c), "s3:PutObjectRetention") == split {
				t.Errorf("%s, split %v: the uploader raises leases: %v", c.Service, split, !split)
			}
			if !slices.Contains(allowed(t, providers.RoleManager, c), "s3:PutObjectRetention") {
				t.Errorf("%s: the manager raises no leases", c.Service)
			}
		}
	}
	b2 := examples()[3]
	for _, split := range []bool{false, true} {
		b2.Split = split
		docs, err := s3admin.Policies(providers.RoleUploader, b2)
		if err != nil || strings.Contains(string(docs[0].Text), "writeFileRetentions") == split {
			t.Errorf("b2, split %v: %s, %v", split, docs[0].Text, err)
		}
	}
}

// Conditions of one statement must all hold, so a refusal has one alone.
func TestRefusalsHaveOneCondition(t *testing.T) {
	for _, compliance := range []bool{false, true} {
		c := examples()[0]
		c.Compliance = compliance
		docs, err := s3admin.Policies(providers.RoleAdmin, c)
		if err != nil {
			t.Fatal(err)
		}
		var p document
		if err := json.Unmarshal(docs[1].Text, &p); err != nil || docs[1].Name != "bucket-policy.json" {
			t.Fatal(docs[1].Name, err)
		}
		var names []string
		for _, s := range p.Statement {
			names = append(names, s.Sid)
			keys := 0
			for _, operator := range s.Condition {
				keys += len(operator)
			}
			if s.Effect != "Deny" || keys != 1 {
				t.Errorf("%s: effect %s, %d conditions", s.Sid, s.Effect, keys)
			}
		}
		want := []string{"OffsiteLongestLease", "OffsiteNoCompliance", "OffsiteNoEventHold", "OffsiteNoCustomerKey", "OffsiteEncryptedLine", "OffsiteNoHarmToObjects", "OffsiteNoHarmToBucket"}
		if compliance {
			want = slices.Delete(want, 1, 2)
		}
		if !slices.Equal(names, want) {
			t.Errorf("compliance %v: statements %q, want %q", compliance, names, want)
		}
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	good := examples()[0]
	for want, change := range map[string]func(*s3admin.PolicyConfig){
		"bucket is missing":    func(c *s3admin.PolicyConfig) { c.Bucket = "" },
		"longest lease":        func(c *s3admin.PolicyConfig) { c.Max = 0 },
		"is none of":           func(c *s3admin.PolicyConfig) { c.Service = "azure" },
		"nothing is known":     func(c *s3admin.PolicyConfig) { c.Service = s3admin.Other },
		"set split":            func(c *s3admin.PolicyConfig) { c.Service = s3admin.Ceph },
		"principal of the rol": func(c *s3admin.PolicyConfig) { c.Service, c.Split = s3admin.Ceph, true },
	} {
		c := good
		change(&c)
		if _, err := s3admin.Policies(providers.RoleUploader, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestServicesAreKnownByTheirAddresses(t *testing.T) {
	for endpoint, want := range map[string]s3admin.Service{
		"": s3admin.AWS, "https://s3.eu-central-1.amazonaws.com": s3admin.AWS, "https://s3.eu-central-003.backblazeb2.com": s3admin.B2,
		"https://s3.eu-central-2.wasabisys.com:443": s3admin.Wasabi, "https://minio.example:9000": s3admin.Other, "https://notwasabisys.com": s3admin.Other,
	} {
		if got := s3admin.ServiceOf(s3.Config{Endpoint: endpoint}); got != want {
			t.Errorf("%q is %s, want %s", endpoint, got, want)
		}
	}
}
