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
