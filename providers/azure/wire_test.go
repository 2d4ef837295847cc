package azure_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"offsite/providers"
	"offsite/providers/azure"
)

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	good := azure.Config{Account: "practice", Container: "offsite", SAS: "sv=1&sig=s"}
	for name, change := range map[string]func(*azure.Config){
		"account":             func(c *azure.Config) { c.Account = "Practice" },
		"container":           func(c *azure.Config) { c.Container = "a/b" },
		"prefix":              func(c *azure.Config) { c.Prefix = "a/" },
		"two credentials":     func(c *azure.Config) { c.SharedKey = "c2VjcmV0" },
		"key":                 func(c *azure.Config) { c.SAS, c.SharedKey = "", "not base64!" },
		"SAS":                 func(c *azure.Config) { c.SAS = "sv=1" },
		"endpoint":            func(c *azure.Config) { c.Endpoint = "practice.blob.core.windows.net" },
		"endpoint with query": func(c *azure.Config) { c.Endpoint = "https://x.example/?sig=1" },
		"plain HTTP":          func(c *azure.Config) { c.Endpoint = "http://192.0.2.1/practice" },
		"mode":                func(c *azure.Config) { c.Leases = 9 },
		"managed, no version": func(c *azure.Config) { c.Leases = azure.LeaseManaged },
		"manager, no maximum": func(c *azure.Config) { c.Leases, c.Versions = azure.LeaseManager, true },
		"access, no days":     func(c *azure.Config) { c.Leases, c.KeepDays = azure.LeaseLastAccess, 1 },
		"user agent":          func(c *azure.Config) { c.UserAgent = "a\r\nb" },
		"CA file":             func(c *azure.Config) { c.CAFile = filepath.Join(t.TempDir(), "none.pem") },
	} {
		cfg := good
		change(&cfg)
		_, err := azure.Open(t.Context(), cfg)
		wantKind(t, name, err, providers.ErrInvalid)
	}
	for name, change := range map[string]func(*azure.Config){
		"as it is":      func(*azure.Config) {},
		"question mark": func(c *azure.Config) { c.SAS = "?" + c.SAS },
		"key":           func(c *azure.Config) { c.SAS, c.SharedKey = "", "c2VjcmV0" },
		"chain":         func(c *azure.Config) { c.SAS = "" },
		"other cloud":   func(c *azure.Config) { c.Endpoint = "https://practice.blob.core.usgovcloudapi.net/" },
		"localhost":     func(c *azure.Config) { c.Endpoint = "http://localhost:10000/practice" },
	} {
		cfg := good
		change(&cfg)
		if _, err := azure.Open(t.Context(), cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExpiryOfTheSASIsKnown(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2027-01-31T23:59:59Z": time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC),
		"2027-01-31T23:59Z":    time.Date(2027, 1, 31, 23, 59, 0, 0, time.UTC),
		"2027-01-31":           time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC),
		"":                     {},
		"soon":                 {},
	} {
		d := open(t, azure.Config{Account: "practice", Container: "offsite", SAS: "sig=s&se=" + url.QueryEscape(text)})
		if got, err := d.(providers.Expirer).Expires(t.Context()); !got.Equal(want) || err != nil {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestRequestsNameTheProgramAndTakeTheProxy(t *testing.T) {
	var agent, host atomic.Value
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent.Store(r.UserAgent())
		host.Store(r.URL.Host)
		service(w).Set("X-Ms-Error-Code", "BlobNotFound")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer proxy.Close()
	cfg := azure.Config{Account: "practice", Container: "offsite", SAS: "sig=s", Endpoint: "http://127.0.0.2:9/practice", UserAgent: "offsite/1.2.3"}
	cfg.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	_, err := open(t, cfg).Stat(t.Context(), "r/a", "")
	wantKind(t, "stat", err, providers.ErrNotExist)
	if agent.Load() != "offsite/1.2.3" || host.Load() != "127.0.0.2:9" {
		t.Errorf("the proxy saw agent %q, host %q", agent.Load(), host.Load())
	}
}

func TestCertificatesOfTheFileAreTrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		service(w).Set("X-Ms-Error-Code", "BlobNotFound")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := azure.Config{Account: "practice", Container: "offsite", SAS: "sig=s", Endpoint: server.URL + "/practice", CAFile: file}
	_, err := open(t, cfg).Stat(t.Context(), "r/a", "")
	wantKind(t, "stat", err, providers.ErrNotExist)
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = azure.Open(t.Context(), cfg)
	wantKind(t, "open", err, providers.ErrInvalid)
}

// Answers that are not what was asked for are never passed on as the object.
func TestReadsAreChecked(t *testing.T) {
	data := []byte("0123456789")
	answer := func(status int, text string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			h := service(w)
			h.Set("Etag", `"0x8DE"`)
			for i := 0; i < len(header); i += 2 {
				h.Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			if r.Method == http.MethodGet {
				w.Write([]byte(text))
			}
		}
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		v      providers.Version
		off, n int64
		kind   error
	}{
		{"whole", answer(200, string(data)), "", 0, -1, nil},
		{"range", answer(206, "234", "Content-Range", "bytes 2-4/10"), "", 2, 3, nil},
		{"rest", answer(206, "23456789", "Content-Range", "bytes 2-9/10"), "", 2, -1, nil},
		{"cut", answer(200, "01234", "Content-Length", "10"), "", 0, -1, providers.ErrBusy},
		{"whole for a range", answer(200, string(data)), "", 2, 3, providers.ErrBusy},
		{"another range", answer(206, "345", "Content-Range", "bytes 3-5/10"), "", 2, 3, providers.ErrBusy},
		{"longer than the range", answer(206, "2345", "Content-Range", "bytes 2-5/10"), "", 2, 3, providers.ErrBusy},
		{"range over the end", answer(206, "89", "Content-Range", "bytes 8-9/10"), "", 8, 3, providers.ErrRange},
		{"too large", answer(200, "", "Content-Length", "67108865"), "", 0, -1, providers.ErrCorrupt},
		{"no length", func(w http.ResponseWriter, r *http.Request) {
			service(w)
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}, "", 0, -1, providers.ErrBusy},
		{"right ETag", answer(200, string(data)), "0x8DE", 0, -1, nil},
		{"server ignores the ETag", answer(200, string(data)), "0x8DF", 0, -1, providers.ErrNotExist},
		{"right version", answer(200, string(data), "X-Ms-Version-Id", "2026-11-20T19:00:00.0000001Z"), "2026-11-20T19:00:00.0000001Z", 0, -1, nil},
		{"server ignores the version", answer(200, string(data)), "2026-11-20T19:00:00.0000001Z", 0, -1, providers.ErrNotExist},
		{"another version", answer(200, string(data), "X-Ms-Version-Id", "2026-11-20T19:00:00.0000002Z"), "2026-11-20T19:00:00.0000001Z", 0, -1, providers.ErrNotExist},
		{"hostile version", answer(200, string(data)), "a\"\r\nb, \xff", 0, -1, providers.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := open(t, fake(t, c.answer)).Get(t.Context(), "r/a", c.v, c.off, c.n)
			if c.kind != nil {
				wantKind(t, "get", err, c.kind)
				return
			}
			end := c.off + c.n
			if c.n < 0 {
				end = int64(len(data))
			}
			if err != nil || !bytes.Equal(got, data[c.off:end]) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestListingsAreChecked(t *testing.T) {
	blob := func(name, more string) string {
		return "<Blob><Name>" + name + "</Name>" + more + "<Properties><Last-Modified>Fri, 20 Nov 2026 19:00:00 GMT</Last-Modified>" +
			"<Etag>0x8DE</Etag><Content-Length>3</Content-Length><Content-MD5>rL0Y20zC+Fzt72VPzMSk2A==</Content-MD5></Properties></Blob>"
	}
	page := func(items ...string) string {
		return `<?xml version="1.0"?><EnumerationResults><Blobs>` + strings.Join(items, "") + `</Blobs><NextMarker/></EnumerationResults>`
	}
	id, current := "<VersionId>2026-11-20T19:00:00.0000001Z</VersionId>", "<IsCurrentVersion>true</IsCurrentVersion>"
	later := "<VersionId>2026-11-20T19:00:00.0000002Z</VersionId>"
	for _, c := range []struct {
		name, text string
		want       []providers.Version
		kind       error
	}{
		{"nothing", page(), nil, nil},
		{"before versions", page(blob("r/a", "")), []providers.Version{"0x8DE"}, nil},
		{"current", page(blob("r/a", id+current)), []providers.Version{"2026-11-20T19:00:00.0000001Z"}, nil},
		{"hidden", page(blob("r/a", id)), []providers.Version{"2026-11-20T19:00:00.0000001Z"}, nil},
		{"overwritten", page(blob("r/a", id), blob("r/a", later+current)), []providers.Version{"2026-11-20T19:00:00.0000001Z"}, nil},
		{"overwritten, newest first", page(blob("r/a", later+current), blob("r/a", id)), []providers.Version{"2026-11-20T19:00:00.0000001Z"}, nil},
		{"replaced", page(blob("head.json", id), blob("head.json", later+current)), []providers.Version{"2026-11-20T19:00:00.0000002Z"}, nil},
		{"deleted", page(blob("head.json", id)), nil, nil},
		{"no properties", page("<Blob><Name>r/a</Name></Blob>"), nil, nil},
		{"no XML", "rubbish", nil, providers.ErrBusy},
		{"cut XML", page(blob("r/a", ""))[:60], nil, providers.ErrBusy},
	} {
		d := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) {
			service(w).Set("Content-Type", "application/xml")
			w.Write([]byte(c.text))
		}))
		var got []providers.Version
		var failed error
		for obj, err := range d.List(t.Context(), "", "") {
			if err != nil {
				failed = err
				break
			}
			got = append(got, obj.Version)
		}
		if c.kind != nil {
			wantKind(t, c.name, failed, c.kind)
		} else if failed != nil || len(got) != len(c.want) || len(got) > 0 && got[0] != c.want[0] {
			t.Errorf("%s: listed %q, %v; want %q", c.name, got, failed, c.want)
		}
	}
}

// After a cancelled Put the caller may use its memory again: not a byte of it is
// looked at any more. The race detector sees it if that is not so.
func TestCancelledPutLetsGoOfTheBytes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	d := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) {
		r.Body.Read(make([]byte, 1))
		cancel()
		<-returned
	}))
	data := make([]byte, 32<<20)
	_, err := d.Put(ctx, "r/a", data, providers.PutOptions{})
	clear(data)
	close(returned)
	wantKind(t, "put", err, providers.ErrInDoubt)
}

