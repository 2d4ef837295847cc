// Package wire is the one way from this machine to Google Cloud Storage, for the
// driver and for whoever sets a bucket up: configuration, credentials, the count
// of requests that one call may make, and what the service's answers mean.
//
// It refuses redirects, decompression, and any request beyond those a call may
// make.
package wire

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
	"net/url"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"offsite/providers"
)

// defaultEndpoint is always named, so that no environment variable of the SDK
// sends sealed data elsewhere.
const defaultEndpoint = "https://storage.googleapis.com/"

// apiPath stands behind the endpoint.
const apiPath = "/storage/v1/"

// Config is gcs.Config, field by field; what they mean stands there.
type Config struct {
	Bucket          string
	Prefix          string
	Endpoint        string
	CredentialsJSON []byte
	CredentialsFile string
	Anonymous       bool
	Token           string
	UserAgent       string
	CAFile          string
	Proxy           func(*http.Request) (*url.URL, error)
	Conn            func(net.Conn) net.Conn
}

// check returns the full endpoint. Errors repeat no value but the address.
func (c Config) check() (string, error) {
	if c.Bucket == "" || strings.ContainsAny(c.Bucket, "/?#% \\") {
		return "", errors.New("bucket: name one, without a path")
	}
	if c.Prefix != "" && !providers.ValidKey(c.Prefix) {
		return "", errors.New("prefix: lower case letters, digits, '.', '_', '-' and '/' between, no '/' at either end")
	}
	ways := 0
	for _, given := range []bool{len(c.CredentialsJSON) > 0 || c.CredentialsFile != "", c.Anonymous, c.Token != ""} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return "", errors.New("credentials: a key, a token or none; only one of them")
	}
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", errors.New("endpoint: an address such as https://storage.googleapis.com, without path or user")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return "", errors.New("endpoint: plain http only to this machine, because the token would be readable")
	}
	return u.Scheme + "://" + u.Host + apiPath, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

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

// Wire is the one way out: it adds token and User-Agent, notes whether a request
// reached the line, and lets each call make only the requests it may.
type Wire struct {
	endpoint string // with the path of the API, with a slash behind
	bucket   string
	prefix   string // empty, or with a slash behind
	base     *http.Transport
	creds    *auth.Credentials // nil: none
	token    string            // ready token; empty: ask creds
	agent    string
}

// Open checks the configuration and finds the credentials. It asks the bucket
// for nothing.
func Open(ctx context.Context, c Config) (*Wire, error) {
	endpoint, err := c.check()
	if err != nil {
		return nil, Fail("open", "", providers.ErrInvalid, err)
	}
	base, err := newTransport(c)
	if err != nil {
		return nil, err
	}
	w := &Wire{endpoint: endpoint, bucket: c.Bucket, prefix: c.Prefix, base: base, token: c.Token, agent: c.UserAgent}
	if w.prefix != "" {
		w.prefix += "/"
	}
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

// Endpoint is the address of the API, with a slash behind.
func (w *Wire) Endpoint() string { return w.endpoint }

// Bucket is the bucket's name.
func (w *Wire) Bucket() string { return w.bucket }

// Prefix is what stands before every key: nothing, or something with a slash behind.
func (w *Wire) Prefix() string { return w.prefix }

// Close lets go of idle connections.
func (w *Wire) Close() { w.base.CloseIdleConnections() }

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
		DialContext:            providers.Dial(dialer, c.Conn),
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
		return nil, Fail("open", "", providers.ErrInvalid, fmt.Errorf("read CA file: %w", err))
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, Fail("open", "", providers.ErrInvalid, errors.New("CA file: no certificate in it"))
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
			return nil, Fail("open", "", providers.ErrDenied, fmt.Errorf("read key file: %w", err))
		}
	}
	if len(key) == 0 {
		creds, err := credentials.DetectDefault(opt)
		if err != nil {
			return nil, Fail("open", "", providers.ErrDenied, errors.New(
				"no application default credentials: name a key file, or sign in with the provider's own tool"))
		}
		return creds, nil
	}
	var head struct {
		Type credentials.CredType `json:"type"`
	}
	if json.Unmarshal(key, &head) != nil {
		return nil, Fail("open", "", providers.ErrDenied, errors.New("key is not a JSON key file"))
	}
	switch head.Type {
	case credentials.ServiceAccount, credentials.AuthorizedUser, credentials.ImpersonatedServiceAccount,
		credentials.ExternalAccount, credentials.ExternalAccountAuthorizedUser:
	default:
		return nil, Fail("open", "", providers.ErrDenied, errors.New("key file is of a type that cannot be used here"))
	}
	creds, err := credentials.NewCredentialsFromJSON(head.Type, key, opt)
	if err != nil {
		return nil, Fail("open", "", providers.ErrDenied, errors.New("key file is incomplete or damaged"))
	}
	return creds, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Client is an HTTP client over this wire. It follows no redirect: the API has none, so
// one comes from a portal or a proxy in between.
func (w *Wire) Client() *http.Client {
	return &http.Client{Transport: w, CheckRedirect: noRedirect}
}
