package gcs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"offsite/providers"
)

// scope is the smallest one that may change metadata, which a lease is. What the
// account may really do is the bucket's own policy.
const scope = "https://www.googleapis.com/auth/devstorage.full_control"

const (
	dialTimeout      = 15 * time.Second // a far server over a bad line
	tlsTimeout       = 15 * time.Second
	keepAlive        = 30 * time.Second // notices a dead line between requests
	idleTimeout      = 90 * time.Second // shorter than that of the service
	idleConns        = 16               // more than Store asks at once
	tokenTimeout     = 30 * time.Second // one token
	maxHeader        = 64 << 10
	maxCA            = 1 << 20
	maxKeyFile       = 64 << 10
	maxAnswer        = 4 << 20 // metadata of a thousand objects is about 400 KiB
	defaultUserAgent = "offsite"
)

// wire is the one way out: it adds token and User-Agent, notes whether a request
// reached the line, and lets each call make only the requests it may.
type wire struct {
	base  *http.Transport
	creds *auth.Credentials // nil: none
	token string            // ready token; empty: ask creds
	agent string
}

func newWire(ctx context.Context, c Config) (*wire, error) {
	base, err := newTransport(c)
	if err != nil {
		return nil, err
	}
	w := &wire{base: base, token: c.Token, agent: c.UserAgent}
	if w.agent == "" {
		w.agent = defaultUserAgent
	}
	if !c.Anonymous && c.Token == "" {
		if w.creds, err = findCredentials(ctx, c, base); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func newTransport(c Config) (*http.Transport, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pool, err := loadCA(c.CAFile)
		if err != nil {
			return nil, err
		}
		tlsConfig.RootCAs = pool
	}
	// HTTP/1.1: each upload has a connection of its own, so that one that hangs or
	// breaks does not take the others along.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return &http.Transport{
		Proxy:                  c.Proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    tlsTimeout,
		MaxIdleConns:           idleConns,
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // bytes as they are stored
		Protocols:              &protocols,
	}, nil
}

// loadCA adds the certificates of a file to those of the system.
func loadCA(path string) (*x509.CertPool, error) {
	pem, err := readLimited(path, maxCA)
	if err != nil {
		return nil, fail("open", "", providers.ErrInvalid, fmt.Errorf("read CA file: %w", err))
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fail("open", "", providers.ErrInvalid, errors.New("CA file: no certificate in it"))
	}
	return pool, nil
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New("file is too large")
	}
	return data, err
}

// findCredentials uses what was handed in, else the default ones of the machine.
// No error repeats anything from a key.
func findCredentials(ctx context.Context, c Config, base *http.Transport) (*auth.Credentials, error) {
	opt := &credentials.DetectOptions{
		Scopes: []string{scope},
		Client: &http.Client{Transport: base, Timeout: tokenTimeout, CheckRedirect: noRedirect},
		Logger: slog.New(slog.DiscardHandler), // else an environment variable can have tokens logged
	}
	key := c.CredentialsJSON
	if len(key) == 0 && c.CredentialsFile != "" {
		var err error
		if key, err = readLimited(c.CredentialsFile, maxKeyFile); err != nil {
			return nil, fail("open", "", providers.ErrDenied, fmt.Errorf("read key file: %w", err))
		}
	}
	if len(key) == 0 {
		creds, err := credentials.DetectDefault(opt)
		if err != nil {
			return nil, fail("open", "", providers.ErrDenied, errors.New(
				"no application default credentials: name a key file, or sign in with the provider's own tool"))
		}
		return creds, nil
	}
	var head struct {
		Type credentials.CredType `json:"type"`
	}
	if json.Unmarshal(key, &head) != nil {
		return nil, fail("open", "", providers.ErrDenied, errors.New("key is not a JSON key file"))
	}
	switch head.Type {
	case credentials.ServiceAccount, credentials.AuthorizedUser, credentials.ImpersonatedServiceAccount,
		credentials.ExternalAccount, credentials.ExternalAccountAuthorizedUser:
	default:
		return nil, fail("open", "", providers.ErrDenied, errors.New("key file is of a type that cannot be used here"))
	}
	creds, err := credentials.NewCredentialsFromJSON(head.Type, key, opt)
	if err != nil {
		return nil, fail("open", "", providers.ErrDenied, errors.New("key file is incomplete or damaged"))
	}
	return creds, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// client gives the SDK this wire. It follows no redirect: the API has none, so
// one comes from a portal or a proxy in between.
func (w *wire) client() *http.Client {
	return &http.Client{Transport: w, CheckRedirect: noRedirect}
}

// call is what the wire learns about one call of a driver.
type call struct {
	mu   sync.Mutex
	left int         // requests that may still be made
	sent bool        // a connection was there, so the service may have the request
	head http.Header // of the last answer; nil: none
}

type callKey struct{}

// newCall makes a context under which n requests may be made.
func newCall(ctx context.Context, n int) (context.Context, *call) {
	c := &call{left: n}
	return context.WithValue(ctx, callKey{}, c), c
}

// allow grants n more requests, which start from nothing.
func (c *call) allow(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.sent, c.head = n, false, nil
}

func (c *call) reached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

func (c *call) header() http.Header {
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
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	c, _ := ctx.Value(callKey{}).(*call)
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
	if res.StatusCode >= 300 || !media {
		// Only objects may be long; anything else that does not end is cut.
		res.Body = &limited{Reader: io.LimitReader(res.Body, maxAnswer), Closer: res.Body}
	}
	return res, nil
}

type limited struct {
	io.Reader
	io.Closer
}

func (c *call) take() bool {
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
func (w *wire) bearer(ctx context.Context) (string, error) {
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
