// Package gcstest makes a plain emulator keep the rules of Google Cloud Storage
// that retention stands on: customTime that only moves later, lifecycle removal,
// retention periods, holds and permissions. Layer is an HTTP handler before the
// emulator, with a clock that only its owner moves.
//
// Every rule has a number, and a line in RULES.md with the provider's statement
// that it stands for. What is not modelled is refused.
package gcstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Role is what a token may do: the names of permissions.
type Role []string

// The roles of the scheme: a PC that stores, somebody who restores, and whoever
// sets the bucket up.
func Uploader() Role {
	return Role{"storage.objects.create", "storage.objects.get", "storage.objects.list", "storage.objects.update"}
}

// Reader may look and nothing else.
func Reader() Role { return Role{"storage.objects.get", "storage.objects.list"} }

// Admin may do everything that is modelled.
func Admin() Role {
	return append(Uploader(), "storage.objects.delete", "storage.objects.setRetention",
		"storage.buckets.create", "storage.buckets.get", "storage.buckets.update")
}

// Options say how a Layer begins.
type Options struct {
	// Start is the first time of the virtual clock.
	Start time.Time
	// Tokens are the bearer tokens and what each may do.
	Tokens map[string]Role
	// PermissionFirst: R3 is looked at before R4.
	PermissionFirst bool
	// LifecycleDelay is how long the service takes to act on what is due (R15).
	LifecycleDelay time.Duration
}

// Layer is an http.Handler. Safe for concurrent use: changes happen one by one.
type Layer struct {
	upstream *url.URL
	client   *http.Client
	opt      Options

	mu       sync.Mutex
	now      time.Time
	buckets  map[string]*bucket
	requests map[string]int
}

// bucket is what the emulator forgets about a bucket.
type bucket struct {
	settings  map[string]json.RawMessage // lifecycle, retentionPolicy, softDeletePolicy as they were set
	rules     []rule
	retention time.Duration
	locked    bool
	there     bool               // the emulator has it
	objects   map[string]*object // live ones, as far as they were seen
}

// object is what the emulator forgets about a live object.
type object struct {
	generation, metageneration int64
	created, updated           time.Time
	custom                     time.Time // zero: none
	tempHold, eventHold        bool
}

// New stands a layer before the emulator at upstream, such as http://127.0.0.1:4443.
func New(upstream string, opt Options) (*Layer, error) {
	u, err := url.Parse(upstream)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("upstream: not an address: %q", upstream)
	}
	if opt.Start.IsZero() {
		return nil, fmt.Errorf("options: the clock needs a start")
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	return &Layer{upstream: u, client: client, opt: opt, now: opt.Start.UTC(),
		buckets: map[string]*bucket{}, requests: map[string]int{}}, nil
}

// Close lets go of idle connections.
func (l *Layer) Close() { l.client.CloseIdleConnections() }

// Now is the virtual time.
func (l *Layer) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// Requests counts what was asked for since the layer was made, by method name
// such as "objects.insert". Refused requests count too.
func (l *Layer) Requests() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make(map[string]int, len(l.requests))
	for method, n := range l.requests {
		counts[method] = n
	}
	return counts
}

// request is one request after routing.
type request struct {
	*http.Request
	method       string // "objects.patch", or empty
	bucket, name string
	role         Role
	body         []byte
}

// ServeHTTP answers one request: route, look at the token, then at the rules.
func (l *Layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := route(r)
	l.mu.Lock()
	l.requests[req.method]++
	date := l.now.Format(http.TimeFormat)
	l.mu.Unlock()
	w.Header().Set("Date", date) // R22
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	role, known := l.opt.Tokens[token]
	if token == "" || !known { // R1
		writeAnswer(w, refuse(http.StatusUnauthorized, "authError", "Invalid Credentials"))
		return
	}
	req.role = role
	if err := req.read(w); err != nil {
		writeAnswer(w, refuse(http.StatusBadRequest, "badRequest", err.Error()))
		return
	}
	writeAnswer(w, l.handle(req))
}

// methods are what is modelled and what it needs (R2).
func methods() map[string][]string {
	return map[string][]string{
		"objects.insert":              {"storage.objects.create"},
		"objects.get":                 {"storage.objects.get"},
		"objects.media":               {"storage.objects.get"},
		"objects.list":                {"storage.objects.list"},
		"objects.patch":               {"storage.objects.update"},
		"objects.delete":              {"storage.objects.delete"},
		"buckets.insert":              {"storage.buckets.create"},
		"buckets.get":                 {"storage.buckets.get"},
		"buckets.patch":               {"storage.buckets.update"},
		"buckets.lockRetentionPolicy": {"storage.buckets.update"},
		"buckets.testIamPermissions":  nil,
	}
}

