package s3_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"offsite/providers"
	"offsite/providers/s3"
)

// fake answers with what a test says and keeps what it was asked.
type fake struct {
	*httptest.Server
	mu   sync.Mutex
	seen []asked
}

type asked struct {
	*http.Request
	body []byte
}

// newFake serves answer; the secure one has a certificate of its own.
func newFake(t *testing.T, secure bool, answer func(w http.ResponseWriter, r *http.Request)) *fake {
	t.Helper()
	f := &fake{}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.seen = append(f.seen, asked{r, body})
		f.mu.Unlock()
		w.Header().Set("x-amz-request-id", "REQUEST1")
		answer(w, r)
	})
	if secure {
		f.Server = httptest.NewTLSServer(h)
	} else {
		f.Server = httptest.NewServer(h)
	}
	t.Cleanup(f.Close)
	return f
}

// asked returns what was asked since the last call.
func (f *fake) asked() []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.seen
	f.seen = nil
	return seen
}

// open opens bucket "b" of the fake.
func (f *fake) open(t *testing.T, cfg s3.Config) providers.Driver {
	t.Helper()
	cfg.Endpoint, cfg.Bucket = f.URL, "b"
	return open(t, cfg)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>words of the store</Message><RequestId>REQUEST1</RequestId></Error>`, code)
}

func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if providers.KindOf(err) != kind {
		t.Errorf("%s: got %v, want kind %q", what, err, kind)
	}
}
