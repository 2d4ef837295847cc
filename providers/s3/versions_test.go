package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	"offsite/providers/s3"
)

// What stands above an object, a delete marker of the removal rule or the bytes
// of somebody with the upload credential, changes nothing for a reader.
func TestWhatStandsAboveAnObjectIsNoise(t *testing.T) {
	bucket := newBucket(t, locked)
	d := open(t, s3.Config{Bucket: bucket, Lock: true}).(*s3.Locked)
	c := owner(t)
	lease := time.Now().AddDate(0, 0, 20)
	overwrite := func(key string) {
		_, err := c.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("garbage of the same length?")})
		if err != nil {
			t.Fatal(err)
		}
	}
	hide := func(key string) {
		if _, err := c.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	above := map[string][]func(string){
		"r/p/aa/plain":  {},
		"r/p/ab/hidden": {hide},
		"r/p/ac/over":   {overwrite, overwrite},
		"r/p/ad/both":   {overwrite, hide, overwrite, hide, hide},
	}
	// More versions than the page of one key holds.
	for range 40 {
		above["r/p/ae/many"] = append(above["r/p/ae/many"], overwrite)
	}
	want := map[string]providers.Version{}
	for key, steps := range above {
		v, err := d.Put(t.Context(), key, []byte(key), providers.PutOptions{Lease: lease})
		if err != nil {
			t.Fatal(err)
		}
		want[key] = v
		for _, step := range steps {
			step(key)
		}
	}
	listed := 0
	for obj, err := range d.List(t.Context(), "r/", "") {
		if err != nil || obj.Version != want[obj.Key] || obj.Size != int64(len(obj.Key)) {
			t.Errorf("list: %+v, %v; want version %s", obj, err, want[obj.Key])
		}
		listed++
	}
	if listed != len(want) {
		t.Errorf("%d of %d keys listed", listed, len(want))
	}
	for key, v := range want {
		for _, asked := range []providers.Version{"", v} {
			got, err := d.Get(t.Context(), key, asked, 0, -1)
			if err != nil || string(got) != key {
				t.Errorf("get %s, version %q: %q, %v", key, asked, got, err)
			}
			obj, err := d.Stat(t.Context(), key, asked)
			if err != nil || obj.Version != v || obj.Lease.Before(lease) {
				t.Errorf("stat %s, version %q: %+v, %v", key, asked, obj, err)
			}
			later := obj.Lease.AddDate(0, 0, 10)
			if err := d.Raise(t.Context(), key, asked, later); err != nil {
				t.Errorf("raise %s, version %q: %v", key, asked, err)
			}
			if obj, err = d.Stat(t.Context(), key, v); err != nil || obj.Lease.Before(later) {
				t.Errorf("raised %s: %+v, %v", key, obj, err)
			}
		}
	}
}

// Keys that are replaced on purpose stand for their newest bytes, hidden or not.
func TestReplaceableKeysStandForTheirNewestVersion(t *testing.T) {
	bucket := newBucket(t, locked)
	d := open(t, s3.Config{Bucket: bucket, Lock: true})
	v1, err := d.Put(t.Context(), "offsite.json", []byte("one"), providers.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v2, err := d.Put(t.Context(), "offsite.json", []byte("two"), providers.PutOptions{Replace: v1})
	if err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if got, err := d.Get(t.Context(), "offsite.json", "", 0, -1); err != nil || string(got) != "two" {
			t.Errorf("get: %q, %v", got, err)
		}
		if obj, err := d.Stat(t.Context(), "offsite.json", ""); err != nil || obj.Version != v2 {
			t.Errorf("stat: %+v, %v", obj, err)
		}
		for obj, err := range d.List(t.Context(), "", "") {
			if err != nil || obj.Version != v2 {
				t.Errorf("list: %+v, %v", obj, err)
			}
		}
	}
	check()
	if _, err := owner(t).DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: &bucket, Key: aws.String("offsite.json")}); err != nil {
		t.Fatal(err)
	}
	check()
}

