package s3_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/s3"
)

// An object is one request whose checksum is a header. Nothing is chunked or
// trails behind, also over TLS, where the SDK would like to.
func TestPutIsOneRequestWithTheChecksumInItsHeader(t *testing.T) {
	data := bytes.Repeat([]byte("sealed "), 10_000)
	sha, five := sha256.Sum256(data), md5.Sum(data)
	lease := time.Date(2031, 5, 6, 7, 8, 9, 10, time.UTC)
	for _, secure := range []bool{false, true} {
		f := newFake(t, secure, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"0123"`)
			w.Header().Set("x-amz-version-id", "v1")
		})
		for _, c := range []struct {
			cfg  s3.Config
			want map[string]string
		}{
			{s3.Config{Checksum: s3.ChecksumMD5}, map[string]string{
				"Content-Md5": base64.StdEncoding.EncodeToString(five[:]), "If-None-Match": "*",
				"X-Amz-Object-Lock-Mode": "", "X-Amz-Object-Lock-Retain-Until-Date": "",
			}},
			{s3.Config{Checksum: s3.ChecksumSHA256, Lock: true}, map[string]string{
				"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sha[:]), "Content-Md5": "",
				"X-Amz-Object-Lock-Mode": "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date": "2031-05-06T07:08:10Z",
			}},
			{s3.Config{Lock: true, Compliance: true, UserAgent: "offsite/1.2"}, map[string]string{
				"Content-Md5": base64.StdEncoding.EncodeToString(five[:]), "User-Agent": "offsite/1.2",
				"X-Amz-Object-Lock-Mode": "COMPLIANCE", "X-Amz-Checksum-Crc32": "", "X-Amz-Sdk-Checksum-Algorithm": "",
			}},
		} {
			cfg := c.cfg
			if secure {
				cfg.CAFile = caFile(t, f)
			}
			if _, err := f.open(t, cfg).Put(t.Context(), "r/a", data, providers.PutOptions{Lease: lease}); err != nil {
				t.Fatal(err)
			}
			seen := f.asked()
			if len(seen) != 1 || seen[0].Method != "PUT" || seen[0].URL.String() != "/b/r/a?x-id=PutObject" {
				t.Fatalf("asked %v", seen)
			}
			r := seen[0]
			if !bytes.Equal(r.body, data) || r.ContentLength != int64(len(data)) {
				t.Errorf("sent %d bytes with length %d", len(r.body), r.ContentLength)
			}
			for _, h := range []string{"X-Amz-Trailer", "Content-Encoding", "X-Amz-Decoded-Content-Length", "Transfer-Encoding"} {
				if r.Header.Get(h) != "" {
					t.Errorf("header %s: %s", h, r.Header.Get(h))
				}
			}
			for h, want := range c.want {
				if got := r.Header.Get(h); got != want {
					t.Errorf("header %s is %q, want %q", h, got, want)
				}
			}
		}
	}
}

func caFile(t *testing.T, f *fake) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// No listener, an unknown certificate, an unknown host: the store does not answer.
func TestStoresThatDoNotAnswerAreUnreachable(t *testing.T) {
	secure := newFake(t, true, func(http.ResponseWriter, *http.Request) {})
	closed := newFake(t, false, func(http.ResponseWriter, *http.Request) {})
	address := closed.URL
	closed.Close()
	proxied := s3.Config{Endpoint: "http://localhost:1", Proxy: func(*http.Request) (*url.URL, error) {
		return url.Parse(strings.Replace(address, "//", "//user:hidden@", 1))
	}}
	for what, cfg := range map[string]s3.Config{
		"closed port": {Endpoint: address}, "unknown certificate": {Endpoint: secure.URL}, "proxy": proxied,
	} {
		cfg.Bucket = "b"
		d := open(t, cfg)
		_, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
		wantKind(t, what+", put", err, providers.ErrUnreachable)
		if strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v tells the proxy's password", err)
		}
		_, err = d.Get(t.Context(), "r/a", "", 0, -1)
		wantKind(t, what+", get", err, providers.ErrUnreachable)
		_, err = d.Stat(t.Context(), "r/a", "")
		wantKind(t, what+", stat", err, providers.ErrUnreachable)
		_, err = d.(providers.Clock).Time(t.Context())
		wantKind(t, what+", time", err, providers.ErrUnreachable)
	}
}

// A connection that breaks after the request leaves a write in doubt.
func TestBrokenConnections(t *testing.T) {
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	})
	d := f.open(t, s3.Config{})
	_, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
	wantKind(t, "put", err, providers.ErrInDoubt)
	_, err = d.Get(t.Context(), "r/a", "", 0, -1)
	wantKind(t, "get", err, providers.ErrBusy)
}

func TestCancelledCallsSaySo(t *testing.T) {
	arrived := make(chan struct{}, 1)
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	d := f.open(t, s3.Config{})
	for op, kind := range map[string]error{"put": providers.ErrInDoubt, "get": providers.ErrBusy} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		var err error
		if op == "put" {
			_, err = d.Put(ctx, "r/a", []byte("x"), providers.PutOptions{})
		} else {
			_, err = d.Get(ctx, "r/a", "", 0, -1)
		}
		wantKind(t, op, err, kind)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v does not say that it was cancelled", op, err)
		}
	}
}

func TestBodiesThatDoNotFit(t *testing.T) {
	const object = "0123456789"
	for _, c := range []struct {
		what   string
		answer func(w http.ResponseWriter)
		off, n int64
		want   string
		kind   error
	}{
		{"whole", func(w http.ResponseWriter) { io.WriteString(w, object) }, 0, -1, object, nil},
		{"cut", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, object[:4])
		}, 0, -1, "", providers.ErrBusy},
		{"no ranges", func(w http.ResponseWriter) { io.WriteString(w, object) }, 2, 3, "234", nil},
		{"no ranges, to the end", func(w http.ResponseWriter) { io.WriteString(w, object) }, 8, -1, "89", nil},
		{"no ranges, outside", func(w http.ResponseWriter) { io.WriteString(w, object) }, 8, 3, "", providers.ErrRange},
		{"range", func(w http.ResponseWriter) { part(w, "bytes 2-4/10", "234") }, 2, 3, "234", nil},
		{"range over the end", func(w http.ResponseWriter) { part(w, "bytes 8-9/10", "89") }, 8, 3, "", providers.ErrRange},
		{"another range", func(w http.ResponseWriter) { part(w, "bytes 0-1/10", "01") }, 8, 3, "", providers.ErrBusy},
		{"another range of the same length", func(w http.ResponseWriter) { part(w, "bytes 0-2/10", "012") }, 2, 3, "", providers.ErrBusy},
		{"another beginning", func(w http.ResponseWriter) { part(w, "bytes 7-9/10", "789") }, 8, -1, "", providers.ErrBusy},
		{"too large", func(w http.ResponseWriter) { w.Header().Set("Content-Length", fmt.Sprint(providers.MaxObject+1)) }, 0, -1, "", providers.ErrCorrupt},
		{"without a length", func(w http.ResponseWriter) {
			io.WriteString(w, object)
			w.(http.Flusher).Flush()
		}, 0, -1, "", providers.ErrBusy},
	} {
		f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) { c.answer(w) })
		got, err := f.open(t, s3.Config{}).Get(t.Context(), "r/a", "", c.off, c.n)
		if string(got) != c.want || providers.KindOf(err) != c.kind || (err == nil) != (c.kind == nil) {
			t.Errorf("%s: %q, %v; want %q, %v", c.what, got, err, c.want, c.kind)
		}
	}
}

func part(w http.ResponseWriter, span, data string) {
	w.Header().Set("Content-Range", span)
	w.WriteHeader(http.StatusPartialContent)
	io.WriteString(w, data)
}

// Entity tags are MD5 sums only without KMS and without customer keys.
func TestTagsAreChecksumsOnlyWhereTheyAre(t *testing.T) {
	sse := ""
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		if sse != "" {
			w.Header().Set("x-amz-server-side-encryption", sse)
		}
		w.Header().Set("ETag", `"00112233445566778899aabbccddeeff"`)
		w.Header().Set("Last-Modified", "Mon, 02 Mar 2026 10:00:00 GMT")
	})
	for _, c := range []struct {
		sse    string
		opaque bool
		want   string
	}{{"", false, "md5"}, {"AES256", false, "md5"}, {"", true, ""}, {"aws:kms", false, ""}} {
		sse = c.sse
		obj, err := f.open(t, s3.Config{OpaqueETags: c.opaque}).Stat(t.Context(), "offsite.json", "")
		if err != nil || obj.Checksum.Algorithm != c.want || obj.Version != "etag:00112233445566778899aabbccddeeff" {
			t.Errorf("encryption %q: %+v, %v", c.sse, obj, err)
		}
	}
}

// A PC whose clock is wrong still learns the store's, and is heard afterwards.
func TestClockOfTheStore(t *testing.T) {
	store := time.Now().Add(3 * time.Hour).UTC().Truncate(time.Second)
	var signed []string
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		signed = append(signed, r.Header.Get("X-Amz-Date"))
		w.Header().Set("Date", store.Format(http.TimeFormat))
		if at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); err != nil || at.Sub(store).Abs() > 15*time.Minute {
			refuse(w, 403, "RequestTimeTooSkewed")
			return
		}
		w.Header().Set("ETag", `"0123"`)
	})
	d := f.open(t, s3.Config{})
	if now, err := d.(providers.Clock).Time(t.Context()); err != nil || !now.Equal(store) {
		t.Errorf("time is %v, %v; want %v", now, err, store)
	}
	d = f.open(t, s3.Config{})
	_, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
	wantKind(t, "first put", err, providers.ErrBusy)
	if _, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{}); err != nil {
		t.Errorf("second put, signed at %v: %v", signed, err)
	}
}

func TestClockOfAMissingBucket(t *testing.T) {
	status := 404
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
	for _, c := range []struct {
		status int
		kind   error
	}{{404, providers.ErrUnreachable}, {400, providers.ErrDenied}, {301, providers.ErrDenied}, {503, providers.ErrBusy}} {
		status = c.status
		_, err := f.open(t, s3.Config{}).(providers.Clock).Time(t.Context())
		wantKind(t, fmt.Sprint(status), err, c.kind)
	}
}
