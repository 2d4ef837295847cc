package gcs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/gcs/gcstest"
	"offsite/providers/providertest"
)

const (
	uploader = "token-of-the-uploader"
	reader   = "token-of-the-reader"
	admin    = "token-of-the-admin"
)

const day = 24 * time.Hour

// start is far from the real time, so that a test which mixes the clocks fails.
func start() time.Time { return time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC) }

// enforced is a bucket behind a layer of its own.
type enforced struct {
	*testing.T
	layer  *gcstest.Layer
	url    string
	bucket string
}

func enforce(t *testing.T, opt gcstest.Options) enforced {
	t.Helper()
	upstream := serverURL(t)
	opt.Start = start()
	opt.Tokens = map[string]gcstest.Role{uploader: gcstest.Uploader(), reader: gcstest.Reader(), admin: gcstest.Admin()}
	layer, err := gcstest.New(upstream, opt)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(layer)
	t.Cleanup(func() { web.Close(); layer.Close() })
	return enforced{t, layer, web.URL, newBucket(t, upstream)}
}

func (e enforced) open(token string) *gcs.Driver {
	e.Helper()
	return open(e.T, gcs.Config{Bucket: e.bucket, Prefix: "practice/one", Endpoint: e.url, Token: token})
}

// ask makes one plain request and returns the status and the body.
func (e enforced) ask(token, method, path, contentType, body string) (int, string) {
	e.Helper()
	req, err := http.NewRequestWithContext(e.Context(), method, e.url+path, strings.NewReader(body))
	if err != nil {
		e.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		e.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		e.Fatal(err)
	}
	return res.StatusCode, string(data)
}

// settings changes the bucket as its admin does.
func (e enforced) settings(body string) {
	e.Helper()
	if status, text := e.ask(admin, http.MethodPatch, "/storage/v1/b/"+e.bucket, "application/json", body); status != http.StatusOK {
		e.Fatalf("bucket settings: status %d: %s", status, text)
	}
}

// theRule is the one lifecycle rule of the scheme, below the prefix of the tests.
const theRule = `{"lifecycle":{"rule":[{"action":{"type":"Delete"},"condition":{"daysSinceCustomTime":1,"matchesPrefix":["practice/one/r/"]}}]}}`

func (e enforced) object(key string) string {
	return "/storage/v1/b/" + e.bucket + "/o/" + url.PathEscape("practice/one/"+key)
}

func (e enforced) advance(d time.Duration) []string {
	e.Helper()
	removed, err := e.layer.Advance(context.WithoutCancel(e.Context()), d)
	if err != nil {
		e.Fatal(err)
	}
	names := []string{}
	for _, r := range removed {
		names = append(names, strings.TrimPrefix(r.Name, "practice/one/"))
	}
	return names
}

func (e enforced) put(d *gcs.Driver, key string, lease time.Time) providers.Version {
	e.Helper()
	v, err := d.Put(e.Context(), key, []byte("bytes of "+key), providers.PutOptions{Lease: lease})
	if err != nil {
		e.Fatal(err)
	}
	return v
}

func (e enforced) wantKind(what string, err, kind error) {
	e.Helper()
	if providers.KindOf(err) != kind {
		e.Errorf("%s: %v, want %v", what, err, kind)
	}
}

// The contract before a server that keeps the provider's rules, by the admin,
// because the cases replace objects.
func TestContractEnforced(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providers.Driver {
		e := enforce(t, gcstest.Options{})
		c := gcs.Config{Bucket: e.bucket, Prefix: "practice/one", Endpoint: e.url, Token: admin}
		return &opened{open(t, c), c, nil}
	}, abilities)
}

func TestUploaderCreatesReadsAndRaisesOnly(t *testing.T) {
	for _, permissionFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("permission first %v", permissionFirst), func(t *testing.T) {
			e := enforce(t, gcstest.Options{PermissionFirst: permissionFirst})
			d := e.open(uploader)
			v := e.put(d, "r/a", start().Add(10*day))
			// A taken key is taken, in whichever order the service looks.
			_, err := d.Put(t.Context(), "r/a", []byte("others"), providers.PutOptions{})
			e.wantKind("create again", err, providers.ErrExist)
			// Replacing is the admin's.
			_, err = d.Put(t.Context(), "r/a", []byte("others"), providers.PutOptions{Replace: v})
			e.wantKind("replace", err, providers.ErrDenied)
			if err := d.Raise(t.Context(), "r/a", v, start().Add(20*day)); err != nil {
				t.Error(err)
			}
			if got, err := d.Get(t.Context(), "r/a", v, 0, -1); err != nil || string(got) != "bytes of r/a" {
				t.Errorf("get: %q, %v", got, err)
			}
			if now, err := d.Time(t.Context()); err != nil || !now.Equal(start()) {
				t.Errorf("time: %v, %v", now, err)
			}
		})
	}
}

