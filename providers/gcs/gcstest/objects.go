package gcstest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// load returns what is known of a live object, and asks the emulator about one
// that the layer has not seen yet. Nil: there is none.
func (l *Layer) load(r *request, name string) *object {
	b := l.bucketOf(r.bucket)
	if o := b.objects[name]; o != nil {
		return o
	}
	a := l.ask(r.Context(), http.MethodGet, objectPath(r.bucket, name), nil)
	meta := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &meta) != nil {
		return nil
	}
	return l.adopt(b, name, meta)
}

// adopt notes an object that was made behind the layer's back: as old as the
// layer itself.
func (l *Layer) adopt(b *bucket, name string, meta fields) *object {
	custom, _, _ := meta.customTime()
	o := &object{generation: meta.number("generation"), metageneration: 1, created: l.opt.Start.UTC(), updated: l.opt.Start.UTC(), custom: custom}
	b.objects[name] = o
	return o
}

// protected is why an object may be neither deleted nor replaced; nil: nothing.
func (l *Layer) protected(b *bucket, o *object) *answer {
	if o.tempHold || o.eventHold { // R17
		a := refuse(http.StatusForbidden, "objectUnderActiveHold", "Object is under active hold and cannot be deleted or overwritten.")
		return &a
	}
	if l.now.Before(o.created.Add(b.retention)) { // R16
		a := refuse(http.StatusForbidden, "retentionPolicyNotMet", "Object is subject to the bucket's retention policy and cannot be deleted or overwritten.")
		return &a
	}
	return nil
}

// noObject is the provider's word for a missing object (R24).
func noObject(r *request) answer {
	return refuse(http.StatusNotFound, "notFound", "No such object: "+r.bucket+"/"+r.name)
}

// media is an object's bytes, or the same word as plain text.
func (l *Layer) media(r *request) answer {
	a := l.forward(r, nil)
	if a.status != http.StatusNotFound {
		return a
	}
	a.stream.Close()
	return answer{status: a.status, header: http.Header{"Content-Type": {"text/html; charset=UTF-8"}},
		body: []byte("No such object: " + r.bucket + "/" + r.name)}
}

func conditionNotMet() answer {
	return refuse(http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
}

// condition reports whether a numeric condition of the query holds.
func condition(r *request, name string, have int64) bool {
	want := r.URL.Query().Get(name)
	if want == "" {
		return true
	}
	n, err := strconv.ParseInt(want, 10, 64)
	return err == nil && n == have
}

func (l *Layer) insert(r *request) answer {
	meta, err := r.meta, r.metaErr
	if err != nil {
		return refuse(http.StatusBadRequest, "badRequest", err.Error())
	}
	if name := meta.text("name"); name != "" && name != r.name {
		return refuse(http.StatusBadRequest, "invalidParameter", "two names")
	}
	custom, _, err := meta.customTime() // R10, R11
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid", err.Error())
	}
	if _, given := meta["retention"]; given { // R21
		return refuse(http.StatusForbidden, "forbidden", "caller does not have storage.objects.setRetention access to the Google Cloud Storage object.")
	}
	b, old := l.bucketOf(r.bucket), l.load(r, r.name)
	if a := l.mayReplace(r, b, old); a != nil {
		return *a
	}
	a := l.forward(r, r.body)
	stored := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &stored) != nil {
		return a
	}
	o := &object{generation: stored.number("generation"), metageneration: 1, created: l.now, updated: l.now, custom: custom, // R6
		eventHold: b.settings["defaultEventBasedHold"] == true} // R26
	b.objects[r.name] = o
	return o.describe(l, b, a.header, stored)
}

// mayReplace keeps R3, R4, R5, R16 and R17 for an insert; nil: go on.
func (l *Layer) mayReplace(r *request, b *bucket, old *object) *answer {
	generation := int64(0)
	if old != nil {
		generation = old.generation
	}
	held := condition(r, "ifGenerationMatch", generation)
	deny := old != nil && !r.may("storage.objects.delete", r.name)
	refusal := lacks("storage.objects.delete")
	switch {
	case deny && l.opt.PermissionFirst: // R3 before R4
		return &refusal
	case !held: // R4, R5
		refusal = conditionNotMet()
		return &refusal
	case deny: // R3
		return &refusal
	case old != nil:
		return l.protected(b, old)
	}
	return nil
}

