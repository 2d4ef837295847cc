package gcstest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// rule is one Delete rule of a lifecycle configuration (R12): an object is due
// when every condition holds.
type rule []func(l *Layer, name string, o *object) bool

// due reports whether all conditions of some rule hold.
func (l *Layer) due(b *bucket, name string, o *object) bool {
	return slices.ContainsFunc(b.rules, func(r rule) bool {
		return !slices.ContainsFunc(r, func(holds func(*Layer, string, *object) bool) bool { return !holds(l, name, o) })
	})
}

// then is the moment of which the service acts now (R15).
func (l *Layer) then() time.Time { return l.now.Add(-l.opt.LifecycleDelay) }

// parseRules refuses what Advance would not keep.
func parseRules(setting any) ([]rule, *answer) {
	var config struct {
		Rule []struct {
			Action    struct{ Type string }
			Condition map[string]json.RawMessage
		}
	}
	raw, err := json.Marshal(setting)
	if err == nil {
		err = json.Unmarshal(raw, &config)
	}
	if err != nil {
		a := refuse(http.StatusBadRequest, "invalid", "lifecycle: not understood")
		return nil, &a
	}
	var rules []rule
	for _, c := range config.Rule {
		r, known := rule{}, len(c.Condition) > 0
		for name, value := range c.Condition {
			holds, ok := ruleCondition(name, value)
			r, known = append(r, holds), known && ok
		}
		switch {
		case c.Action.Type == "AbortIncompleteMultipartUpload", c.Action.Type == "SetStorageClass":
			continue // removes nothing that is modelled
		case c.Action.Type != "Delete" || !known:
			a := refuse(http.StatusNotImplemented, "notImplemented", "not modelled: a lifecycle rule like this")
			return nil, &a
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// ruleCondition is one condition of a rule.
func ruleCondition(name string, value json.RawMessage) (holds func(*Layer, string, *object) bool, ok bool) {
	var days int64
	var texts []string
	var date string
	switch name {
	case "daysSinceCustomTime":
		ok = json.Unmarshal(value, &days) == nil
		return func(l *Layer, _ string, o *object) bool { // R13
			return !o.custom.IsZero() && !l.then().Before(o.custom.Add(time.Duration(days)*day))
		}, ok
	case "age":
		ok = json.Unmarshal(value, &days) == nil
		return func(l *Layer, _ string, o *object) bool {
			return !l.then().Before(o.created.Add(time.Duration(days) * day))
		}, ok
	case "createdBefore", "customTimeBefore":
		ok = json.Unmarshal(value, &date) == nil
		limit, err := time.Parse(time.DateOnly, date)
		return func(_ *Layer, _ string, o *object) bool {
			if name == "createdBefore" {
				return o.created.Before(limit)
			}
			return !o.custom.IsZero() && o.custom.Before(limit)
		}, ok && err == nil
	case "matchesPrefix", "matchesSuffix":
		fits := map[string]func(string, string) bool{"matchesPrefix": strings.HasPrefix, "matchesSuffix": strings.HasSuffix}[name]
		ok = json.Unmarshal(value, &texts) == nil
		return func(_ *Layer, name string, _ *object) bool {
			return slices.ContainsFunc(texts, func(p string) bool { return fits(name, p) })
		}, ok
	case "numNewerVersions", "daysSinceNoncurrentTime", "noncurrentTimeBefore", "isLive": // R29
		live := string(value) == "true"
		return func(*Layer, string, *object) bool { return live }, true
	}
	return nil, false
}