func TestReaderOnlyReads(t *testing.T) {
	e := enforce(t, gcstest.Options{})
	v := e.put(e.open(uploader), "r/a", start().Add(day))
	d := e.open(reader)
	if obj, err := d.Stat(t.Context(), "r/a", v); err != nil || !obj.Lease.Equal(start().Add(day)) {
		t.Errorf("stat: %+v, %v", obj, err)
	}
	_, err := d.Put(t.Context(), "r/b", nil, providers.PutOptions{})
	e.wantKind("create", err, providers.ErrDenied)
	e.wantKind("raise", d.Raise(t.Context(), "r/a", v, start().Add(2*day)), providers.ErrDenied)
	if err := d.Raise(t.Context(), "r/a", v, start()); err != nil {
		t.Errorf("raise to an earlier time asks for nothing that is not allowed: %v", err)
	}
}

func TestUnknownTokenIsDenied(t *testing.T) {
	e := enforce(t, gcstest.Options{})
	d := e.open("nobody's token")
	_, err := d.Put(t.Context(), "r/a", nil, providers.PutOptions{})
	e.wantKind("put", err, providers.ErrDenied)
	if err == nil || strings.Contains(err.Error(), "nobody's token") {
		t.Errorf("the error repeats the token: %v", err)
	}
	_, err = d.Stat(t.Context(), "r/a", "")
	e.wantKind("stat", err, providers.ErrDenied)
	_, err = d.Time(t.Context())
	e.wantKind("time", err, providers.ErrDenied)
}

// A bucket that is gone is a store that is gone, never a missing object.
func TestMissingBucketIsUnreachable(t *testing.T) {
	e := enforce(t, gcstest.Options{})
	behind := open(t, gcs.Config{Bucket: "no-such-bucket", Endpoint: e.url, Token: admin})
	direct := open(t, gcs.Config{Bucket: "no-such-bucket", Endpoint: serverURL(t)})
	for name, d := range map[string]*gcs.Driver{"layer": behind, "server": direct} {
		_, err := d.Get(t.Context(), "r/a", "", 0, -1)
		e.wantKind(name+": get", err, providers.ErrUnreachable)
		_, err = d.Stat(t.Context(), "r/a", "")
		e.wantKind(name+": stat", err, providers.ErrUnreachable)
		e.wantKind(name+": raise", d.Raise(t.Context(), "r/a", "", start()), providers.ErrUnreachable)
		for _, err = range d.List(t.Context(), "", "") {
		}
		e.wantKind(name+": list", err, providers.ErrUnreachable)
		_, err = d.Time(t.Context())
		e.wantKind(name+": time", err, providers.ErrUnreachable)
	}
	_, err := behind.Put(t.Context(), "r/a", nil, providers.PutOptions{})
	e.wantKind("put", err, providers.ErrUnreachable)
}

func TestLifecycleRemovesWhatLapsedAndNothingElse(t *testing.T) {
	e := enforce(t, gcstest.Options{})
	e.settings(theRule)
	d := e.open(uploader)
	e.put(d, "r/short", start().Add(2*day))
	raised := e.put(d, "r/raised", start().Add(2*day))
	e.put(d, "r/without", time.Time{})
	e.put(d, "head", start().Add(2*day)) // outside the prefix of the rule
	if err := d.Raise(t.Context(), "r/raised", raised, start().Add(5*day)); err != nil {
		t.Fatal(err)
	}
	for n, want := range [][]string{{}, {}, {}, {"r/short"}, {}, {}, {"r/raised"}, {}} {
		if n == 0 {
			continue
		}
		if got := e.advance(day); !slices.Equal(got, want) {
			t.Errorf("day %d: removed %q, want %q", n, got, want)
		}
	}
	if got := e.advance(4000 * day); len(got) != 0 {
		t.Errorf("removed %q, which have no lease or lie outside the rule", got)
	}
	keys := []string{}
	for obj, err := range d.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	if !slices.Equal(keys, []string{"head", "r/without"}) {
		t.Errorf("left: %q", keys)
	}
	// The key is free again, with a new lease.
	e.put(d, "r/short", e.layer.Now().Add(day))
}

