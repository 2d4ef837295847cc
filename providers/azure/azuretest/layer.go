package azuretest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
)

// WORMLifecycle is what lifecycle rules do in a container with version-level
// immutability. The provider does not say; RULES.md.
type WORMLifecycle int

const (
	SkipsLocked WORMLifecycle = iota // locked versions wait until they lapse
	NeverActs                        // nothing there is ever removed by a rule
	HidesLocked                      // a locked present version becomes an older one, as a deletion makes it, and waits then
)

// Options say what account the Layer plays. What the management plane can set
// (versions, tracking, rules, immutability of containers) is only the beginning.
type Options struct {
	Upstream *Server
	Start    time.Time // of the virtual clock

	Versions      bool
	Immutable     bool          // version-level immutability on every container
	DefaultPolicy time.Duration // locked, inherited by every new version; 0: none
	Lifecycle     WORMLifecycle
	Tracking      bool // of the last access, from the start
	Rules         []Rule

	// TakenCode is what a credential without the right to overwrite gets for a taken
	// key: UnauthorizedBlobOverwrite (the default), AuthorizationPermissionMismatch, or
	// BlobAlreadyExists. The provider does not say which.
	TakenCode string
}

// Layer is an http.Handler that plays Azure. Safe for concurrent use.
type Layer struct {
	opt    Options
	client *http.Client

	write sync.RWMutex // one change at a time, from the question to the state, and no reading meanwhile
	mu    sync.Mutex   // guards what follows; never held while waiting
	now   time.Time
	next  time.Time // when lifecycle rules run next
	ticks int64     // makes version ids unique
	blobs map[string]*blobState
	pages map[string]string // marker of a listing: the last name before it
	count map[string]int

	versions   bool
	tracking   bool
	tracked    time.Time // when tracking was last switched on
	rules      []Rule
	containers map[string]container // those whose immutability is not that of Options
	arm        resources
	roles      map[string]role // by bearer token
	all        string          // a SAS of everything, for what a role allows
}

// container is the immutability of one container.
type container struct {
	immutable bool
	standard  time.Duration // the policy of new versions; 0: none
	unlocked  bool          // that policy
}

// setting is what counts for one container now. The caller holds mu.
func (l *Layer) setting(name string) container {
	if c, ok := l.containers[name]; ok {
		return c
	}
	return container{immutable: l.opt.Immutable, standard: l.opt.DefaultPolicy}
}

// blobState is everything about one container/name.
type blobState struct {
	current  *version
	previous []*version // oldest first
}

type version struct {
	id       string // empty without versions
	created  time.Time
	accessed time.Time
	header   http.Header // of a whole read
	body     []byte      // kept only with versions
	policy   policy
	hold     bool // legal
}

// kept says whether the version must not be removed or changed.
func (v *version) kept(now time.Time) bool { return v.hold || v.policy.lockedAt(now) }

// policy is an immutability policy; the zero one is none.
type policy struct {
	until  time.Time
	locked bool
}

func (p policy) lockedAt(now time.Time) bool { return p.locked && now.Before(p.until) }

// New makes a Layer before a running Azurite.
func New(opt Options) *Layer {
	if opt.TakenCode == "" {
		opt.TakenCode = "UnauthorizedBlobOverwrite"
	}
	return &Layer{
		opt: opt, now: opt.Start, next: opt.Start.Add(day),
		client:   &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}},
		blobs:    map[string]*blobState{},
		pages:    map[string]string{},
		count:    map[string]int{},
		versions: opt.Versions, tracking: opt.Tracking, tracked: opt.Start, rules: opt.Rules,
		containers: map[string]container{},
		roles:      map[string]role{},
	}
}

// Now is the virtual time.
func (l *Layer) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// Requests returns how many requests of each kind came in, and begins anew.
func (l *Layer) Requests() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := maps.Clone(l.count)
	clear(l.count)
	return out
}

