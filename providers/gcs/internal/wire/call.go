package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// Call is what the wire learns about one call of a driver.
type Call struct {
	mu   sync.Mutex
	left int         // requests that may still be made
	sent bool        // a connection was there, so the service may have the request
	head http.Header // of the last answer; nil: none
}

type callKey struct{}

// NewCall makes a context under which n requests may be made.
func NewCall(ctx context.Context, n int) (context.Context, *Call) {
	c := &Call{left: n}
	return context.WithValue(ctx, callKey{}, c), c
}

// Allow grants n more requests, which start from nothing.
func (c *Call) Allow(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.sent, c.head = n, false, nil
}

// Reached reports whether the service may have the request.
func (c *Call) Reached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// Header is that of the last answer; nil: there was none.
func (c *Call) Header() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// errRepeat stops what the SDK does by itself when an answer breaks off: only
// Store decides on another attempt.
var errRepeat = errors.New("one request per attempt")

// tokenError is a failure before the request was made.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "no access token" }
func (e *tokenError) Unwrap() error { return e.cause }

// RoundTrip makes one request.
func (w *Wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	c, _ := ctx.Value(callKey{}).(*Call)
	if c == nil || !c.take() {
		closeBody(req)
		return nil, errRepeat
	}
	bearer, err := w.bearer(ctx)
	if err != nil {
		closeBody(req)
		return nil, &tokenError{err}
	}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		c.mu.Lock()
		c.sent = true
		c.mu.Unlock()
	}}
	out := req.Clone(httptrace.WithClientTrace(ctx, trace))
	out.Header.Set("User-Agent", w.agent)
	if bearer != "" {
		out.Header.Set("Authorization", "Bearer "+bearer)
	}
	media := req.URL.Query().Get("alt") == "media"
	if media {
		// The bytes as they are stored: whoever may change metadata could else mark
		// an object as gzip and have the service serve other bytes.
		out.Header.Set("Accept-Encoding", "gzip")
	}
	res, err := w.base.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.head = res.Header
	c.mu.Unlock()
	switch {
	case res.StatusCode >= 300:
		// Whole or not at all: a refusal that was cut would lose its reason, and with
		// it whether it is final.
		body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		_ = res.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("answer %d cut: %w", res.StatusCode, err)
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
	case !media:
		// Only objects may be long; anything else that does not end is cut.
		res.Body = &limited{Reader: io.LimitReader(res.Body, maxAnswer), Closer: res.Body}
	}
	return res, nil
}

type limited struct {
	io.Reader
	io.Closer
}

func (c *Call) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left--
	return c.left >= 0
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// bearer is the token of this request; the library renews it ahead of its end.
func (w *Wire) bearer(ctx context.Context) (string, error) {
	if w.token != "" || w.creds == nil {
		return w.token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	token, err := w.creds.Token(ctx)
	if err != nil {
		return "", err
	}
	return token.Value, nil
}