func TestLifecycleWaitsForRetentionAndHolds(t *testing.T) {
	e := enforce(t, gcstest.Options{LifecycleDelay: day})
	e.settings(theRule)
	e.settings(`{"retentionPolicy":{"retentionPeriod":"864000"}}`) // ten days
	d := e.open(uploader)
	e.put(d, "r/young", start().Add(day))
	e.put(d, "r/held", start().Add(day))
	if status, text := e.ask(uploader, http.MethodPatch, e.object("r/held"), "application/json", `{"temporaryHold":true}`); status != http.StatusOK {
		t.Fatalf("hold: %d %s", status, text)
	}
	if got := e.advance(9 * day); len(got) != 0 {
		t.Errorf("removed %q below the retention period", got)
	}
	if got := e.advance(day); !slices.Equal(got, []string{"r/young"}) {
		t.Errorf("removed %q, want the one that is old enough", got)
	}
	// The admin clears a hold that a thief has set.
	if status, text := e.ask(admin, http.MethodPatch, e.object("r/held"), "application/json", `{"temporaryHold":false}`); status != http.StatusOK {
		t.Fatalf("clear hold: %d %s", status, text)
	}
	if got := e.advance(0); !slices.Equal(got, []string{"r/held"}) {
		t.Errorf("removed %q, want what was held", got)
	}
}

// The retention period binds whoever may delete as well.
func TestReplaceBelowTheRetentionPeriodIsHeld(t *testing.T) {
	e := enforce(t, gcstest.Options{})
	e.settings(`{"retentionPolicy":{"retentionPeriod":"86400"}}`)
	d := e.open(admin)
	v := e.put(d, "head.json", time.Time{})
	_, err := d.Put(t.Context(), "head.json", []byte("two"), providers.PutOptions{Replace: v})
	e.wantKind("replace of a young object", err, providers.ErrHeld)
	e.advance(day)
	if _, err = d.Put(t.Context(), "head.json", []byte("two"), providers.PutOptions{Replace: v}); err != nil {
		t.Error(err)
	}
}

// A thief has the uploader's token and the wire. Whatever is tried, what is
// stored stays readable by its version, and its lease is no shorter.
func TestThiefWithTheUploadersToken(t *testing.T) {
	e := enforce(t, gcstest.Options{})
	e.settings(theRule)
	e.settings(`{"retentionPolicy":{"retentionPeriod":"86400"}}`)
	d := e.open(uploader)
	lease := start().Add(30 * day)
	v := e.put(d, "r/a", lease)
	object, bucket := e.object("r/a"), "/storage/v1/b/"+e.bucket
	const boundary = "multipart/related; boundary=b"
	insert := func(meta string) string {
		return "--b\r\nContent-Type: application/json\r\n\r\n" + meta + "\r\n--b\r\nContent-Type: text/plain\r\n\r\ngarbage\r\n--b--\r\n"
	}
	name := `"name":"practice/one/r/a"`
	upload := "/upload" + bucket + "/o?uploadType=multipart"
	for _, attack := range []struct {
		what, method, path, contentType, body string
		status                                int
	}{
		{"delete", http.MethodDelete, object, "", "", 403},
		{"delete the generation", http.MethodDelete, object + "?generation=" + string(v), "", "", 403},
		{"overwrite", http.MethodPost, upload, boundary, insert(`{` + name + `}`), 403},
		{"overwrite with its generation", http.MethodPost, upload + "&ifGenerationMatch=" + string(v), boundary, insert(`{` + name + `}`), 403},
		{"overwrite by a plain upload", http.MethodPost, "/upload" + bucket + "/o?uploadType=media&name=practice/one/r/a", "text/plain", "garbage", 403},
		{"overwrite by the other API", http.MethodPut, "/" + e.bucket + "/practice/one/r/a", "text/plain", "garbage", 403},
		{"rewrite onto itself", http.MethodPost, object + "/rewriteTo/b/" + e.bucket + "/o/practice%2Fone%2Fr%2Fa", "application/json", `{}`, 403},
		{"compose over it", http.MethodPost, object + "/compose", "application/json", `{}`, 403},
		{"full update without a lease", http.MethodPut, object, "application/json", `{}`, 200},
		{"earlier lease", http.MethodPatch, object, "application/json", `{"customTime":"2031-03-05T00:00:00Z"}`, 400},
		{"no lease", http.MethodPatch, object, "application/json", `{"customTime":null}`, 200},
		{"object retention", http.MethodPatch, object, "application/json", `{"retention":{"mode":"Locked","retainUntilTime":"2130-01-01T00:00:00Z"}}`, 403},
		{"object retention at insert", http.MethodPost, upload, boundary, insert(`{"name":"practice/one/r/z","retention":{"mode":"Locked"}}`), 403},
		{"other content encoding", http.MethodPatch, object, "application/json", `{"contentEncoding":"gzip"}`, 200},
		{"lifecycle that eats all", http.MethodPatch, bucket, "application/json", `{"lifecycle":{"rule":[{"action":{"type":"Delete"},"condition":{"age":0}}]}}`, 403},
		{"no retention", http.MethodPatch, bucket, "application/json", `{"retentionPolicy":null}`, 403},
		{"lock a long retention", http.MethodPost, bucket + "/lockRetentionPolicy?ifMetagenerationMatch=1", "", "", 403},
		{"delete the bucket", http.MethodDelete, bucket, "", "", 403},
		{"method override", http.MethodPost, object, "application/json", `{}`, 501},
		// What nobody can refuse, and what follows from it.
		{"lease of 99 years", http.MethodPatch, object, "application/json", `{"customTime":"2130-01-01T00:00:00Z"}`, 200},
		{"hold", http.MethodPatch, object, "application/json", `{"temporaryHold":true}`, 200},
	} {
		status, text := e.ask(uploader, attack.method, attack.path, attack.contentType, attack.body)
		t.Logf("%-32s -> %d", attack.what, status)
		if status != attack.status {
			t.Errorf("%s: status %d, want %d: %s", attack.what, status, attack.status, text)
		}
		obj, err := d.Stat(t.Context(), "r/a", v)
		if err != nil || obj.Lease.Before(lease) {
			t.Errorf("after %s: %+v, %v", attack.what, obj, err)
		}
		got, err := d.Get(t.Context(), "r/a", v, 0, -1)
		if err != nil || string(got) != "bytes of r/a" {
			t.Errorf("after %s the object reads %q, %v", attack.what, got, err)
		}
	}
	if got := e.advance(31 * day); len(got) != 0 {
		t.Errorf("removed %q", got)
	}
}

