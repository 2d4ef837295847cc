package azureadmin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/azureadmin"
)

var update = flag.Bool("update", false, "write the documents below examples/policies/azure")

const examples = "../../../examples/policies/azure"

// practice is what the documents below examples are for.
var practice = azureadmin.PolicyConfig{Subscription: "00000000-0000-0000-0000-000000000000", ResourceGroup: "practice", Account: "practicebackup",
	Container: "offsite", Leases: azure.LeaseManaged}

// The documents below examples are those that the program prints, all of them and no
// others.
func TestExamplesAreWhatIsPrinted(t *testing.T) {
	var want []string
	for _, role := range providers.Roles() {
		docs, err := azureadmin.Policies(role, practice)
		if err != nil || len(docs) == 0 {
			t.Fatalf("%s: %d documents, %v", role, len(docs), err)
		}
		for _, d := range docs {
			want = append(want, d.Name)
			file := filepath.Join(examples, d.Name)
			if *update {
				if err := os.WriteFile(file, d.Text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			have, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(have, d.Text) {
				t.Errorf("%s differs from what is printed (%v); run this test with -update", d.Name, err)
			}
			if d.Use == "" {
				t.Errorf("%s: nobody says what it is for", d.Name)
			}
		}
	}
	entries, err := os.ReadDir(examples)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "README.md" && !slices.Contains(want, e.Name()) {
			t.Errorf("%s is not printed by anything", e.Name())
		}
	}
}

// What each role may do at most. Whoever adds a right has to write it here too.
func TestRolesHaveLeastRights(t *testing.T) {
	const blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"
	for role, want := range map[providers.Role][]string{
		providers.RoleUploader: {blobs + "read", blobs + "add/action"},
		providers.RoleManager:  {blobs + "read", blobs + "immutableStorage/runAsSuperUser/action"},
		providers.RoleRestore:  {blobs + "read"},
		providers.RoleAdmin:    {},
	} {
		docs, err := azureadmin.Policies(role, practice)
		if err != nil {
			t.Fatal(err)
		}
		var d struct {
			IsCustom                                         bool
			Actions, NotActions, DataActions, NotDataActions []string
			AssignableScopes                                 []string
		}
		if err := json.Unmarshal(docs[0].Text, &d); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.DataActions, want) || d.Actions == nil || d.DataActions == nil || d.NotActions == nil || !d.IsCustom || len(d.AssignableScopes) != 1 {
			t.Errorf("%s: %s", role, docs[0].Text)
		}
		for _, a := range d.Actions {
			if role != providers.RoleAdmin || strings.Contains(a, "*") || strings.Contains(strings.ToLower(a), "delete") || strings.Contains(strings.ToLower(a), "listkeys") {
				t.Errorf("%s may %s", role, a)
			}
		}
	}
}

func TestPoliciesRefuseWhatTheyCannotName(t *testing.T) {
	for name, c := range map[string]azureadmin.PolicyConfig{
		"nothing":   {},
		"container": {Subscription: "s", ResourceGroup: "g", Account: "a", Container: `b" || rm -rf`},
		"group":     {Subscription: "s", ResourceGroup: "../g", Account: "a", Container: "b"},
	} {
		if _, err := azureadmin.Policies(providers.RoleUploader, c); providers.KindOf(err) != providers.ErrInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := azureadmin.Policies("owner", practice); providers.KindOf(err) != providers.ErrInvalid {
		t.Errorf("unknown role: %v", err)
	}
	byAccess := practice
	byAccess.Leases = azure.LeaseLastAccess
	if docs, err := azureadmin.Policies(providers.RoleManager, byAccess); err != nil || len(docs) != 0 {
		t.Errorf("by last access nobody needs a manager: %d documents, %v", len(docs), err)
	}
}
