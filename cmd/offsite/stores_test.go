package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/cmd/offsite/config"
	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/gcs"
	"offsite/providers/s3"
)

// testApp is the program with an environment of its own.
func testApp(env map[string]string, stderr io.Writer) *app {
	return &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: stderr, now: func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) },
		env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

// TestEveryCloudKeepsToTheTimetable: the connections of each driver go through what
// slows them down, and a store without a timetable has none.
func TestEveryCloudKeepsToTheTimetable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	a := testApp(map[string]string{"S": "c2VjcmV0"}, io.Discard)
	for name, text := range map[string]string{
		"s3":    "s3://bucket-1?path_style=true&access_key=env:S&secret_key=env:S&endpoint=" + srv.URL,
		"gcs":   "gs://bucket-1?endpoint=" + srv.URL,
		"azure": "azblob://account/container?account_key=env:S&endpoint=" + srv.URL,
	} {
		t.Run(name, func(t *testing.T) {
			var wrapped atomic.Int64
			wrap := func(c net.Conn) net.Conn { wrapped.Add(1); return c }
			plain, err := config.ParseStore(text)
			must(t, err)
			paced, err := config.ParseStore(text + "&bandwidth=1Mbit/s")
			must(t, err)
			var d providers.Driver
			switch name {
			case "s3":
				c, err := a.s3Config(paced)
				must(t, err)
				none, err := a.s3Config(plain)
				if err != nil || c.Conn == nil || none.Conn != nil {
					t.Fatal("the timetable does not reach the driver", err)
				}
				c.Conn = wrap
				d, err = s3.Open(t.Context(), c)
				must(t, err)
			case "gcs":
				c, err := a.gcsConfig(paced)
				must(t, err)
				none, err := a.gcsConfig(plain)
				if err != nil || c.Conn == nil || none.Conn != nil {
					t.Fatal("the timetable does not reach the driver", err)
				}
				c.Conn = wrap
				d, err = gcs.Open(t.Context(), c)
				must(t, err)
			case "azure":
				c, err := a.azureConfig(paced)
				must(t, err)
				none, err := a.azureConfig(plain)
				if err != nil || c.Conn == nil || none.Conn != nil {
					t.Fatal("the timetable does not reach the driver", err)
				}
				c.Conn = wrap
				d, err = azure.Open(t.Context(), c)
				must(t, err)
			}
			if _, err := d.Stat(t.Context(), "r/a", ""); err == nil {
				t.Error("something was found")
			}
			if wrapped.Load() == 0 {
				t.Error("the connection was not wrapped")
			}
		})
	}
}

// TestAServiceThatCannotLockGetsSignedLeases: it is said loudly, agreed to, and written down
// by a person.
func TestAServiceThatCannotLockGetsSignedLeases(t *testing.T) {
	t.Run("by its answer to a look", func(t *testing.T) { cannotLock(t, false) })
	t.Run("by its answer to a change", func(t *testing.T) { cannotLock(t, true) })
}

// cannotLock: the service knows versions, and of locks nothing, or only how to look for one.
func cannotLock(t *testing.T, looks bool) {
	var changed atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case q.Has("versioning") && looks:
			io.WriteString(w, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
		case q.Has("object-lock") && looks && r.Method == http.MethodGet:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>")
		case q.Has("versioning"), q.Has("object-lock"):
			w.WriteHeader(http.StatusNotImplemented)
			io.WriteString(w, "<Error><Code>NotImplemented</Code><Message>not here</Message></Error>")
		case q.Get("list-type") == "2":
			io.WriteString(w, "<ListBucketResult><Name>bucket-1</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>")
		case r.Method == http.MethodHead && strings.Trim(r.URL.Path, "/") == "bucket-1":
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
		default:
			changed.Add(1)
		}
	}))
	defer srv.Close()
	p := &place{t: t, home: t.TempDir(), env: []string{"K=key", "S=secret"}}
	store := "s3://bucket-1/hill-road?path_style=true&endpoint=" + srv.URL
	setup := []string{"store", "setup", "--store", store, "--with", "access_key=env:K&secret_key=env:S"}
	p.want(exitUsage, setup...).says(t, "nobody to ask")
	done := p.want(exitDone, append(setup, "--yes", "--json")...)
	done.says(t, "not here")
	done.says(t, "WARNING: this store keeps no leases of its own")
	done.says(t, "leases: none")
	var ans settingsAnswer
	done.into(t, &ans)
	if len(ans.Settings) != 1 || ans.Settings[0].Name != "leases" || changed.Load() > 0 {
		t.Errorf("%+v, %d changes", ans, changed.Load())
	}
}

func TestEndOfCredentialsIsToldAheadOfTime(t *testing.T) {
	for until, want := range map[string]string{
		"2026-11-23T12:00:00Z": "end in 24h0m0s: renew them",
		"2026-11-20T12:00:00Z": "ended on 2026-11-20",
		"2027-11-20T12:00:00Z": "",
	} {
		var said strings.Builder
		a := testApp(map[string]string{"SAS": "sig=s&se=" + url.QueryEscape(until)}, &said)
		s, err := config.ParseStore("azblob://account/container?sas=env:SAS")
		must(t, err)
		d, err := a.openDriver(t.Context(), s)
		must(t, err)
		a.tellExpiry(t.Context(), s, d)
		if want == "" && said.Len() > 0 || !strings.Contains(said.String(), want) {
			t.Errorf("until %s: %q, want %q", until, said.String(), want)
		}
	}
}

func TestSlowLinesAreNotTakenForStuckOnes(t *testing.T) {
	for text, want := range map[string]int64{
		"s3://bucket":                     0,
		"s3://bucket?bandwidth=2Mbit/s":   usualMinRate,
		"s3://bucket?bandwidth=200kbit/s": 6250,
		"s3://bucket?bandwidth=Mon 08:00-09:00 200kbit/s, else unlimited": 6250,
	} {
		s, err := config.ParseStore(text)
		must(t, err)
		if got := slowest(s); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
