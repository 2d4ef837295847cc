package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/s3"
)

// A refusal to raise is told apart by the present lease: longer is success,
// another mode is extended in that mode, anything else stays refused.
func TestRefusedRaises(t *testing.T) {
	ask := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	type reply struct {
		status int
		code   string
	}
	denied, worm := reply{403, "AccessDenied"}, reply{400, "InvalidRequest"}
	for _, c := range []struct {
		what     string
		refusal  reply
		have     string // the present lease as the store tells it; a code when refused
		kind     error
		requests []string
	}{
		{"longer, 403", denied, "GOVERNANCE 2030-01-02T00:00:00Z", nil, []string{"PUT GOVERNANCE", "GET"}},
		{"longer, 400", worm, "GOVERNANCE 2031-01-01T00:00:00Z", nil, []string{"PUT GOVERNANCE", "GET"}},
		{"the same", worm, "GOVERNANCE 2030-01-01T00:00:00Z", nil, []string{"PUT GOVERNANCE", "GET"}},
		{"held", reply{403, "ObjectLocked"}, "COMPLIANCE 2030-01-01T00:00:00Z", nil, []string{"PUT GOVERNANCE", "GET"}},
		{"shorter, not allowed", denied, "GOVERNANCE 2029-12-31T23:59:59Z", providers.ErrDenied, []string{"PUT GOVERNANCE", "GET"}},
		{"shorter, wrong", worm, "GOVERNANCE 2029-12-31T23:59:59Z", providers.ErrInvalid, []string{"PUT GOVERNANCE", "GET"}},
		{"none, not allowed", denied, "NoSuchObjectLockConfiguration", providers.ErrDenied, []string{"PUT GOVERNANCE", "GET"}},
		{"may not look", denied, "AccessDenied", providers.ErrDenied, []string{"PUT GOVERNANCE", "GET"}},
		{"no lock at all", worm, "InvalidRequest", providers.ErrInvalid, []string{"PUT GOVERNANCE", "GET"}},
		{"other mode", denied, "COMPLIANCE 2029-01-01T00:00:00Z", nil, []string{"PUT GOVERNANCE", "GET", "PUT COMPLIANCE"}},
		{"wrong version", reply{400, "InvalidArgument"}, "InvalidArgument", providers.ErrNotExist, []string{"PUT GOVERNANCE", "GET"}},
		{"no version", reply{404, "NoSuchVersion"}, "", providers.ErrNotExist, []string{"PUT GOVERNANCE"}},
		{"no bucket", reply{404, "NoSuchBucket"}, "", providers.ErrUnreachable, []string{"PUT GOVERNANCE"}},
		{"busy", reply{503, "SlowDown"}, "", providers.ErrBusy, []string{"PUT GOVERNANCE"}},
		{"unknown", reply{500, "InternalError"}, "", providers.ErrBusy, []string{"PUT GOVERNANCE"}},
	} {
		var requests []string
		f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PUT" {
				requests = append(requests, "PUT")
				if len(requests) == 3 {
					return
				}
				refuse(w, c.refusal.status, c.refusal.code)
				return
			}
			requests = append(requests, r.Method)
			mode, until, ok := strings.Cut(c.have, " ")
			switch {
			case !ok && mode == "AccessDenied":
				refuse(w, 403, mode)
			case !ok && mode == "NoSuchObjectLockConfiguration":
				refuse(w, 404, mode)
			case !ok:
				refuse(w, 400, mode)
			default:
				fmt.Fprintf(w, "<Retention><Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", mode, until)
			}
		})
		d := f.open(t, s3.Config{Lock: true}).(*s3.Locked)
		err := d.Raise(t.Context(), "r/a", "v1", ask)
		if providers.KindOf(err) != c.kind || (err == nil) != (c.kind == nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.kind)
		}
		for i, r := range f.asked() {
			if r.URL.Query().Get("versionId") != "v1" || !r.URL.Query().Has("retention") {
				t.Errorf("%s: asked %s", c.what, r.URL)
			}
			if r.Header.Get("X-Amz-Bypass-Governance-Retention") != "" {
				t.Errorf("%s: bypasses governance", c.what)
			}
			if r.Method != "PUT" {
				continue
			}
			body := string(r.body)
			for _, mode := range []string{"GOVERNANCE", "COMPLIANCE"} {
				if strings.Contains(body, "<Mode>"+mode) {
					requests[i] += " " + mode
				}
			}
			if !strings.Contains(body, "2030-01-01T00:00:00Z") {
				t.Errorf("%s: sent %s", c.what, body)
			}
			if r.Header.Get("Content-Md5") == "" || r.Header.Get("X-Amz-Checksum-Crc32") != "" || r.Header.Get("X-Amz-Sdk-Checksum-Algorithm") != "" {
				t.Errorf("%s: checksum headers %v", c.what, r.Header)
			}
		}
		if !slices.Equal(requests, c.requests) {
			t.Errorf("%s: requests %q, want %q", c.what, requests, c.requests)
		}
	}
}

// A bucket without Object Lock is a driver without leases, and sends none.
func TestWithoutLockThereAreNoLeases(t *testing.T) {
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("ETag", `"0123"`) })
	d := f.open(t, s3.Config{})
	if _, ok := d.(providers.Leaser); ok {
		t.Error("driver keeps leases")
	}
	if _, err := d.Put(t.Context(), "r/a", nil, providers.PutOptions{Lease: time.Unix(2e9, 0)}); err != nil {
		t.Fatal(err)
	}
	for h := range f.asked()[0].Header {
		if strings.HasPrefix(h, "X-Amz-Object-Lock") {
			t.Errorf("header %s was sent", h)
		}
	}
}