func (l *Layer) get(r *request) answer {
	a := l.forward(r, nil)
	if a.status == http.StatusNotFound {
		return noObject(r)
	}
	stored := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &stored) != nil {
		return a
	}
	b, o := l.bucketOf(r.bucket), l.load(r, r.name)
	if o == nil || o.generation != stored.number("generation") {
		return a
	}
	return o.describe(l, b, a.header, stored)
}

func (l *Layer) list(r *request) answer {
	a := l.forward(r, nil)
	page := fields{}
	var items []fields
	if a.status != http.StatusOK || json.Unmarshal(a.body, &page) != nil || json.Unmarshal(page["items"], &items) != nil {
		return a
	}
	b := l.bucketOf(r.bucket)
	for _, item := range items {
		o := b.objects[item.text("name")]
		if o == nil {
			o = l.adopt(b, item.text("name"), item)
		}
		o.overlay(b, item)
	}
	page.set("items", items)
	return withBody(a.header, page)
}

func (l *Layer) patch(r *request) answer {
	b, o := l.bucketOf(r.bucket), l.load(r, r.name)
	if o == nil || !condition(r, "generation", o.generation) { // R7
		return noObject(r)
	}
	if !condition(r, "ifGenerationMatch", o.generation) || !condition(r, "ifMetagenerationMatch", o.metageneration) { // R5
		return conditionNotMet()
	}
	change := fields{}
	if err := json.Unmarshal(r.body, &change); err != nil {
		return refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	custom, given, err := change.customTime()
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid", err.Error())
	}
	if given && custom.Before(o.custom) { // R8
		return refuse(http.StatusBadRequest, "invalid", "Custom time cannot be set to an earlier time.")
	}
	if !given { // R9
		delete(change, "customTime")
	}
	if r.method == "objects.update" { // what it leaves out stays as it is, here
		whole := *r.Request
		whole.Method = http.MethodPatch
		r = &request{Request: &whole, method: "objects.patch", bucket: r.bucket, name: r.name, role: r.role, grants: r.grants}
	}
	if _, ok := change["retention"]; ok { // R21
		if !r.may("storage.objects.setRetention", r.name) {
			return lacks("storage.objects.setRetention")
		}
		return refuse(http.StatusNotImplemented, "notImplemented", "not modelled: per-object retention")
	}
	next := *o
	for field, hold := range map[string]*bool{"temporaryHold": &next.tempHold, "eventBasedHold": &next.eventHold} { // R18
		if raw, ok := change[field]; ok {
			*hold = string(raw) == "true"
			delete(change, field)
		}
	}
	body, err := json.Marshal(change)
	if err != nil {
		return refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	a := l.forward(r, body)
	stored := fields{}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &stored) != nil {
		return a
	}
	if given {
		next.custom = custom
	}
	next.metageneration++ // R6
	next.updated = l.now
	*o = next
	return o.describe(l, b, a.header, stored)
}

func (l *Layer) remove(r *request) answer {
	b, o := l.bucketOf(r.bucket), l.load(r, r.name)
	if o == nil || !condition(r, "generation", o.generation) { // R7
		return noObject(r)
	}
	if !condition(r, "ifGenerationMatch", o.generation) || !condition(r, "ifMetagenerationMatch", o.metageneration) { // R5
		return conditionNotMet()
	}
	if a := l.protected(b, o); a != nil {
		return *a
	}
	if b.versioned() { // R23
		return refuse(http.StatusNotImplemented, "notImplemented", "not modelled: deletion from a bucket that keeps versions")
	}
	a := l.forward(r, nil)
	if a.status < 300 {
		delete(b.objects, r.name)
	}
	return a
}

// describe is the answer about one object, as the service would give it.
func (o *object) describe(l *Layer, b *bucket, header http.Header, stored fields) answer {
	o.overlay(b, stored)
	return withBody(header, stored)
}

// overlay puts what the layer knows over what the emulator said (R22).
func (o *object) overlay(b *bucket, stored fields) {
	stored.set("timeCreated", stamp(o.created))
	stored.set("updated", stamp(o.updated))
	stored.set("metageneration", strconv.FormatInt(o.metageneration, 10))
	delete(stored, "customTime")
	if !o.custom.IsZero() {
		stored.set("customTime", stamp(o.custom))
	}
	if o.tempHold {
		stored.set("temporaryHold", true)
	}
	if o.eventHold {
		stored.set("eventBasedHold", true)
	}
	if b.retention > 0 {
		stored.set("retentionExpirationTime", stamp(o.created.Add(b.retention)))
	}
}

func withBody(header http.Header, v any) answer {
	a := jsonAnswer(v)
	a.header = header.Clone()
	a.header.Del("Content-Length")
	return a
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