func (l *Layer) handle(r *request) answer {
	needs, modelled := methods()[r.method]
	if !modelled { // R23
		return refuse(http.StatusNotImplemented, "notImplemented", "not modelled: "+r.Method+" "+r.URL.Path)
	}
	for _, permission := range needs { // R2
		if !slices.Contains(r.role, permission) {
			return lacks(permission)
		}
	}
	if r.method != "buckets.insert" && !l.bucketThere(r) { // R24
		return refuse(http.StatusNotFound, "notFound", "The specified bucket does not exist.")
	}
	switch r.method {
	case "objects.media": // reads go by without waiting for changes
		return l.media(r)
	case "buckets.testIamPermissions":
		return testPermissions(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.method {
	case "objects.insert":
		return l.insert(r)
	case "objects.get":
		return l.get(r)
	case "objects.list":
		return l.list(r)
	case "objects.patch":
		return l.patch(r)
	case "objects.delete":
		return l.remove(r)
	case "buckets.insert":
		return l.makeBucket(r)
	case "buckets.get":
		return l.getBucket(r)
	case "buckets.patch":
		return l.patchBucket(r)
	default:
		return l.lockBucket(r)
	}
}

func lacks(permission string) answer {
	return refuse(http.StatusForbidden, "forbidden", "caller does not have "+permission+" access to the Google Cloud Storage object.")
}

// route names the method of the JSON API. What it does not know has no name.
func route(r *http.Request) *request {
	req := &request{Request: r}
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	q := r.URL.Query()
	if rest, ok := strings.CutPrefix(path, "/upload/storage/v1/b/"); ok {
		name, end, _ := strings.Cut(rest, "/")
		if r.Method == http.MethodPost && end == "o" && q.Get("uploadType") == "multipart" {
			req.method, req.bucket = "objects.insert", unescape(name)
		}
		return req
	}
	if path == "/storage/v1/b" && r.Method == http.MethodPost {
		req.method = "buckets.insert"
		return req
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(path, "/download"), "/storage/v1/b/")
	if !ok || r.Header.Get("X-HTTP-Method-Override") != "" {
		return req
	}
	name, rest, _ := strings.Cut(rest, "/")
	req.bucket = unescape(name)
	kind, name, isObject := strings.Cut(rest, "/")
	switch {
	case kind == "o" && isObject && !strings.Contains(name, "/"): // a "/" in a name comes escaped
		req.name = unescape(name)
		req.method = map[string]string{http.MethodGet: "objects.get", http.MethodPatch: "objects.patch",
			http.MethodDelete: "objects.delete"}[r.Method]
		if req.method == "objects.get" && q.Get("alt") == "media" {
			req.method = "objects.media"
		}
	case rest == "o" && r.Method == http.MethodGet && q.Get("versions") != "true":
		req.method = "objects.list"
	case rest == "":
		req.method = map[string]string{http.MethodGet: "buckets.get", http.MethodPatch: "buckets.patch"}[r.Method]
	case rest == "lockRetentionPolicy" && r.Method == http.MethodPost:
		req.method = "buckets.lockRetentionPolicy"
	case rest == "iam/testPermissions" && r.Method == http.MethodGet:
		req.method = "buckets.testIamPermissions"
	}
	return req
}

// unescape leaves what cannot be unescaped as it is: no object has such a name.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

func testPermissions(r *request) answer {
	has := []string{}
	for _, permission := range r.URL.Query()["permissions"] {
		if slices.Contains(r.role, permission) {
			has = append(has, permission)
		}
	}
	return jsonAnswer(map[string]any{"kind": "storage#testIamPermissionsResponse", "permissions": has})
}

// bucketThere asks the emulator once: it would make a missing bucket by itself.
func (l *Layer) bucketThere(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[r.bucket]
	if b != nil && b.there {
		return true
	}
	if l.ask(r.Context(), http.MethodGet, "/storage/v1/b/"+url.PathEscape(r.bucket), nil).status != http.StatusOK {
		return false
	}
	l.bucketOf(r.bucket).there = true
	return true
}

func (l *Layer) bucketOf(name string) *bucket {
	b := l.buckets[name]
	if b == nil {
		b = &bucket{settings: map[string]json.RawMessage{}, objects: map[string]*object{}}
		l.buckets[name] = b
	}
	return b
}
