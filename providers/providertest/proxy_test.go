package providertest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/providers/providertest"
)

// Each fault does to a request what it is called after.
func TestProxyFaults(t *testing.T) {
	var arrived atomic.Int64
	answer := bytes.Repeat([]byte("answer "), 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			arrived.Add(1)
		}
		w.Write(answer)
	}))
	defer server.Close()
	line := providertest.NewProxy(t, strings.TrimPrefix(server.URL, "http://"))
	for fault, want := range map[providertest.Fault]struct{ arrives, answered bool }{
		providertest.FaultNone:      {true, true},
		providertest.FaultRefused:   {false, false},
		providertest.FaultSlow:      {true, true},
		providertest.FaultCut:       {false, false},
		providertest.FaultReset:     {false, false},
		providertest.FaultNoAnswer:  {true, false},
		providertest.FaultAnswerCut: {true, false},
		providertest.FaultHalf:      {true, false},
		providertest.FaultStall:     {true, true},
		providertest.FaultTrickle:   {true, true},
	} {
		line.Set(func(int) providertest.Plan {
			return providertest.Plan{Fault: fault, Bytes: 300, Pause: time.Millisecond}
		})
		before := arrived.Load()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
		got, err := post(client, "http://"+line.Address(), strings.Repeat("request", 10_000))
		if (err == nil && bytes.Equal(got, answer)) != want.answered {
			t.Errorf("%s: %d bytes, %v", fault, len(got), err)
		}
		if (arrived.Load() > before) != want.arrives {
			t.Errorf("%s: arrived %v, want %v", fault, !want.arrives, want.arrives)
		}
		if line.Met()[fault] == 0 {
			t.Errorf("%s was not counted", fault)
		}
	}
}

func post(c *http.Client, url, body string) ([]byte, error) {
	res, err := c.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// The same seed draws the same line, another one another.
func TestDrawnLines(t *testing.T) {
	differ := 0
	for n := range 1000 {
		if a := providertest.Draw(1, 30); a(n) != providertest.Draw(1, 30)(n) {
			t.Fatalf("connection %d differs with the same seed", n)
		}
		if providertest.Draw(1, 30)(n) != providertest.Draw(2, 30)(n) {
			differ++
		}
		if providertest.Draw(1, 0)(n).Fault != providertest.FaultNone {
			t.Fatal("a good line has faults")
		}
	}
	if differ < 100 {
		t.Errorf("two seeds differ in %d of 1000 connections", differ)
	}
}
