package azureadmin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"offsite/providers"
	"offsite/providers/azure"
)

// PolicyConfig names what the documents are for.
type PolicyConfig struct {
	Subscription  string
	ResourceGroup string
	Account       string
	Container     string
	Leases        azure.LeaseMode // LeaseLastAccess and LeaseNone need no manager
}

const (
	boxes = "Microsoft.Storage/storageAccounts/blobServices/containers/"
	blobs = boxes + "blobs/"
)

// definition is a role definition as `az role definition create` takes it.
type definition struct {
	Name             string
	IsCustom         bool
	Description      string
	Actions          []string
	NotActions       []string
	DataActions      []string
	NotDataActions   []string
	AssignableScopes []string
}

// rights are what one role may do, and the letters of the SAS that stands for it;
// none: a SAS cannot.
type rights struct {
	description   string
	actions, data []string
	letters, name string
}

// roleRights are the least rights of each role.
var roleRights = map[providers.Role]rights{
	providers.RoleUploader: {
		description: "Creates blobs that are not there yet, reads and lists. Neither overwrites, deletes, tags, re-tiers, locks nor unlocks.",
		data:        []string{blobs + "read", blobs + "add/action"},
		letters:     "rcl", name: "offsite-uploader",
	},
	providers.RoleManager: {
		description: "Reads, and sets immutability policies: it can lock a blob for up to 400 years, so it belongs on another machine than the uploader's.",
		data:        []string{blobs + "read", blobs + "immutableStorage/runAsSuperUser/action"},
		letters:     "rli", name: "offsite-manager",
	},
	providers.RoleRestore: {
		description: "Reads and lists. Changes nothing.",
		data:        []string{blobs + "read"},
		letters:     "rl", name: "offsite-restore",
	},
	providers.RoleAdmin: {
		description: "Sets up the account, the container, its default retention and the removal rule, and looks at them. Reads no blob and no key of the account.",
		actions: []string{
			"Microsoft.Storage/storageAccounts/read", "Microsoft.Storage/storageAccounts/write",
			"Microsoft.Storage/storageAccounts/blobServices/read", "Microsoft.Storage/storageAccounts/blobServices/write",
			boxes + "read", boxes + "write",
			boxes + "immutabilityPolicies/read", boxes + "immutabilityPolicies/write",
			boxes + "immutabilityPolicies/extend/action", boxes + "immutabilityPolicies/lock/action",
			"Microsoft.Storage/storageAccounts/managementPolicies/read", "Microsoft.Storage/storageAccounts/managementPolicies/write",
			"Microsoft.Storage/storageAccounts/storageTaskAssignments/read",
		},
	},
}

// Policies are the least-privilege documents of a role: a role definition, and for
// those who work with blobs the commands that make a SAS instead.
func Policies(role providers.Role, c PolicyConfig) ([]providers.Document, error) {
	r, ok := roleRights[role]
	switch {
	case !ok:
		return nil, fail("print policies", providers.ErrInvalid, fmt.Errorf("unknown role %q", role))
	case !plain(c.Subscription) || !plain(c.ResourceGroup) || !plain(c.Account) || !plain(c.Container):
		return nil, fail("print policies", providers.ErrInvalid, errors.New("subscription, resource group, account and container are needed"))
	case role == providers.RoleManager && (c.Leases == azure.LeaseLastAccess || c.Leases == azure.LeaseNone):
		return nil, nil // nobody needs this right then
	}
	group := "/subscriptions/" + c.Subscription + "/resourceGroups/" + c.ResourceGroup
	scope := group + "/providers/Microsoft.Storage/storageAccounts/" + c.Account
	if role != providers.RoleAdmin {
		scope += "/blobServices/default/containers/" + c.Container
	}
	name := "offsite " + string(role) + " " + c.Account + " " + c.Container
	text, err := encode(definition{Name: name, IsCustom: true, Description: r.description, Actions: none(r.actions), NotActions: []string{},
		DataActions: none(r.data), NotDataActions: []string{}, AssignableScopes: []string{group}})
	if err != nil {
		return nil, fmt.Errorf("print policies: %w", err)
	}
	file := string(role) + ".role.json"
	docs := []providers.Document{{Name: file, Text: text,
		Use: fmt.Sprintf(`A role definition: az role definition create --role-definition @%s; az role assignment create --role "%s" --assignee WHO --scope %s`, file, name, scope)}}
	if r.letters != "" {
		docs = append(docs, providers.Document{Name: string(role) + ".sas.sh", Text: []byte(sasScript(r, c)),
			Use: "In place of the role, where nobody can sign in: commands that make a shared access signature, which can be revoked."})
	}
	return docs, nil
}

func none(list []string) []string {
	if list == nil {
		return []string{} // null is refused
	}
	return list
}

func encode(d definition) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return out.Bytes(), err
}

// sasScript makes a stored access policy, which can be withdrawn, and a SAS of it. The
// day of its end stands in the SAS itself, so that the program can tell it ahead.
func sasScript(r rights, c PolicyConfig) string {
	return fmt.Sprintf(`#!/bin/sh -eu
# %s
# Run by somebody who may use the account's key. $1 is the day on which it lapses, such as 2027-11-30.
# To withdraw it: az storage container policy delete, with the same names.
az storage container policy create --account-name %s --container-name %s --name %s --permissions %s
az storage container generate-sas --account-name %s --name %s --policy-name %s --expiry "$1T00:00Z" --https-only --output tsv
`, r.description, c.Account, c.Container, r.name, r.letters, c.Account, c.Container, r.name)
}
