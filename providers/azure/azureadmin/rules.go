package azureadmin

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"

	"offsite/providers/azure"
)

// removable is what rules may remove below the store's prefix. Keys and the header
// stand outside.
const removable = "r/"

// ruleName names the rule of one container and prefix: an account has one policy for
// all, and names are letters and digits.
func (c Config) ruleName() string {
	sum := sha256.Sum256([]byte(c.place()))
	return fmt.Sprintf("offsite%x", sum[:8])
}

// removal is the rule that removes what has lapsed; nil: there is none.
//
// By immutability: everything goes when it is older than the floor, and what is locked
// waits until it lapses. Older versions and snapshots are named too, because the
// service keeps the present version until they are gone.
func (c Config) removal() *armstorage.ManagementPolicyRule {
	var base armstorage.DateAfterModification
	var days *float32
	switch {
	case c.worm():
		days = ptr(float32(c.floorDays()))
		base.DaysAfterCreationGreaterThan = days
	case c.Store.Leases == azure.LeaseLastAccess:
		days = ptr(float32(c.Store.KeepDays))
		base.DaysAfterLastAccessTimeGreaterThan = days
	default:
		return nil
	}
	return &armstorage.ManagementPolicyRule{
		Name: ptr(c.ruleName()), Type: ptr(armstorage.RuleTypeLifecycle), Enabled: ptr(true),
		Definition: &armstorage.ManagementPolicyDefinition{
			Filters: &armstorage.ManagementPolicyFilter{BlobTypes: []*string{ptr("blockBlob")}, PrefixMatch: []*string{ptr(c.place() + removable)}},
			Actions: &armstorage.ManagementPolicyAction{
				BaseBlob: &armstorage.ManagementPolicyBaseBlob{Delete: &base},
				Version:  &armstorage.ManagementPolicyVersion{Delete: &armstorage.DateAfterCreation{DaysAfterCreationGreaterThan: days}},
				Snapshot: &armstorage.ManagementPolicySnapShot{Delete: &armstorage.DateAfterCreation{DaysAfterCreationGreaterThan: days}},
			},
		},
	}
}

// own finds this store's rule among others.
func (c Config) own(rules []*armstorage.ManagementPolicyRule) *armstorage.ManagementPolicyRule {
	for _, r := range rules {
		if r != nil && value(r.Name) == c.ruleName() {
			return r
		}
	}
	return nil
}

// merged are the rules with this store's own among them, all others unchanged and in
// their order.
func (c Config) merged(rules []*armstorage.ManagementPolicyRule) []*armstorage.ManagementPolicyRule {
	out := slices.DeleteFunc(slices.Clone(rules), func(r *armstorage.ManagementPolicyRule) bool {
		return r != nil && value(r.Name) == c.ruleName()
	})
	if own := c.removal(); own != nil {
		out = append(out, own)
	}
	return out
}

// harmful says what a rule of somebody else may do to this store; empty: nothing.
func (c Config) harmful(r *armstorage.ManagementPolicyRule) string {
	if r == nil || value(r.Name) == c.ruleName() || r.Enabled != nil && !*r.Enabled || r.Definition == nil || r.Definition.Actions == nil {
		return ""
	}
	if f := r.Definition.Filters; f != nil {
		block := slices.ContainsFunc(f.BlobTypes, func(t *string) bool { return strings.EqualFold(value(t), "blockBlob") })
		near := slices.ContainsFunc(f.PrefixMatch, func(p *string) bool {
			return strings.HasPrefix(value(p), c.place()) || strings.HasPrefix(c.place(), value(p))
		})
		if !block && len(f.BlobTypes) > 0 || !near && len(f.PrefixMatch) > 0 {
			return ""
		}
	}
	var does []string
	note := func(is bool, what string) {
		if is {
			does = append(does, what)
		}
	}
	if b := r.Definition.Actions.BaseBlob; b != nil {
		note(b.Delete != nil, "deletes")
		note(b.TierToArchive != nil, "archives")
	}
	if v := r.Definition.Actions.Version; v != nil {
		note(v.Delete != nil, "deletes older versions")
		note(v.TierToArchive != nil, "archives older versions")
	}
	if len(does) == 0 {
		return ""
	}
	return value(r.Name) + " " + strings.Join(does, " and ")
}

// describe is a removal rule in a few words.
func describe(r *armstorage.ManagementPolicyRule) string {
	if r == nil || r.Definition == nil || r.Definition.Filters == nil || r.Definition.Actions == nil {
		return "none"
	}
	var prefixes []string
	for _, p := range r.Definition.Filters.PrefixMatch {
		prefixes = append(prefixes, value(p))
	}
	said := []string{"below " + strings.Join(prefixes, ", ")}
	days := func(what string, n *float32) {
		if n != nil {
			said = append(said, fmt.Sprintf("%s over %g days", what, *n))
		}
	}
	if b := r.Definition.Actions.BaseBlob; b != nil && b.Delete != nil {
		days("age", b.Delete.DaysAfterCreationGreaterThan)
		days("unchanged for", b.Delete.DaysAfterModificationGreaterThan)
		days("last read", b.Delete.DaysAfterLastAccessTimeGreaterThan)
	}
	if v := r.Definition.Actions.Version; v != nil && v.Delete != nil {
		days("older versions, age", v.Delete.DaysAfterCreationGreaterThan)
	}
	if r.Enabled != nil && !*r.Enabled {
		said = append(said, "switched off")
	}
	return strings.Join(said, "; ")
}

// same compares two rules as the service writes them.
func same(a, b *armstorage.ManagementPolicyRule) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Enabled == nil { // it is on if nothing is said
		on := *a
		on.Enabled, a = ptr(true), &on
	}
	return within(plainJSON(a), plainJSON(b)) && within(plainJSON(b), plainJSON(a))
}

// loses says whether writing the policy back would drop something that the service
// said.
func loses(text []byte, known *armstorage.ManagementPolicySchema) bool {
	var answer struct {
		Properties struct {
			Policy any `json:"policy"`
		} `json:"properties"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return true
	}
	return !within(answer.Properties.Policy, plainJSON(known))
}

func plainJSON(v any) (out any) {
	text, err := json.Marshal(v)
	if err != nil || json.Unmarshal(text, &out) != nil {
		return nil
	}
	return out
}

// within says whether everything of a is in b too. Texts are compared as the service
// does with its own words; prefixes of this program are lower case.
func within(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return true
	case map[string]any:
		o, ok := b.(map[string]any)
		for k, v := range a {
			if !ok || !within(v, o[k]) {
				return false
			}
		}
		return true
	case []any:
		o, ok := b.([]any)
		return ok && len(a) == len(o) && !slices.ContainsFunc(a, func(v any) bool {
			return !slices.ContainsFunc(o, func(w any) bool { return within(v, w) })
		})
	case string:
		o, ok := b.(string)
		return ok && strings.EqualFold(a, o)
	}
	return a == b
}