// Requests are money and time: a change that adds one must be meant.
func TestRequestsPerVerb(t *testing.T) {
	e := enforce(t, gcstest.Options{})
	d := e.open(uploader)
	count := func(what string, want map[string]int, f func() error) {
		t.Helper()
		before := e.layer.Requests()
		if err := f(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got := map[string]int{}
		for method, n := range e.layer.Requests() {
			if n -= before[method]; n != 0 {
				got[method] = n
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: requests %v, want %v", what, got, want)
		}
	}
	var v providers.Version
	count("put", map[string]int{"objects.insert": 1}, func() (err error) {
		v, err = d.Put(t.Context(), "r/a", bytes.Repeat([]byte("x"), 9<<20), providers.PutOptions{Lease: start()})
		return err
	})
	count("put of a taken key", map[string]int{"objects.insert": 1}, func() error {
		_, err := d.Put(t.Context(), "r/a", nil, providers.PutOptions{})
		return wanted(err, providers.ErrExist)
	})
	get := func(off, n int64) func() error {
		return func() error { _, err := d.Get(t.Context(), "r/a", v, off, n); return err }
	}
	count("get", map[string]int{"objects.media": 1}, get(0, -1))
	count("get of a range", map[string]int{"objects.media": 1}, get(1<<20, 1<<20))
	count("get of no bytes", map[string]int{"objects.get": 1}, get(7, 0))
	count("get from the end", map[string]int{"objects.media": 1, "objects.get": 1}, get(9<<20, -1))
	count("get of what is missing", map[string]int{"objects.media": 1}, func() error {
		_, err := d.Get(t.Context(), "r/missing", "", 0, -1)
		return wanted(err, providers.ErrNotExist)
	})
	count("stat", map[string]int{"objects.get": 1}, func() error { _, err := d.Stat(t.Context(), "r/a", v); return err })
	count("raise", map[string]int{"objects.get": 1, "objects.patch": 1}, func() error {
		return d.Raise(t.Context(), "r/a", v, start().Add(day))
	})
	count("raise to what is there", map[string]int{"objects.get": 1}, func() error {
		return d.Raise(t.Context(), "r/a", v, start().Add(day))
	})
	count("time", map[string]int{"objects.get": 1}, func() error { _, err := d.Time(t.Context()); return err })
	list := func() error {
		for _, err := range d.List(t.Context(), "", "") {
			if err != nil {
				return err
			}
		}
		return nil
	}
	count("list", map[string]int{"objects.list": 1}, list)
	count("list after everything", map[string]int{}, func() error {
		for range d.List(t.Context(), "r/a", "r/b") {
			return errors.New("something listed")
		}
		return nil
	})
}

func wanted(err, kind error) error {
	if providers.KindOf(err) == kind {
		return nil
	}
	return fmt.Errorf("%w, want %w", err, kind)
}