// Where the store knows no conditions, Put looks first; the losers of a race are
// found out only where there are versions.
func TestWithoutConditions(t *testing.T) {
	stored := ""
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match")+r.Header.Get("If-Match") != "" && r.Method == "PUT" {
			refuse(w, 501, "NotImplemented")
			return
		}
		switch {
		case r.Method == "PUT":
			stored = r.Header.Get("Content-Md5")
		case stored == "":
			refuse(w, 404, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", fmt.Sprintf("%q", stored))
		w.Header().Set("Last-Modified", "Mon, 02 Mar 2026 10:00:00 GMT")
		if r.Method == "GET" {
			io.WriteString(w, "x")
		}
	})
	put := func(cfg s3.Config, data string, replace providers.Version) (providers.Version, error) {
		return f.open(t, cfg).Put(t.Context(), "offsite.json", []byte(data), providers.PutOptions{Replace: replace})
	}
	_, err := put(s3.Config{}, "one", "")
	wantKind(t, "with conditions", err, providers.ErrInvalid)
	if !strings.Contains(err.Error(), "conditional") {
		t.Errorf("%v does not say what is to be done", err)
	}
	v, err := put(s3.Config{NoConditions: true}, "one", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = put(s3.Config{NoConditions: true}, "two", "")
	wantKind(t, "taken", err, providers.ErrExist)
	_, err = put(s3.Config{NoConditions: true}, "two", "etag:other")
	wantKind(t, "other version", err, providers.ErrConflict)
	if _, err = put(s3.Config{NoConditions: true}, "two", v); err != nil {
		t.Errorf("replace: %v", err)
	}
	_, err = put(s3.Config{NoConditions: true}, "three", v)
	wantKind(t, "replaced meanwhile", err, providers.ErrConflict)
}

// 409 says that another write was at work; a look says who won.
func TestConcurrentWritesAreSettled(t *testing.T) {
	for _, c := range []struct {
		what    string
		present string // entity tag; empty: nothing
		replace providers.Version
		kind    error
	}{
		{"create, somebody won", "aa", "", providers.ErrExist},
		{"create, nobody won", "", "", providers.ErrBusy},
		{"replace, somebody won", "aa", "etag:00", providers.ErrConflict},
		{"replace, nobody won", "00", "etag:00", providers.ErrBusy},
		{"replace, gone", "", "etag:00", providers.ErrConflict},
	} {
		f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == "PUT":
				refuse(w, 409, "ConditionalRequestConflict")
			case c.present == "":
				refuse(w, 404, "NoSuchKey")
			default:
				w.Header().Set("ETag", `"`+c.present+`"`)
			}
		})
		_, err := f.open(t, s3.Config{}).Put(t.Context(), "offsite.json", nil, providers.PutOptions{Replace: c.replace})
		wantKind(t, c.what, err, c.kind)
	}
}

// Where leases follow the object, no put names one, and none is shorter than asked.
func TestLeasesAfterThePut(t *testing.T) {
	bucket := newBucket(t, locked)
	now := time.Now().UTC().Truncate(time.Second)
	d := open(t, s3.Config{Bucket: bucket, Lock: true, LeaseAfterPut: true})
	v, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{Lease: now.AddDate(0, 0, 9)})
	if err != nil {
		t.Fatal(err)
	}
	if obj, err := d.Stat(t.Context(), "r/a", v); err != nil || !obj.Lease.Equal(now.AddDate(0, 0, 9)) {
		t.Errorf("%+v, %v", obj, err)
	}
	refused := false
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("retention") && refused {
			refuse(w, 403, "AccessDenied")
		}
		w.Header().Set("x-amz-version-id", "v1")
	})
	for _, refused = range []bool{false, true} {
		_, err := f.open(t, s3.Config{Lock: true, LeaseAfterPut: true}).Put(t.Context(), "r/a", nil, providers.PutOptions{Lease: now})
		asked := f.asked()
		if len(asked) < 2 || asked[0].Header.Get("X-Amz-Object-Lock-Mode") != "" || !asked[1].URL.Query().Has("retention") {
			t.Errorf("asked %d times, first with %v", len(asked), asked[0].Header)
		}
		want := error(nil)
		if refused {
			want = providers.ErrInDoubt // the object is there, and its lease is not
		}
		wantKind(t, "put", err, want)
	}
}

// Compliance leases, and objects leased in the other mode than the configured.
func TestBothModesOfLeases(t *testing.T) {
	bucket := newBucket(t, locked)
	now := time.Now().UTC().Truncate(time.Second)
	for _, first := range []bool{false, true} {
		for _, second := range []bool{false, true} {
			key := fmt.Sprintf("r/%v/%v", first, second)
			put := open(t, s3.Config{Bucket: bucket, Lock: true, Compliance: first, Checksum: s3.ChecksumSHA256})
			raise := open(t, s3.Config{Bucket: bucket, Lock: true, Compliance: second, Checksum: s3.ChecksumSHA256}).(*s3.Locked)
			v, err := put.Put(t.Context(), key, []byte("x"), providers.PutOptions{Lease: now.AddDate(0, 0, 5)})
			if err != nil {
				t.Fatal(err)
			}
			for _, days := range []int{10, 7, 20} {
				if err := raise.Raise(t.Context(), key, v, now.AddDate(0, 0, days)); err != nil {
					t.Errorf("compliance %v, raised with %v to day %d: %v", first, second, days, err)
				}
			}
			if obj, err := put.Stat(t.Context(), key, v); err != nil || !obj.Lease.Equal(now.AddDate(0, 0, 20)) || obj.Checksum.Algorithm != "sha256" {
				t.Errorf("compliance %v, raised with %v: %+v, %v", first, second, obj, err)
			}
		}
	}
}