// SetTracking switches the tracking of the last access on or off.
func (l *Layer) SetTracking(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on && !l.tracking {
		l.tracked = l.now
	}
	l.tracking = on
}

// SetUnlocked gives the current version an unlocked policy, as an administrator can.
func (l *Layer) SetUnlocked(container, name string, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blobs[container+"/"+name].current.policy = policy{until: until}
}

// call is one request, taken apart.
type call struct {
	l         *Layer
	w         http.ResponseWriter
	r         *http.Request
	query     url.Values
	container string
	name      string
	body      []byte
}

func (c *call) key() string { return c.container + "/" + c.name }

func (l *Layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	c := &call{l: l, w: w, r: r, query: r.URL.Query(), body: body}
	path, ok := strings.CutPrefix(r.URL.Path+"/", "/"+l.opt.Upstream.Account+"/")
	path = strings.TrimSuffix(path, "/")
	if !ok {
		c.refuse(http.StatusBadRequest, "InvalidUri")
		return
	}
	c.container, c.name, _ = strings.Cut(path, "/")
	op := c.operation()
	l.mu.Lock()
	l.count[op]++
	l.mu.Unlock()
	if !c.permitted(op) || c.stale(op) {
		return
	}
	switch op {
	case "Get Blob", "Get Blob Properties":
		c.read(op)
	case "Put Blob":
		c.put()
	case "Delete Blob":
		c.remove()
	case "Set Blob Immutability Policy":
		c.setPolicy()
	case "Delete Blob Immutability Policy":
		c.deletePolicy()
	case "Set Blob Legal Hold":
		c.setHold()
	case "Put Block List":
		c.commit()
	case "Undelete Blob":
		c.done(http.StatusOK, func(http.Header) {}) // soft deletion is not modelled: nothing to bring back
	case "Delete Container":
		c.removeContainer()
	case "Set Blob Service Properties": // Azurite takes no document that names none
		c.done(http.StatusAccepted, func(http.Header) {})
	case "List Blobs":
		c.list()
	case "Set Blob Metadata", "Set Blob Properties":
		c.change()
	case "Create Container", "Get Container Properties", "Set Blob Tags", "Set Blob Tier", "Put Block", "Lease Blob", "Get Service",
		"Set Container ACL", "Set Container Metadata", "Lease Container":
		c.answer(c.forward())
	case "Copy Blob":
		if !c.taken() {
			c.refuse(http.StatusNotImplemented, "NotImplemented")
		}
	default:
		c.refuse(http.StatusNotImplemented, "NotImplemented")
	}
}

// operation names the request as the provider's documents do.
func (c *call) operation() string {
	comp, method := c.query.Get("comp"), c.r.Method
	switch {
	case c.container == "" && method == http.MethodPut:
		return "Set Blob Service Properties"
	case c.container == "":
		return "Get Service"
	case c.name == "":
		return map[string]string{"PUT ": "Create Container", "GET ": "Get Container Properties", "HEAD ": "Get Container Properties",
			"DELETE ": "Delete Container", "GET list": "List Blobs", "PUT acl": "Set Container ACL", "PUT metadata": "Set Container Metadata",
			"PUT lease": "Lease Container"}[method+" "+comp]
	case comp == "":
		switch {
		case method == http.MethodPut && c.r.Header.Get("X-Ms-Copy-Source") != "":
			return "Copy Blob"
		case method == http.MethodPut && c.r.Header.Get("X-Ms-Blob-Type") == "BlockBlob":
			return "Put Blob"
		}
		return map[string]string{http.MethodGet: "Get Blob", http.MethodHead: "Get Blob Properties", http.MethodDelete: "Delete Blob"}[method]
	}
	return map[string]string{
		"PUT immutabilityPolicies": "Set Blob Immutability Policy", "DELETE immutabilityPolicies": "Delete Blob Immutability Policy",
		"PUT metadata": "Set Blob Metadata", "PUT properties": "Set Blob Properties", "PUT tags": "Set Blob Tags", "PUT tier": "Set Blob Tier",
		"PUT block": "Put Block", "PUT blocklist": "Put Block List", "PUT lease": "Lease Blob", "PUT legalhold": "Set Blob Legal Hold",
		"PUT snapshot": "Snapshot Blob", "PUT undelete": "Undelete Blob",
	}[method+" "+comp]
}

