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
)

// Options say what account the Layer plays.
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

	write sync.Mutex // one change at a time, from the question to the state
	mu    sync.Mutex // guards what follows; never held while waiting
	now   time.Time
	next  time.Time // when lifecycle rules run next
	ticks int64     // makes version ids unique
	blobs map[string]*blobState
	pages map[string]string // marker of a listing: the last name before it
	count map[string]int

	tracking bool
	tracked  time.Time // when tracking was last switched on
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
}

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
		tracking: opt.Tracking, tracked: opt.Start,
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
	path, ok := strings.CutPrefix(r.URL.Path, "/"+l.opt.Upstream.Account+"/")
	if !ok {
		c.refuse(http.StatusBadRequest, "InvalidUri")
		return
	}
	c.container, c.name, _ = strings.Cut(path, "/")
	op := c.operation()
	l.mu.Lock()
	l.count[op]++
	l.mu.Unlock()
	if !c.permitted(op) {
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
	case "List Blobs":
		c.list()
	case "Set Blob Metadata", "Set Blob Properties":
		c.change()
	case "Create Container", "Get Container Properties", "Set Blob Tags", "Set Blob Tier", "Put Block", "Get Service":
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
	case c.container == "":
		return "Get Service"
	case c.name == "":
		return map[string]string{"PUT ": "Create Container", "GET ": "Get Container Properties", "HEAD ": "Get Container Properties",
			"DELETE ": "Delete Container", "GET list": "List Blobs"}[method+" "+comp]
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

// letters are the permissions of a SAS, any of which an operation needs.
var letters = map[string]string{
	"Get Blob": "r", "Get Blob Properties": "r", "List Blobs": "l", "Put Blob": "cw", "Copy Blob": "cw", "Delete Blob": "d",
	"Set Blob Immutability Policy": "i", "Delete Blob Immutability Policy": "i", "Set Blob Legal Hold": "i", "Set Blob Metadata": "w",
	"Set Blob Properties": "w", "Set Blob Tags": "t", "Set Blob Tier": "w", "Put Block": "w", "Put Block List": "w", "Lease Blob": "w",
	"Snapshot Blob": "cw", "Undelete Blob": "w",
}

// permitted holds a SAS to its letters. Its signature is Azurite's to check, and a
// shared key may do everything.
func (c *call) permitted(op string) bool {
	if c.query.Get("sig") == "" {
		return true
	}
	has, need := c.query.Get("sp"), letters[op]
	if op == "Delete Blob" && c.query.Has("versionid") {
		need = "x"
	}
	policyHeader := c.r.Header.Get("X-Ms-Immutability-Policy-Until-Date") != "" || c.r.Header.Get("X-Ms-Legal-Hold") != ""
	if !strings.ContainsAny(has, need) || policyHeader && !strings.Contains(has, "i") {
		c.refuse(http.StatusForbidden, "AuthorizationPermissionMismatch")
		return false
	}
	return true
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
	req, err := http.NewRequestWithContext(context.WithoutCancel(c.r.Context()), c.r.Method, u.String(), bytes.NewReader(c.body))
	if err != nil {
		return c.broken(err)
	}
	req.Header = c.r.Header.Clone()
	req.Header.Del("Connection")
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
