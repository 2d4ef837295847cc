package gcstest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// kept are the settings of a bucket that the emulator drops with a smile.
func kept() []string {
	return []string{"lifecycle", "retentionPolicy", "softDeletePolicy", "versioning", "iamConfiguration", "defaultEventBasedHold", "labels"}
}

func (l *Layer) makeBucket(r *request) answer {
	wanted, next := fields{}, newBucket()
	if err := json.Unmarshal(r.body, &wanted); err != nil {
		return refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	name := wanted.text("name")
	if l.ask(r.Context(), http.MethodGet, "/storage/v1/b/"+url.PathEscape(name), nil).status == http.StatusOK {
		return refuse(http.StatusConflict, "conflict", "Your previous request to create the named bucket succeeded and you already own it.")
	}
	if _, given := wanted["softDeletePolicy"]; !given { // R25
		wanted.set("softDeletePolicy", map[string]any{"retentionDurationSeconds": "604800"})
	}
	if a := next.configure(wanted); a != nil {
		return *a
	}
	plain, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	a := l.forward(r, plain)
	stored := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &stored) != nil {
		return a
	}
	next.there, next.location = true, wanted.text("location")
	l.buckets[name] = next
	return next.describe(a.header, stored)
}

func (l *Layer) getBucket(r *request) answer {
	a := l.ask(r.Context(), http.MethodGet, "/storage/v1/b/"+url.PathEscape(r.bucket), nil)
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
	b := l.bucketOf(r.bucket)
	if !condition(r, "ifMetagenerationMatch", b.metageneration) { // R5
		return conditionNotMet()
	}
	if a := b.configure(change); a != nil {
		return *a
	}
	b.metageneration++
	return l.getBucket(r)
}

func (l *Layer) lockBucket(r *request) answer {
	b := l.bucketOf(r.bucket)
	switch {
	case !condition(r, "ifMetagenerationMatch", b.metageneration): // R5
		return conditionNotMet()
	case b.retention == 0:
		return refuse(http.StatusBadRequest, "badRequest", "The bucket has no retention policy.")
	}
	b.locked = true
	b.metageneration++
	return l.getBucket(r)
}

// configure takes over settings, all or none (R28).
func (b *bucket) configure(change fields) *answer {
	next := *b
	merged := map[string]any{}
	for _, name := range kept() {
		merged[name] = b.settings[name]
		raw, given := change[name]
		var value any
		if given && json.Unmarshal(raw, &value) == nil {
			merged[name] = merge(merged[name], value)
		}
		if merged[name] == nil {
			delete(merged, name)
		}
	}
	next.settings = merged
	var a *answer
	if next.rules, a = parseRules(merged["lifecycle"]); a != nil {
		return a
	}
	if next.retention, a = parseRetention(merged["retentionPolicy"]); a != nil {
		return a
	}
	if b.locked && next.retention < b.retention { // R20
		refusal := refuse(http.StatusBadRequest, "badRequestException", "Cannot reduce retention duration of a locked Retention Policy.")
		return &refusal
	}
	*b = next
	return nil
}

// merge applies a patch: objects field by field, everything else as a whole, and
// null takes away.
func merge(old, change any) any {
	fields, ok := change.(map[string]any)
	if !ok {
		return change
	}
	merged := map[string]any{}
	if before, ok := old.(map[string]any); ok {
		for k, v := range before {
			merged[k] = v
		}
	}
	for k, v := range fields {
		if merged[k] = merge(merged[k], v); merged[k] == nil {
			delete(merged, k)
		}
	}
	return merged
}

func parseRetention(setting any) (time.Duration, *answer) {
	if setting == nil {
		return 0, nil
	}
	if policy, ok := setting.(map[string]any); ok {
		text, _ := policy["retentionPeriod"].(string)
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && n <= maxRetention {
			return time.Duration(n) * time.Second, nil
		}
	}
	a := refuse(http.StatusBadRequest, "invalid", "retentionPolicy: not understood")
	return 0, &a
}

// maxRetention is 100 years in seconds, the most that the service takes.
const maxRetention = 3_155_760_000

// describe is the answer about a bucket, as the service would give it.
func (b *bucket) describe(header http.Header, stored fields) answer {
	for _, name := range kept() {
		delete(stored, name)
		if value, ok := b.settings[name]; ok {
			stored.set(name, value)
		}
	}
	if b.location != "" {
		stored.set("location", b.location)
	}
	stored.set("metageneration", strconv.FormatInt(b.metageneration, 10))
	if b.locked {
		policy := fields{}
		if json.Unmarshal(stored["retentionPolicy"], &policy) == nil {
			policy.set("isLocked", true)
			stored.set("retentionPolicy", policy)
		}
	}
	return withBody(header, stored)
}

func (b *bucket) versioned() bool {
	setting, _ := b.settings["versioning"].(map[string]any)
	return setting["enabled"] == true
}
