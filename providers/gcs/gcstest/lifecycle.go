package gcstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// rule is one Delete rule of a lifecycle configuration (R12).
type rule struct {
	daysSinceCustomTime *int64
	age                 *int64
	prefixes            []string // any of them; none: all objects
}

// Removal is an object that lifecycle has removed.
type Removal struct {
	Bucket, Name string
	Generation   int64
	At           time.Time // virtual
}

// Advance moves the clock on and then does what lifecycle has to do (R15).
func (l *Layer) Advance(ctx context.Context, d time.Duration) ([]Removal, error) {
	if d < 0 {
		return nil, fmt.Errorf("advance by %v: the clock only goes on", d)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
	var removed []Removal
	for _, name := range sortedKeys(l.buckets) {
		b := l.buckets[name]
		if len(b.rules) == 0 {
			continue
		}
		if err := l.seeAll(ctx, name, b); err != nil {
			return removed, err
		}
		for _, key := range sortedKeys(b.objects) {
			o := b.objects[key]
			if !l.due(b, key, o) || l.protected(b, o) != nil { // R14
				continue
			}
			a := l.ask(ctx, http.MethodDelete, objectPath(name, key), nil)
			if a.status >= 300 {
				return removed, fmt.Errorf("remove %s/%s: emulator says %d", name, key, a.status)
			}
			delete(b.objects, key)
			removed = append(removed, Removal{name, key, o.generation, l.now})
		}
	}
	return removed, nil
}

// due reports whether all conditions of some rule hold.
func (l *Layer) due(b *bucket, name string, o *object) bool {
	then := l.now.Add(-l.opt.LifecycleDelay)
	return slices.ContainsFunc(b.rules, func(r rule) bool {
		if len(r.prefixes) > 0 && !slices.ContainsFunc(r.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return false
		}
		if r.daysSinceCustomTime != nil && (o.custom.IsZero() || then.Before(o.custom.Add(time.Duration(*r.daysSinceCustomTime)*day))) { // R13
			return false
		}
		return r.age == nil || !then.Before(o.created.Add(time.Duration(*r.age)*day))
	})
}

// seeAll notes the objects that were made behind the layer's back.
func (l *Layer) seeAll(ctx context.Context, name string, b *bucket) error {
	for token := ""; ; {
		query := url.Values{}
		if token != "" {
			query.Set("pageToken", token)
		}
		a := l.ask(ctx, http.MethodGet, "/storage/v1/b/"+url.PathEscape(name)+"/o", query)
		var page struct {
			Items         []fields
			NextPageToken string
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &page) != nil {
			return fmt.Errorf("list %s: emulator says %d", name, a.status)
		}
		for _, item := range page.Items {
			if b.objects[item.text("name")] == nil {
				l.adopt(b, item.text("name"), item)
			}
		}
		if token = page.NextPageToken; token == "" {
			return nil
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// kept are the settings of a bucket that the emulator drops with a smile.
func kept() []string { return []string{"lifecycle", "retentionPolicy", "softDeletePolicy"} }

func (l *Layer) makeBucket(r *request) answer {
	wanted := fields{}
	if err := json.Unmarshal(r.body, &wanted); err != nil {
		return refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	next := &bucket{settings: map[string]json.RawMessage{}, objects: map[string]*object{}}
	if a := next.configure(wanted); a != nil {
		return *a
	}
	a := l.forward(r, r.body)
	stored := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &stored) != nil {
		return a
	}
	l.buckets[wanted.text("name")] = next
	return next.describe(a.header, stored)
}

func (l *Layer) getBucket(r *request) answer {
	a := l.forward(r, nil)
	stored := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &stored) != nil {
		return a
	}
	return l.bucketOf(r.bucket).describe(a.header, stored)
}

// patchBucket changes what the layer keeps; the emulator is only asked whether
// the bucket is there, because a patch would drop its own settings. R19 is R2.
func (l *Layer) patchBucket(r *request) answer {
	change := fields{}
	if err := json.Unmarshal(r.body, &change); err != nil {
		return refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	for name := range change {
		if !slices.Contains(kept(), name) {
			return refuse(http.StatusNotImplemented, "notImplemented", "not modelled: bucket setting "+name)
		}
	}
	a := l.ask(r.Context(), http.MethodGet, "/storage/v1/b/"+url.PathEscape(r.bucket), nil)
	stored := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &stored) != nil {
		return a
	}
	b := l.bucketOf(r.bucket)
	if a := b.configure(change); a != nil {
		return *a
	}
	return b.describe(a.header, stored)
}

func (l *Layer) lockBucket(r *request) answer {
	b := l.bucketOf(r.bucket)
	if b.retention == 0 {
		return refuse(http.StatusBadRequest, "badRequest", "The bucket has no retention policy.")
	}
	b.locked = true
	return l.ask(r.Context(), http.MethodGet, "/storage/v1/b/"+url.PathEscape(r.bucket), nil)
}

// configure takes over settings, all or none.
func (b *bucket) configure(change fields) *answer {
	next := *b
	next.settings = map[string]json.RawMessage{}
	for k, v := range b.settings {
		next.settings[k] = v
	}
	for _, name := range kept() {
		raw, given := change[name]
		if !given {
			continue
		}
		next.settings[name] = raw
		if string(raw) == "null" {
			delete(next.settings, name)
		}
		var a *answer
		switch name {
		case "lifecycle":
			next.rules, a = parseRules(raw)
		case "retentionPolicy":
			next.retention, a = parseRetention(raw)
			if a == nil && b.locked && next.retention < b.retention { // R20
				refusal := refuse(http.StatusBadRequest, "badRequestException", "Cannot reduce retention duration of a locked Retention Policy.")
				a = &refusal
			}
		}
		if a != nil {
			return a
		}
	}
	*b = next
	return nil
}

// parseRules refuses what Advance would not keep.
func parseRules(raw json.RawMessage) ([]rule, *answer) {
	var config struct {
		Rule []struct {
			Action    struct{ Type string }
			Condition map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		a := refuse(http.StatusBadRequest, "invalid", "lifecycle: not understood")
		return nil, &a
	}
	var rules []rule
	for _, c := range config.Rule {
		if c.Action.Type == "AbortIncompleteMultipartUpload" {
			continue // there are none here
		}
		r := rule{}
		known := c.Action.Type == "Delete" && len(c.Condition) > 0
		for name, value := range c.Condition {
			var err error
			switch name {
			case "daysSinceCustomTime":
				err = json.Unmarshal(value, &r.daysSinceCustomTime)
			case "age":
				err = json.Unmarshal(value, &r.age)
			case "matchesPrefix":
				err = json.Unmarshal(value, &r.prefixes)
			default:
				known = false
			}
			known = known && err == nil
		}
		if !known {
			a := refuse(http.StatusNotImplemented, "notImplemented", "not modelled: a lifecycle rule like this")
			return nil, &a
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRetention(raw json.RawMessage) (time.Duration, *answer) {
	var policy struct{ RetentionPeriod string }
	if string(raw) == "null" {
		return 0, nil
	}
	if err := json.Unmarshal(raw, &policy); err == nil {
		if n, err := strconv.ParseInt(policy.RetentionPeriod, 10, 64); err == nil && n >= 0 && n <= maxRetention {
			return time.Duration(n) * time.Second, nil
		}
	}
	a := refuse(http.StatusBadRequest, "invalid", "retentionPolicy: not understood")
	return 0, &a
}

// maxRetention is 100 years in seconds, the most that the service takes.
const maxRetention = 3_155_760_000

func (b *bucket) describe(header http.Header, stored fields) answer {
	for _, name := range kept() {
		delete(stored, name)
		if raw, ok := b.settings[name]; ok {
			stored[name] = raw
		}
	}
	if b.locked {
		policy := fields{}
		if json.Unmarshal(stored["retentionPolicy"], &policy) == nil {
			policy.set("isLocked", true)
			stored.set("retentionPolicy", policy)
		}
	}
	return withBody(header, stored)
}