// Strange keys of strangers neither break nor end a listing.
func TestForeignKeysDoNotBreakListings(t *testing.T) {
	for _, kind := range []bucketKind{plain, locked} {
		bucket := newBucket(t, kind)
		d := open(t, s3.Config{Bucket: bucket, Prefix: "mine", Lock: kind == locked})
		for _, key := range []string{"mine/r/A b+c%41ä", "mine/r/<&>\"'", "mine/zz", "minerals", "other"} {
			_, err := owner(t).PutObject(t.Context(), &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("x")})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Put(t.Context(), "r/a", nil, providers.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for obj, err := range d.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, obj.Key)
		}
		if want := []string{"r/<&>\"'", "r/A b+c%41ä", "r/a", "zz"}; !slices.Equal(keys, want) {
			t.Errorf("listed %q, want %q", keys, want)
		}
		n := 0
		for _, err := range providers.NewStore(d, providers.Options{}).List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 2 {
			t.Errorf("store lists %d keys, want its two", n)
		}
	}
}

// A listing that does not go on is an error, never a short listing.
func TestListingsThatStandStill(t *testing.T) {
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		const object = "<Key>r/a</Key><Size>1</Size><ETag>00</ETag><LastModified>2026-03-02T10:00:00Z</LastModified>"
		if r.URL.Query().Has("versions") {
			fmt.Fprint(w, "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>r/a</NextKeyMarker><NextVersionIdMarker>1</NextVersionIdMarker><Version>"+object+"<VersionId>1</VersionId></Version></ListVersionsResult>")
		} else {
			fmt.Fprint(w, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken><Contents>"+object+"</Contents></ListBucketResult>")
		}
	})
	for _, cfg := range []s3.Config{{}, {Versioned: true}} {
		var last error
		for _, err := range f.open(t, cfg).List(t.Context(), "r/", "") {
			last = err
		}
		wantKind(t, fmt.Sprintf("%+v", cfg), last, providers.ErrBusy)
	}
}

