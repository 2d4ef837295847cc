// Package gcstest makes a plain emulator keep the rules of Google Cloud Storage
// that retention stands on: customTime that only moves later, lifecycle removal,
// retention periods, holds and permissions. Layer is an HTTP handler before the
// emulator, with a clock that only its owner moves.
//
// Every rule has a number, and a line in RULES.md with the provider's statement
// that it stands for. What is not modelled is refused.
package gcstest

import (
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

// Uploader is the role of a PC that stores, where a test installs no printed one.
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
	// Tokens are the bearer tokens and what each may do everywhere.
	Tokens map[string]Role
	// Members are further bearer tokens, whose rights Gcloud grants, such as
	// "serviceAccount:uploader@project.iam.gserviceaccount.com".
	Members map[string]string
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
	roles    map[string]Role // custom ones, by full name
	grants   []grant
}

// bucket is what the emulator forgets about a bucket.
type bucket struct {
	settings       map[string]any // those of kept, as they were set
	location       string
	metageneration int64
	rules          []rule
	retention      time.Duration
	locked         bool
	there          bool               // the emulator has it
	objects        map[string]*object // live ones, as far as they were seen
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
		buckets: map[string]*bucket{}, requests: map[string]int{}, roles: map[string]Role{}}, nil
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
	role         Role    // what the token may do everywhere
	grants       []grant // what its member was granted
	body         []byte
	meta         fields // of an insert
	metaErr      error
}

// ServeHTTP answers one request: route, look at the token, then at the rules.
func (l *Layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := route(r)
	l.mu.Lock()
	l.requests[req.method]++
	date := l.now.Format(http.TimeFormat)
	grants := slices.Clone(l.grants)
	l.mu.Unlock()
	w.Header().Set("Date", date) // R22
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	role, known := l.opt.Tokens[token]
	member, granted := l.opt.Members[token]
	if token == "" || !known && !granted { // R1
		writeAnswer(w, refuse(http.StatusUnauthorized, "authError", "Invalid Credentials"))
		return
	}
	req.role = role
	req.grants = slices.DeleteFunc(grants, func(g grant) bool { return !granted || g.member != member })
	if err := req.read(w); err != nil {
		writeAnswer(w, refuse(http.StatusBadRequest, "badRequest", err.Error()))
		return
	}
	writeAnswer(w, l.handle(req))
}

// method is what a method of the JSON API needs, and whether it is modelled
// beyond that.
type method struct {
	needs    []string
	modelled bool
}

// methods are those whose permissions are kept (R2).
func methods() map[string]method {
	const get, list, create, update = "storage.objects.get", "storage.objects.list", "storage.objects.create", "storage.objects.update"
	const change = "storage.buckets.update"
	return map[string]method{
		"objects.insert":              {[]string{create}, true},
		"objects.get":                 {[]string{get}, true},
		"objects.media":               {[]string{get}, true},
		"objects.list":                {[]string{list}, true},
		"objects.patch":               {[]string{get, update}, true},
		"objects.update":              {[]string{update}, true},
		"objects.delete":              {[]string{"storage.objects.delete"}, true},
		"objects.otherInsert":         {[]string{create}, false},
		"objects.rewrite":             {[]string{get, create}, false},
		"objects.copy":                {[]string{get, create}, false},
		"objects.compose":             {[]string{get, create}, false},
		"objects.move":                {[]string{"storage.objects.move", create}, false},
		"objects.restore":             {[]string{"storage.objects.restore", create}, false},
		"objectAccessControls":        {[]string{"storage.objects.setIamPolicy"}, false},
		"buckets.insert":              {[]string{"storage.buckets.create"}, true},
		"buckets.get":                 {[]string{"storage.buckets.get"}, true},
		"buckets.patch":               {[]string{change}, true},
		"buckets.update":              {[]string{change}, false},
		"buckets.delete":              {[]string{"storage.buckets.delete"}, false},
		"buckets.lockRetentionPolicy": {[]string{change}, true},
		"buckets.getIamPolicy":        {[]string{"storage.buckets.getIamPolicy"}, false},
		"buckets.setIamPolicy":        {[]string{"storage.buckets.setIamPolicy"}, false},
		"buckets.testIamPermissions":  {nil, true},
		"notifications":               {[]string{change}, false},
	}
}

// writes are the methods that make an object, of which R3 is kept.
func writes() []string {
	return []string{"objects.otherInsert", "objects.rewrite", "objects.copy", "objects.compose", "objects.move", "objects.restore"}
}

func (l *Layer) handle(r *request) answer {
	m, known := methods()[r.method]
	for _, permission := range m.needs { // R2
		if !r.may(permission, r.name) {
			return lacks(permission)
		}
	}
	if known && r.method != "buckets.insert" && !l.bucketThere(r) { // R24
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
	if slices.Contains(writes(), r.method) && l.load(r, r.name) != nil && !r.may("storage.objects.delete", r.name) { // R3
		return lacks("storage.objects.delete")
	}
	if !m.modelled { // R23
		return refuse(http.StatusNotImplemented, "notImplemented", "not modelled: "+r.Method+" "+r.URL.Path)
	}
	switch r.method {
	case "objects.insert":
		return l.insert(r)
	case "objects.get":
		return l.get(r)
	case "objects.list":
		return l.list(r)
	case "objects.patch", "objects.update":
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

func testPermissions(r *request) answer {
	has := []string{}
	for _, permission := range r.URL.Query()["permissions"] {
		if r.may(permission, "") {
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
		b = newBucket()
		l.buckets[name] = b
	}
	return b
}

func newBucket() *bucket {
	return &bucket{settings: map[string]any{}, metageneration: 1, objects: map[string]*object{}}
}