// reply is an answer of Azurite.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) ok() bool { return r.status/100 == 2 }

// forward asks Azurite the very same question, so that it checks the credential. A
// write is not cut short when the client leaves: the state here must follow.
func (c *call) forward() reply {
	upstream, err := url.Parse(c.l.opt.Upstream.URL)
	if err != nil {
		return c.broken(err)
	}
	u := *c.r.URL
	u.Scheme, u.Host = upstream.Scheme, upstream.Host
	bearer := c.token() != ""
	if bearer { // the role allows it; Azurite knows no tokens over plain HTTP
		sas, err := c.l.everything()
		if err != nil {
			return c.broken(err)
		}
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+sas, "&")
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(c.r.Context()), c.r.Method, u.String(), bytes.NewReader(c.body))
	if err != nil {
		return c.broken(err)
	}
	req.Header = c.r.Header.Clone()
	req.Header.Del("Connection")
	if bearer {
		req.Header.Del("Authorization")
	}
	resp, err := c.l.client.Do(req)
	if err != nil {
		return c.broken(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return c.broken(err)
	}
	return reply{resp.StatusCode, resp.Header, body}
}

func (c *call) broken(err error) reply {
	return reply{http.StatusBadGateway, http.Header{}, []byte(err.Error())}
}

// answer passes a reply on, at the virtual time.
func (c *call) answer(r reply) {
	h := c.w.Header()
	for name, values := range r.header {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive":
		default:
			h[name] = values
		}
	}
	h.Set("Date", c.l.Now().UTC().Format(http.TimeFormat))
	if c.r.Method == http.MethodHead {
		h["Content-Length"] = r.header["Content-Length"]
	} else {
		h.Set("Content-Length", fmt.Sprint(len(r.body)))
	}
	c.w.WriteHeader(r.status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(r.body)
	}
}

// refuse answers with an error of the service.
func (c *call) refuse(status int, code string) {
	body := []byte(`<?xml version="1.0" encoding="utf-8"?><Error><Code>` + code + `</Code><Message>` + code + `</Message></Error>`)
	h := http.Header{"Content-Type": {"application/xml"}, "X-Ms-Error-Code": {code}, "X-Ms-Version": {c.r.Header.Get("X-Ms-Version")},
		"X-Ms-Request-Id": {"layer"}, "Content-Length": {fmt.Sprint(len(body))}}
	c.answer(reply{status, h, body})
}

// denied passes on that Azurite does not accept the credential. Any other answer of
// it means that it does.
func (c *call) denied(r reply) bool {
	if r.status != http.StatusUnauthorized && r.status != http.StatusForbidden {
		return false
	}
	c.answer(r)
	return true
}

// state returns what is stored under the call's key, or an empty state.
func (c *call) state() *blobState {
	s := c.l.blobs[c.key()]
	if s == nil {
		s = &blobState{}
	}
	return s
}

// find returns the version that the call names: the current one without a name.
func (c *call) find() *version {
	s, id := c.state(), c.query.Get("versionid")
	if id == "" || s.current != nil && s.current.id == id {
		return s.current
	}
	for _, v := range s.previous {
		if v.id == id {
			return v
		}
	}
	return nil
}

// upstream is the current blob in Azurite, for what rules do on their own.
func (l *Layer) upstream(key string) (*blob.Client, error) {
	cred, err := blob.NewSharedKeyCredential(l.opt.Upstream.Account, l.opt.Upstream.Key)
	if err != nil {
		return nil, err
	}
	return blob.NewClientWithSharedKeyCredential(l.opt.Upstream.URL+"/"+key, cred, nil)
}