// The price list of every verb, in requests. A change that adds one must change
// this table.
func TestRequestsPerCall(t *testing.T) {
	target, err := url.Parse(gatewayURL(t))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	forward := httputil.NewSingleHostReverseProxy(target)
	counter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		what := r.Method
		for _, q := range []string{"versions", "list-type", "retention"} {
			if r.URL.Query().Has(q) {
				what += " " + q
			}
		}
		seen = append(seen, what)
		mu.Unlock()
		forward.ServeHTTP(w, r)
	}))
	defer counter.Close()

	lockedBucket, plainBucket := newBucket(t, locked), newBucket(t, plain)
	l := open(t, s3.Config{Endpoint: counter.URL, Bucket: lockedBucket, Lock: true})
	p := open(t, s3.Config{Endpoint: counter.URL, Bucket: plainBucket})
	far := time.Now().AddDate(0, 1, 0)
	versions := map[providers.Driver]map[string]providers.Version{l: {}, p: {}}
	put := func(d providers.Driver, key string, opt providers.PutOptions) error {
		v, err := d.Put(t.Context(), key, []byte(key), opt)
		if err == nil {
			versions[d][key] = v
		}
		return err
	}
	get := func(d providers.Driver, key string, v providers.Version, n int64) error {
		_, err := d.Get(t.Context(), key, v, 0, n)
		return err
	}
	stat := func(d providers.Driver, key string, v providers.Version) error {
		_, err := d.Stat(t.Context(), key, v)
		return err
	}
	raise := func(key string, v providers.Version, until time.Time) error {
		return l.(providers.Leaser).Raise(t.Context(), key, v, until)
	}
	list := func(d providers.Driver) (err error) {
		for _, err = range d.List(t.Context(), "", "") {
		}
		return err
	}
	for _, c := range []struct {
		what string
		call func() error
		kind error
		want string
	}{
		{"create", func() error { return put(l, "r/a", providers.PutOptions{Lease: far}) }, nil, "PUT"},
		{"create, taken", func() error { return put(l, "r/a", providers.PutOptions{}) }, providers.ErrExist, "PUT"},
		{"create, plain", func() error { return put(p, "r/a", providers.PutOptions{}) }, nil, "PUT"},
		{"create, to be replaced", func() error { return put(l, "k.json", providers.PutOptions{}) }, nil, "PUT"},
		{"create, plain, to be replaced", func() error { return put(p, "k.json", providers.PutOptions{}) }, nil, "PUT"},
		{"replace", func() error { return put(l, "k.json", providers.PutOptions{Replace: versions[l]["k.json"]}) }, nil, "HEAD, PUT"},
		{"replace, plain", func() error { return put(p, "k.json", providers.PutOptions{Replace: versions[p]["k.json"]}) }, nil, "PUT"},
		{"get a version", func() error { return get(l, "r/a", versions[l]["r/a"], -1) }, nil, "GET"},
		{"get a range of a version", func() error { return get(l, "r/a", versions[l]["r/a"], 2) }, nil, "GET"},
		{"get what is written once", func() error { return get(l, "r/a", "", -1) }, nil, "GET versions, GET"},
		{"get what is replaced", func() error { return get(l, "k.json", "", -1) }, nil, "GET"},
		{"get, absent", func() error { return get(l, "r/none", "", -1) }, providers.ErrNotExist, "GET versions"},
		{"get, plain", func() error { return get(p, "r/a", "", -1) }, nil, "GET"},
		{"get a version, plain", func() error { return get(p, "r/a", versions[p]["r/a"], 2) }, nil, "GET"},
		{"stat a version", func() error { return stat(l, "r/a", versions[l]["r/a"]) }, nil, "HEAD"},
		{"stat what is written once", func() error { return stat(l, "r/a", "") }, nil, "GET versions, HEAD"},
		{"stat without a lease", func() error { return stat(l, "k.json", versions[l]["k.json"]) }, nil, "HEAD, GET retention"},
		{"stat, absent", func() error { return stat(l, "r/none", "") }, providers.ErrNotExist, "GET versions"},
		{"stat, plain", func() error { return stat(p, "r/a", "") }, nil, "HEAD"},
		{"stat, plain, absent", func() error { return stat(p, "r/none", "") }, providers.ErrNotExist, "HEAD, GET"},
		{"raise a version", func() error { return raise("r/a", versions[l]["r/a"], far.AddDate(0, 0, 1)) }, nil, "PUT retention"},
		{"raise, longer already", func() error { return raise("r/a", versions[l]["r/a"], far) }, nil, "PUT retention, GET retention"},
		{"raise without a version", func() error { return raise("r/a", "", far.AddDate(0, 0, 2)) }, nil, "GET versions, PUT retention"},
		{"list", func() error { return list(l) }, nil, "GET versions"},
		{"list, plain", func() error { return list(p) }, nil, "GET list-type"},
		{"time", func() error { _, err := l.(providers.Clock).Time(t.Context()); return err }, nil, "HEAD"},
	} {
		seen = nil
		err := c.call()
		if providers.KindOf(err) != c.kind || (err == nil) != (c.kind == nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.kind)
		}
		if got := strings.Join(seen, ", "); got != c.want {
			t.Errorf("%s: requests %q, want %q", c.what, got, c.want)
		}
	}
}