// What the real server says to wrong credentials and wrong places.
func TestRefusalsOfTheRealServer(t *testing.T) {
	s := realServer(t)
	good := newContainer(t, s.URL)
	expired := func(c *azure.Config) {
		u, err := admin(t, s.URL, c.Container).GetSASURL(uploaderCan, time.Now().Add(-time.Minute), nil)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := sas.ParseURL(u)
		if err != nil {
			t.Fatal(err)
		}
		c.SharedKey, c.SAS = "", parts.SAS.Encode()
	}
	for name, c := range map[string]struct {
		change func(*azure.Config)
		kind   error
	}{
		"no such container": {func(c *azure.Config) { c.Container = "elsewhere" }, providers.ErrUnreachable},
		"wrong key":         {func(c *azure.Config) { c.SharedKey = "d3Jvbmc=" }, providers.ErrDenied},
		"expired SAS":       {expired, providers.ErrDenied},
		"forged SAS":        {func(c *azure.Config) { c.SharedKey, c.SAS = "", signature(t, good, uploaderCan)+"x" }, providers.ErrDenied},
	} {
		cfg := good
		c.change(&cfg)
		d := open(t, cfg)
		do := calls(&struct {
			providers.Driver
			providers.Leaser
		}{Driver: d})
		for _, what := range []string{"read", "stat", "list", "create", "replace"} {
			err := do[what](t.Context())
			wantKind(t, name+": "+what, err, c.kind)
			if name == "expired SAS" && !strings.Contains(err.Error(), "lapsed") {
				t.Errorf("%s: %v does not say that the SAS lapsed", what, err)
			}
		}
		_, err := d.(providers.Clock).Time(t.Context())
		wantKind(t, name+": time", err, c.kind)
	}
}

// The server compares the MD5 with what arrived.
func TestBytesThatChangeOnTheWayAreRefused(t *testing.T) {
	s := realServer(t)
	cfg := newContainer(t, s.URL)
	upstream, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	line := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", upstream.Host
		if data, err := io.ReadAll(r.In.Body); err == nil && len(data) > 0 {
			data[len(data)/2] ^= 1
			r.Out.Body = io.NopCloser(bytes.NewReader(data))
		}
	}})
	defer line.Close()
	bad := cfg
	bad.Endpoint = line.URL + upstream.Path
	_, err = open(t, bad).Put(t.Context(), "r/a", []byte("as written"), providers.PutOptions{})
	wantKind(t, "put", err, providers.ErrBusy)
	_, err = open(t, cfg).Stat(t.Context(), "r/a", "")
	wantKind(t, "stat", err, providers.ErrNotExist)
}

func TestAProxyThatCannotBeChosenIsTrouble(t *testing.T) {
	cfg := fake(t, nil)
	cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no way out") }
	_, err := open(t, cfg).Stat(t.Context(), "r/a", "")
	wantKind(t, "stat", err, providers.ErrBusy)
}
