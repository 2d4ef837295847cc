package azuretest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour

	// The shortest and the longest retention that the provider names.
	shortestPolicy    = day
	longestPolicyDays = 146_000

	idLayout = "2006-01-02T15:04:05.0000000Z" // of version ids: 100 ns
)

// stamp makes a version id, unique and in order.
func (l *Layer) stamp() string {
	l.ticks++
	return l.now.Add(time.Duration(l.ticks) * 100).UTC().Format(idLayout)
}

// describe puts what the Layer knows about a version into a header.
func (v *version) describe(h http.Header, current, tracking bool) {
	h.Set("Last-Modified", v.created.UTC().Format(http.TimeFormat))
	h.Set("X-Ms-Creation-Time", v.created.UTC().Format(http.TimeFormat))
	if v.id != "" {
		h.Set("X-Ms-Version-Id", v.id)
		if current {
			h.Set("X-Ms-Is-Current-Version", "true")
		}
	}
	if tracking && !v.accessed.IsZero() {
		h.Set("X-Ms-Last-Access-Time", v.accessed.UTC().Format(http.TimeFormat))
	}
	v.policy.describe(h)
	if v.hold {
		h.Set("X-Ms-Legal-Hold", "true")
	}
}

func (p policy) describe(h http.Header) {
	if p.until.IsZero() {
		return
	}
	h.Set("X-Ms-Immutability-Policy-Until-Date", p.until.UTC().Format(http.TimeFormat))
	h.Set("X-Ms-Immutability-Policy-Mode", p.mode())
}

func (p policy) mode() string {
	if p.locked {
		return "locked"
	}
	return "unlocked"
}

// read serves the current version from Azurite and older ones from memory, and notes
// the access.
func (c *call) read(op string) {
	c.l.write.RLock()
	defer c.l.write.RUnlock()
	r := c.forward()
	if c.denied(r) {
		return
	}
	if r.status == http.StatusPartialContent && len(r.body) == 0 { // Azurite, at the very end of a blob
		c.refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
		return
	}
	c.l.mu.Lock()
	v := c.find()
	current := v != nil && v == c.state().current
	switch {
	case v == nil && r.ok() && !c.query.Has("versionid"):
		v, current = &version{created: c.l.now}, true // written before the Layer stood here
	case v == nil && !c.query.Has("versionid"):
		c.l.mu.Unlock()
		c.answer(r)
		return
	case v == nil:
		c.l.mu.Unlock()
		c.refuse(http.StatusNotFound, "BlobNotFound")
		return
	case !current:
		r = v.serve(c.r)
	}
	if r.ok() {
		if op == "Get Blob" && c.l.tracking && c.l.now.Sub(v.accessed) >= day {
			v.accessed = c.l.now
		}
		v.describe(r.header, current, c.l.tracking)
	}
	c.l.mu.Unlock()
	c.answer(r)
}