// The upload credential needs these rights and no others; what would take
// something away is refused to it.
func TestTheRightsThatTheDriverNeeds(t *testing.T) {
	bucket := newBucket(t, locked)
	const user, password = "uploader", "of the uploader"
	if err := gateway.Get(t).User(user, password); err != nil {
		t.Fatal(err)
	}
	c := owner(t)
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":[%[2]q]},"Action":["s3:ListBucket","s3:ListBucketVersions"],"Resource":["arn:aws:s3:::%[1]s"]},
		{"Effect":"Allow","Principal":{"AWS":[%[2]q]},"Resource":["arn:aws:s3:::%[1]s/*"],
		 "Action":["s3:PutObject","s3:PutObjectRetention","s3:GetObject","s3:GetObjectVersion","s3:GetObjectRetention"]}]}`, bucket, user)
	if _, err := c.PutBucketPolicy(t.Context(), &sdk.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	cfg := s3.Config{Bucket: bucket, Lock: true, Endpoint: gatewayURL(t), PathStyle: true, AccessKey: user, SecretKey: password}
	opened, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := opened.(*s3.Locked)
	now, err := d.Time(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.Put(t.Context(), "r/a", []byte("one"), providers.PutOptions{Lease: now.AddDate(0, 0, 30)})
	if err != nil {
		t.Fatal(err)
	}
	head, err := d.Put(t.Context(), "k.json", []byte("one"), providers.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "k.json", []byte("two"), providers.PutOptions{Replace: head}); err != nil {
		t.Error(err)
	}
	for _, days := range []int{40, 35, 50} {
		if err := d.Raise(t.Context(), "r/a", v, now.AddDate(0, 0, days)); err != nil {
			t.Errorf("raise to %d days: %v", days, err)
		}
	}
	if got, err := d.Get(t.Context(), "r/a", "", 0, -1); err != nil || !bytes.Equal(got, []byte("one")) {
		t.Errorf("get: %q, %v", got, err)
	}
	if obj, err := d.Stat(t.Context(), "r/a", v); err != nil || obj.Lease.Before(now.AddDate(0, 0, 50)) {
		t.Errorf("stat: %+v, %v", obj, err)
	}
	_, err = d.Stat(t.Context(), "r/none", "")
	wantKind(t, "stat of what is absent", err, providers.ErrNotExist)

	// A credential that the bucket does not know, and a wrong secret.
	cfg.SecretKey = "wrong"
	wrong, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Put(t.Context(), "r/b", nil, providers.PutOptions{})
	wantKind(t, "wrong secret, put", err, providers.ErrDenied)
	_, err = wrong.Stat(t.Context(), "k.json", "")
	wantKind(t, "wrong secret, stat", err, providers.ErrDenied)
}

// A bucket that is gone is a store that is gone, whatever is asked.
func TestMissingBucketIsAnUnreachableStore(t *testing.T) {
	for _, cfg := range []s3.Config{{}, {Lock: true}, {Versioned: true}} {
		cfg.Bucket = "never-made"
		d := open(t, cfg)
		check := func(op string, err error) {
			t.Helper()
			wantKind(t, op, err, providers.ErrUnreachable)
		}
		for _, key := range []string{"r/a", "offsite.json"} {
			_, err := d.Put(t.Context(), key, []byte("x"), providers.PutOptions{})
			check("put", err)
			for _, v := range []providers.Version{"", "etag:0123"} {
				_, err = d.Get(t.Context(), key, v, 0, -1)
				check("get", err)
				_, err = d.Stat(t.Context(), key, v)
				check("stat", err)
				if l, ok := d.(providers.Leaser); ok {
					check("raise", l.Raise(t.Context(), key, v, time.Now().Add(time.Hour)))
				}
			}
		}
		for _, err := range d.List(t.Context(), "", "") {
			check("list", err)
		}
		_, err := d.(providers.Clock).Time(t.Context())
		check("time", err)
	}
}

// With versions but without conditions both of two writers may succeed; every
// reader then sees the first.
func TestWithoutConditionsTheFirstWriterWinsForReaders(t *testing.T) {
	bucket := newBucket(t, locked)
	d := open(t, s3.Config{Bucket: bucket, Lock: true, NoConditions: true})
	first, err := d.Put(t.Context(), "r/a", []byte("one"), providers.PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key := "r/a"
	if _, err := owner(t).PutObject(t.Context(), &sdk.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("two")}); err != nil {
		t.Fatal(err)
	}
	_, err = d.Put(t.Context(), "r/a", []byte("three"), providers.PutOptions{})
	wantKind(t, "taken", err, providers.ErrExist)
	out, err := owner(t).GetObject(t.Context(), &sdk.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if latest, _ := io.ReadAll(out.Body); string(latest) != "two" {
		t.Fatalf("the newest version is %q", latest)
	}
	if obj, err := d.Stat(t.Context(), "r/a", ""); err != nil || obj.Version != first {
		t.Errorf("stat: %+v, %v; want version %s", obj, err, first)
	}
}
