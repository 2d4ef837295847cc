package gcsadmin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"offsite/providers"
	"offsite/providers/gcs/gcsadmin"
)

var update = flag.Bool("update", false, "write the example files anew")

const examples = "../../../examples/policies/gcs"

// The files in examples/policies/gcs are what the program prints with its placeholders.
func TestExamplesAreWhatIsPrinted(t *testing.T) {
	want := map[string][]byte{}
	var page strings.Builder
	page.WriteString("# Google Cloud Storage: who may do what\n\nPrinted by `offsite store policy`, with placeholders for the project and the bucket.\n\n| file | use |\n| --- | --- |\n")
	for _, role := range providers.Roles() {
		docs, err := gcsadmin.Policies(role, gcsadmin.PolicyConfig{})
		check(t, err)
		for _, d := range docs {
			if old, again := want[d.Name]; again {
				if !bytes.Equal(old, d.Text) {
					t.Errorf("%s is printed in two ways", d.Name)
				}
				continue
			}
			want[d.Name] = d.Text
			fmt.Fprintf(&page, "| %s | %s |\n", d.Name, d.Use)
		}
	}
	want["README.md"] = []byte(page.String())
	if *update {
		check(t, os.MkdirAll(examples, 0o755))
		for name, text := range want {
			check(t, os.WriteFile(filepath.Join(examples, name), text, 0o644))
		}
	}
	there, err := os.ReadDir(examples)
	check(t, err)
	for _, e := range there {
		text, err := os.ReadFile(filepath.Join(examples, e.Name()))
		check(t, err)
		if !bytes.Equal(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), want[e.Name()]) {
			t.Errorf("%s is not what is printed", e.Name())
		}
		delete(want, e.Name())
	}
	for name := range want {
		t.Errorf("%s is printed and not among the examples", name)
	}
}

// What each credential holds in the end, and nothing more.
func TestPermissionsOfEachRole(t *testing.T) {
	const o = "storage.objects."
	for role, want := range map[providers.Role][]string{
		providers.RoleUploader: {o + "create", o + "get", o + "list", o + "update"},
		providers.RoleManager:  {o + "get", o + "list", o + "update"},
		providers.RoleRestore:  {o + "get", o + "list"},
		providers.RoleAdmin: {"storage.buckets.create", "storage.buckets.get", "storage.buckets.update",
			o + "create", o + "delete", o + "get", o + "list", o + "update"}, // those of objects: emergency alone
	} {
		docs, err := gcsadmin.Policies(role, gcsadmin.PolicyConfig{})
		check(t, err)
		var got []string
		for _, d := range docs {
			if !strings.HasSuffix(d.Name, ".role.yaml") {
				continue
			}
			var file struct {
				IncludedPermissions []string `yaml:"includedPermissions"`
			}
			check(t, yaml.Unmarshal(d.Text, &file))
			got = append(got, file.IncludedPermissions...)
			if d.Name != "offsite-emergency.role.yaml" && slices.Contains(file.IncludedPermissions, o+"delete") {
				t.Errorf("%s can delete", d.Name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s holds %q\nwant %q", role, got, want)
		}
	}
}

func TestConditionsAreOnePractice(t *testing.T) {
	docs, err := gcsadmin.Policies(providers.RoleUploader, gcsadmin.PolicyConfig{Bucket: "b", Prefix: "north/one"})
	check(t, err)
	found := map[string]string{}
	for _, d := range docs {
		if strings.HasSuffix(d.Name, ".condition.json") {
			var c struct{ Title, Description, Expression string }
			check(t, json.Unmarshal(d.Text, &c))
			found[d.Name] = c.Expression
		}
	}
	want := map[string]string{
		"offsite-uploader.condition.json": `resource.name.startsWith("projects/_/buckets/b/objects/north/one/") || ` +
			`api.getAttribute("storage.googleapis.com/objectListPrefix", "").startsWith("north/one/")`,
		"offsite-lease.condition.json": `resource.name.startsWith("projects/_/buckets/b/objects/north/one/r/")`,
	}
	if fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("conditions %q\nwant %q", found, want)
	}
}

func TestPoliciesRefuseWhatWouldEndAWord(t *testing.T) {
	for name, c := range map[string]gcsadmin.PolicyConfig{
		"bucket":        {Bucket: `b" || true || "`},
		"project":       {Project: "p --quiet"},
		"member":        {Member: "user:a; rm -rf ."},
		"prefix":        {Prefix: `p") || resource.name.startsWith("`},
		"flag as name":  {Bucket: "b --role=roles/owner"},
		"line in name":  {Project: "p\nq"},
		"unnamed group": {Member: "allUsers"},
	} {
		if docs, err := gcsadmin.Policies(providers.RoleUploader, c); err == nil {
			t.Errorf("%s: printed %s", name, docs[len(docs)-1].Text)
		}
	}
	if _, err := gcsadmin.Policies("nobody", gcsadmin.PolicyConfig{}); err == nil {
		t.Error("a role that is none was printed")
	}
}

// The roles in examples/terraform/gcs hold what the printed ones hold.
func TestTerraformHasTheSameRoles(t *testing.T) {
	text, err := os.ReadFile("../../../examples/terraform/gcs/roles.tf")
	check(t, err)
	blocks := regexp.MustCompile(`(?s)role_id\s+= "([a-z_]+)"\n\s+title\s+= "([^"]+)"\n\s+description = "([^"]+)"\n\s+permissions = \[(.*?)\]`).FindAllStringSubmatch(string(text), -1)
	seen := 0
	for _, role := range []providers.Role{providers.RoleUploader, providers.RoleRestore} {
		docs, err := gcsadmin.Policies(role, gcsadmin.PolicyConfig{})
		check(t, err)
		for _, d := range docs {
			id, ok := strings.CutSuffix(d.Name, ".role.yaml")
			if !ok {
				continue
			}
			var file struct {
				Title, Description  string
				IncludedPermissions []string `yaml:"includedPermissions"`
			}
			check(t, yaml.Unmarshal(d.Text, &file))
			want := []string{strings.ReplaceAll(id, "-", "_"), file.Title, file.Description, strings.Join(file.IncludedPermissions, " ")}
			found := slices.ContainsFunc(blocks, func(m []string) bool {
				return slices.Equal([]string{m[1], m[2], m[3], strings.Join(strings.Fields(strings.NewReplacer(`"`, "", ",", "").Replace(m[4])), " ")}, want)
			})
			if !found {
				t.Errorf("roles.tf does not have %q", want)
			}
			seen++
		}
	}
	if seen != len(blocks) {
		t.Errorf("%d roles are printed, %d stand in roles.tf", seen, len(blocks))
	}
}
