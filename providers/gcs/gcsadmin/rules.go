package gcsadmin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// removable is the part of a store that the removal rule covers. Header and keys
// stand outside.
const removable = "r/"

// abandoned is after how many days the service drops an upload in parts that was
// never finished. The driver makes none; a thief may.
const abandoned = 3

// lifecycleRule is one rule, as far as it matters here.
type lifecycleRule struct {
	Action    struct{ Type string }
	Condition map[string]json.RawMessage
}

func (a *Admin) rules() []setting {
	prefix := a.api.wire.Prefix() + removable
	removal := map[string]any{"action": map[string]any{"type": "Delete"},
		"condition": map[string]any{"daysSinceCustomTime": 1, "matchesPrefix": []string{prefix}}}
	abort := map[string]any{"action": map[string]any{"type": "AbortIncompleteMultipartUpload"},
		"condition": map[string]any{"age": abandoned}}
	there := func(is func(lifecycleRule) bool) func(b *bucket) (string, bool) {
		return func(b *bucket) (string, bool) {
			if slices.ContainsFunc(b.Lifecycle.Rule, func(raw json.RawMessage) bool { return is(parse(raw)) }) {
				return "there", true
			}
			return "missing", false
		}
	}
	add := func(rule map[string]any) func(b *bucket, patch map[string]any) {
		return func(b *bucket, patch map[string]any) {
			config, ok := patch["lifecycle"].(map[string]any)
			if !ok {
				config = map[string]any{"rule": asAny(b.Lifecycle.Rule)}
				patch["lifecycle"] = config
			}
			list, _ := config["rule"].([]any)
			config["rule"] = append(list, rule)
		}
	}
	return []setting{
		{"removal rule", "Delete, a day after customTime, below " + prefix, bySetup,
			there(func(r lifecycleRule) bool { return r.isRemoval(prefix) }), add(removal)},
		{"abandoned uploads", fmt.Sprintf("dropped after %d days", abandoned), bySetup,
			there(lifecycleRule.isAbort), add(abort)},
		{"other rules", "none that could remove what is kept",
			"take the rule away, or limit it to a prefix outside " + a.root(), a.others, nil},
	}
}

// root is where the store is, for people.
func (a *Admin) root() string {
	if a.api.wire.Prefix() == "" {
		return "this bucket"
	}
	return a.api.wire.Prefix()
}

// asAny keeps rules of others as they are, byte for byte.
func asAny(rules []json.RawMessage) []any {
	out := []any{}
	for _, r := range rules {
		out = append(out, r)
	}
	return out
}

// parse reads a rule. One that is not understood has no action, and is dangerous.
func parse(raw json.RawMessage) lifecycleRule {
	var r lifecycleRule
	if json.Unmarshal(raw, &r) != nil {
		return lifecycleRule{}
	}
	return r
}

// isRemoval: exactly the rule of the scheme. Some tools add that objects must be at
// least 0 days old, which all are.
func (r lifecycleRule) isRemoval(prefix string) bool {
	conditions := len(r.Condition)
	if age, ok := r.number("age"); ok && age == 0 {
		conditions--
	}
	n, ok := r.number("daysSinceCustomTime")
	return r.Action.Type == "Delete" && conditions == 2 && ok && n == 1 && slices.Equal(r.prefixes(), []string{prefix})
}

func (r lifecycleRule) isAbort() bool {
	n, ok := r.number("age")
	return r.Action.Type == "AbortIncompleteMultipartUpload" && len(r.Condition) == 1 && ok && n <= abandoned
}

// others names the rules that could remove what a lease, or nothing at all, keeps.
func (a *Admin) others(b *bucket) (string, bool) {
	var bad []string
	for i, raw := range b.Lifecycle.Rule {
		if a.harmful(parse(raw)) {
			bad = append(bad, fmt.Sprintf("rule %d", i+1))
		}
	}
	if len(bad) == 0 {
		return fmt.Sprintf("none among %d", len(b.Lifecycle.Rule)), true
	}
	return strings.Join(bad, ", ") + fmt.Sprintf(" of %d could remove what is kept", len(b.Lifecycle.Rule)), false
}

// harmful: a rule that may act on an object of this store before its lease has
// lapsed, or on one outside the removable part at all.
func (a *Admin) harmful(r lifecycleRule) bool {
	switch r.Action.Type {
	case "AbortIncompleteMultipartUpload", "SetStorageClass":
		return false
	case "Delete":
	default:
		return true // unknown
	}
	for _, noncurrent := range []string{"daysSinceNoncurrentTime", "noncurrentTimeBefore"} {
		if _, ok := r.Condition[noncurrent]; ok {
			return false // acts on replaced versions only, of which there are none
		}
	}
	if n, ok := r.number("numNewerVersions"); ok && n > 0 || string(r.Condition["isLive"]) == "false" {
		return false
	}
	root := a.api.wire.Prefix()
	about := slices.DeleteFunc(r.prefixes(), func(p string) bool { return !strings.HasPrefix(p, root) && !strings.HasPrefix(root, p) })
	if len(about) == 0 && len(r.prefixes()) > 0 {
		return false // about others
	}
	outside := len(about) == 0 || slices.ContainsFunc(about, func(p string) bool { return !strings.HasPrefix(p, root+removable) })
	n, afterLease := r.number("daysSinceCustomTime")
	return outside || !afterLease || n < 0
}

// number is a condition that is a whole number.
func (r lifecycleRule) number(name string) (n int64, ok bool) {
	raw, ok := r.Condition[name]
	if !ok || string(raw) == "null" || json.Unmarshal(raw, &n) != nil {
		return 0, false
	}
	return n, true
}

func (r lifecycleRule) prefixes() []string {
	var list []string
	if json.Unmarshal(r.Condition["matchesPrefix"], &list) != nil {
		return nil
	}
	return list
}
