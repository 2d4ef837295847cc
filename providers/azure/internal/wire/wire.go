// Package wire is how this program's requests get to Azure: one transport with
// time limits, proxies and extra certificates, the credentials, and clients that
// make one attempt a call.
//
// It promises that no credential goes over plain HTTP to anything but the loopback,
// that redirects are not followed, and that an answer that is not the service's is
// never taken for one. It knows nothing of objects and leases.
package wire

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"offsite/providers"
)

const (
	dialTimeout = 30 * time.Second // a lost SYN is sent again after 1, 3, 7 and 15 s
	tlsTimeout  = 15 * time.Second // slow lines, no more than a few packets
	idleConns   = 16               // twice the requests that Store has in flight
	idleTimeout = 90 * time.Second // below the four minutes after which Azure's balancers forget
	maxCAFile   = 4 << 20          // all of a system's certificates are 250 KiB
)

// Line is what requests go through.
type Line struct {
	// Proxy chooses a proxy for a request, as http.ProxyFromEnvironment does. Nil: none.
	Proxy func(*http.Request) (*url.URL, error)
	// Conn wraps every connection. Nil: as it is.
	Conn func(net.Conn) net.Conn
	// CAFile names a file of PEM certificates trusted beside the system's.
	CAFile string
	// UserAgent is sent with every request. Empty: "offsite".
	UserAgent string
	// Answered sees the header of every answer of the service. Nil: nobody.
	Answered func(http.Header)
}

// Options are those of a client for an address on this line: one attempt a call.
// The address is one that Endpoint has returned.
func (l Line) Options(address string) (azcore.ClientOptions, error) {
	client, err := l.client()
	if err != nil {
		return azcore.ClientOptions{}, err
	}
	return azcore.ClientOptions{
		Transport:       client,
		Retry:           policy.RetryOptions{MaxRetries: -1}, // who calls repeats, nobody else
		Telemetry:       policy.TelemetryOptions{Disabled: true},
		PerCallPolicies: []policy.Policy{&watch{agent: cmp.Or(l.UserAgent, "offsite"), answered: l.Answered}},

		InsecureAllowCredentialWithHTTP: strings.HasPrefix(address, "http://"), // Endpoint: the loopback
	}, nil
}

// Endpoint reads an address, which must be https or on the loopback.
func Endpoint(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("endpoint is not a plain address")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, errors.New("endpoint is neither https nor on the loopback")
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (l Line) client() (*http.Client, error) {
	if strings.ContainsFunc(l.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, errors.New("user agent is not plain ASCII")
	}
	transport := &http.Transport{
		Proxy:                 l.Proxy,
		DialContext:           providers.Dial(&net.Dialer{Timeout: dialTimeout}, l.Conn),
		TLSHandshakeTimeout:   tlsTimeout,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost:   idleConns,
		IdleConnTimeout:       idleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // sealed bytes, and lengths must be those of the object
	}
	if l.CAFile != "" {
		pool, err := certificates(l.CAFile)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{
		Transport: transport,
		// The service never redirects; whoever does must not get the credential.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func certificates(file string) (*x509.CertPool, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open CA file: %w", underlying(err))
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCAFile))
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", underlying(err))
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("CA file holds no certificate")
	}
	return pool, nil
}

// underlying leaves the path out: errors may go to logs.
func underlying(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return errors.New(p.Err.Error())
	}
	return err
}

// ErrStranger is a good answer of something that is not the service: the sign-in
// page of a guest network, or a proxy's.
var ErrStranger = errors.New("the answer is not from Azure")

// watch names this program to the service and refuses strangers.
type watch struct {
	agent    string
	answered func(http.Header)
}

func (w *watch) Do(req *policy.Request) (*http.Response, error) {
	req.Raw().Header.Set("User-Agent", w.agent)
	resp, err := req.Next()
	if err != nil {
		return resp, err
	}
	if resp.Header.Get("X-Ms-Version") == "" && resp.Header.Get("X-Ms-Request-Id") == "" {
		if resp.StatusCode < 400 {
			resp.Body.Close()
			return nil, ErrStranger
		}
		return resp, nil
	}
	if w.answered != nil {
		w.answered(resp.Header)
	}
	return resp, nil
}

// Printable is a foreign text on one line, cut.
func Printable(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// Cause takes the address out of an error of the transport: its query may be a SAS.
func Cause(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	if !strings.Contains(err.Error(), "sig=") {
		return err
	}
	for _, plain := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, plain) {
			return plain
		}
	}
	return errors.New("the request failed; the text is left out because it may hold a secret")
}