// serve is a read of a version that Azurite does not have.
func (v *version) serve(r *http.Request) reply {
	h := v.header.Clone()
	size := int64(len(v.body))
	first, last := int64(0), size-1
	status := http.StatusOK
	text := r.Header.Get("X-Ms-Range")
	if text == "" {
		text = r.Header.Get("Range")
	}
	if text, ok := strings.CutPrefix(text, "bytes="); ok && r.Method == http.MethodGet {
		from, to, _ := strings.Cut(text, "-")
		first, _ = strconv.ParseInt(from, 10, 64)
		if to != "" {
			last, _ = strconv.ParseInt(to, 10, 64)
			last = min(last, size-1)
		}
		if first >= size {
			h.Set("X-Ms-Error-Code", "InvalidRange")
			return reply{http.StatusRequestedRangeNotSatisfiable, h, nil}
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
	}
	h.Set("Content-Length", fmt.Sprint(last+1-first))
	return reply{status, h, v.body[first : last+1]}
}

// put is one Put Blob: it creates, or with versions makes the present version an
// older one.
func (c *call) put() {
	l := c.l
	l.write.Lock()
	defer l.write.Unlock()
	if c.taken() {
		return
	}
	l.mu.Lock()
	old, now, std := c.state().current, l.now, l.setting(c.container)
	l.mu.Unlock()
	set, ok := c.policyOf(now)
	if !ok {
		return
	}
	if set.until.IsZero() && std.immutable && std.standard > 0 {
		set = policy{now.Add(std.standard), !std.unlocked}
	}
	r := c.forward()
	if !r.ok() {
		c.answer(r)
		return
	}
	c.stored(r, c.body, old, set)
	c.answer(r)
}

// stored notes that the call has written a version.
func (c *call) stored(r reply, body []byte, old *version, set policy) {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &version{created: l.now, accessed: l.now, policy: set}
	s := c.state()
	if l.versions {
		v.id, v.body = l.stamp(), body
		v.header = http.Header{"Etag": r.header["Etag"], "Content-Type": {c.r.Header.Get("X-Ms-Blob-Content-Type")},
			"Content-Md5": r.header["Content-Md5"], "X-Ms-Blob-Type": {"BlockBlob"}, "X-Ms-Version": r.header["X-Ms-Version"],
			"X-Ms-Request-Id": r.header["X-Ms-Request-Id"]}
		if old != nil {
			s.previous = append(s.previous, old)
		}
	}
	s.current = v
	l.blobs[c.key()] = s
	v.describe(r.header, true, l.tracking)
}

// commit is Put Block List, which writes a version like Put Blob does.
func (c *call) commit() {
	l := c.l
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	old, now, std := c.state().current, l.now, l.setting(c.container)
	l.mu.Unlock()
	r := c.forward()
	if !r.ok() {
		c.answer(r)
		return
	}
	body, err := l.bytes(c.r.Context(), c.key())
	if err != nil {
		c.answer(c.broken(err))
		return
	}
	set := policy{}
	if std.immutable && std.standard > 0 {
		set = policy{now.Add(std.standard), !std.unlocked}
	}
	c.stored(r, body, old, set)
	c.answer(r)
}

// taken refuses a credential that may create, and not overwrite, over a taken key.
func (c *call) taken() bool {
	c.l.mu.Lock()
	there := c.state().current != nil
	c.l.mu.Unlock()
	if !there || c.mayWrite() {
		return false
	}
	status := http.StatusForbidden
	if c.l.opt.TakenCode == "BlobAlreadyExists" {
		status = http.StatusConflict
	}
	c.refuse(status, c.l.opt.TakenCode)
	return true
}

// policyOf reads the policy that a request asks for; the zero one if it asks for none.
func (c *call) policyOf(now time.Time) (policy, bool) {
	text := c.r.Header.Get("X-Ms-Immutability-Policy-Until-Date")
	if text == "" {
		return policy{}, true
	}
	c.l.mu.Lock()
	immutable := c.l.setting(c.container).immutable
	c.l.mu.Unlock()
	if !immutable {
		c.refuse(http.StatusConflict, "BlobOperationNotSupported")
		return policy{}, false
	}
	until, err := http.ParseTime(text)
	if err != nil || until.Before(now.Add(shortestPolicy)) || until.After(now.AddDate(0, 0, longestPolicyDays)) {
		c.refuse(http.StatusBadRequest, "InvalidHeaderValue")
		return policy{}, false
	}
	return policy{until, strings.EqualFold(c.r.Header.Get("X-Ms-Immutability-Policy-Mode"), "locked")}, true
}

// setPolicy sets or extends a policy; a locked one is only ever extended.
func (c *call) setPolicy() {
	l := c.l
	l.write.Lock()
	defer l.write.Unlock()
	if c.denied(c.forward()) { // else it is 501: Azurite knows the credential, not the operation
		return
	}
	set, ok := c.policyOf(l.Now())
	if !ok {
		return
	}
	l.mu.Lock()
	v := c.find()
	switch {
	case v == nil:
		l.mu.Unlock()
		c.refuse(http.StatusNotFound, "BlobNotFound")
		return
	case v.policy.lockedAt(l.now) && (!set.locked || set.until.Before(v.policy.until)):
		l.mu.Unlock()
		c.refuse(http.StatusConflict, "BlobImmutableDueToPolicy")
		return
	}
	v.policy = set
	l.mu.Unlock()
	c.done(http.StatusOK, set.describe)
}

// deletePolicy takes an unlocked policy away.
func (c *call) deletePolicy() {
	l := c.l
	l.write.Lock()
	defer l.write.Unlock()
	if c.denied(c.forward()) {
		return
	}
	l.mu.Lock()
	v := c.find()
	switch {
	case v == nil:
		l.mu.Unlock()
		c.refuse(http.StatusNotFound, "BlobNotFound")
		return
	case v.policy.lockedAt(l.now):
		l.mu.Unlock()
		c.refuse(http.StatusConflict, "ImmutabilityPolicyDeleteOnLockedPolicy")
		return
	}
	v.policy = policy{}
	l.mu.Unlock()
	c.done(http.StatusOK, func(http.Header) {})
}

// setHold sets or clears a legal hold.
func (c *call) setHold() {
	l := c.l
	l.write.Lock()
	defer l.write.Unlock()
	if c.denied(c.forward()) {
		return
	}
	l.mu.Lock()
	v, immutable := c.find(), l.setting(c.container).immutable
	if v != nil && immutable {
		v.hold = strings.EqualFold(c.r.Header.Get("X-Ms-Legal-Hold"), "true")
	}
	l.mu.Unlock()
	switch {
	case v == nil:
		c.refuse(http.StatusNotFound, "BlobNotFound")
	case !immutable:
		c.refuse(http.StatusConflict, "BlobOperationNotSupported")
	default:
		c.done(http.StatusOK, func(http.Header) {})
	}
}

func (c *call) done(status int, describe func(http.Header)) {
	h := http.Header{"X-Ms-Version": {c.r.Header.Get("X-Ms-Version")}, "X-Ms-Request-Id": {"layer"}}
	describe(h)
	c.answer(reply{status, h, nil})
}

// change is a write of metadata or properties, which immutability forbids.
func (c *call) change() {
	c.l.mu.Lock()
	v := c.find()
	kept := v != nil && v.kept(c.l.now)
	c.l.mu.Unlock()
	if kept {
		c.refuse(http.StatusConflict, "BlobImmutableDueToPolicy")
		return
	}
	c.answer(c.forward())
}

// remove deletes the current version, which with versions becomes an older one, or
// a named version for good.
func (c *call) remove() {
	l := c.l
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	s, v, id := c.state(), c.find(), c.query.Get("versionid")
	kept := v != nil && v.kept(l.now)
	current, versions := v != nil && v == s.current, l.versions
	l.mu.Unlock()
	switch {
	case v == nil:
		c.refuse(http.StatusNotFound, "BlobNotFound")
		return
	case kept && (id != "" || !versions):
		c.refuse(http.StatusConflict, "BlobImmutableDueToPolicy")
		return
	}
	if current {
		if r := c.forward(); !r.ok() {
			c.answer(r)
			return
		}
	}
	l.mu.Lock()
	switch {
	case current && id == "" && versions:
		s.previous, s.current = append(s.previous, v), nil
	case current:
		s.current = nil
	default:
		s.previous = slices.DeleteFunc(s.previous, func(p *version) bool { return p == v })
	}
	l.forget(c.key(), s)
	l.mu.Unlock()
	c.done(http.StatusAccepted, func(http.Header) {})
}

// forget drops a state that holds nothing.
func (l *Layer) forget(key string, s *blobState) {
	if s.current == nil && len(s.previous) == 0 {
		delete(l.blobs, key)
	}
}
