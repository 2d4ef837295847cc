package azure

import (
	"bytes"
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
	"os"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"offsite/providers"
)

const (
	dialTimeout = 30 * time.Second // a lost SYN is sent again after 1, 3, 7 and 15 s
	tlsTimeout  = 15 * time.Second // slow lines, no more than a few packets
	idleConns   = 16               // twice the requests that Store has in flight
	idleTimeout = 90 * time.Second // below the four minutes after which Azure's balancers forget
	maxCAFile   = 4 << 20          // all of a system's certificates are 250 KiB
)

// connect makes the client of the container.
func (d *Driver) connect(cfg Config) error {
	address, err := cfg.address()
	if err != nil {
		return fail("open", "", providers.ErrInvalid, err)
	}
	client, err := httpClient(cfg)
	if err != nil {
		return fail("open", "", providers.ErrInvalid, err)
	}
	d.expires = cfg.expiry()
	options := azcore.ClientOptions{
		Transport:       client,
		Retry:           policy.RetryOptions{MaxRetries: -1}, // Store repeats, nobody else
		Telemetry:       policy.TelemetryOptions{Disabled: true},
		PerCallPolicies: []policy.Policy{&watch{agent: cmp.Or(cfg.UserAgent, "offsite"), driver: d}},
	}
	opt := &container.ClientOptions{ClientOptions: options}
	switch {
	case cfg.SAS != "":
		d.client, err = container.NewClientWithNoCredential(address, opt)
	case cfg.SharedKey != "":
		key, keyErr := blob.NewSharedKeyCredential(cfg.Account, cfg.SharedKey)
		if keyErr != nil {
			return fail("open", "", providers.ErrInvalid, errors.New("shared key is not base64"))
		}
		d.client, err = container.NewClientWithSharedKeyCredential(address, key, opt)
	default:
		chain, chainErr := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: client, Telemetry: options.Telemetry},
		})
		if chainErr != nil {
			return fail("open", "", providers.ErrDenied, errors.New(printable(chainErr.Error(), longestText)))
		}
		d.client, err = container.NewClient(address, tokens{chain}, opt)
	}
	if err != nil {
		return fail("open", "", providers.ErrInvalid, cause(err))
	}
	return nil
}

// tokens are those of a chain of credentials, with errors that have a kind: the
// chain puts whatever happened into one text.
type tokens struct{ chain azcore.TokenCredential }

// credentialError says why there is no token. Nothing was sent to the store then.
type credentialError struct {
	kind error
	text string
}

func (e *credentialError) Error() string { return e.text }

func (t tokens) GetToken(ctx context.Context, opt policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := t.chain.GetToken(ctx, opt)
	if err == nil || ctx.Err() != nil {
		return token, errors.Join(err, ctx.Err())
	}
	e := &credentialError{providers.ErrDenied, printable(err.Error(), longestText)}
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) {
		switch {
		case failed.RawResponse == nil: // the authority did not answer
			e.kind = providers.ErrUnreachable
		case failed.RawResponse.StatusCode == http.StatusTooManyRequests || failed.RawResponse.StatusCode >= 500:
			e.kind = providers.ErrBusy
		}
	}
	return token, e
}

func httpClient(cfg Config) (*http.Client, error) {
	transport := &http.Transport{
		Proxy:                 cfg.Proxy,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   tlsTimeout,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost:   idleConns,
		IdleConnTimeout:       idleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // sealed bytes, and lengths must be those of the object
	}
	if cfg.CAFile != "" {
		pool, err := certificates(cfg.CAFile)
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

// errStranger is a good answer of something that is not the service: the sign-in
// page of a guest network, or a proxy's.
var errStranger = errors.New("the answer is not from Azure Blob Storage")

// watch names this program to the service, refuses strangers and notes the time.
type watch struct {
	agent  string
	driver *Driver
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
			return nil, errStranger
		}
		return resp, nil
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		w.driver.date.Store(date.Unix())
	}
	return resp, nil
}

// upload is the body of one Put. After close no byte of data is touched: the
// transport may read on for a moment after a cancelled request has returned, and
// the caller may use its memory again by then.
type upload struct {
	mu     sync.Mutex
	reader *bytes.Reader
	closed bool
}

func newUpload(data []byte) *upload { return &upload{reader: bytes.NewReader(data)} }

func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return 0, fs.ErrClosed
	}
	return u.reader.Read(p)
}

func (u *upload) Seek(offset int64, whence int) (int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.reader.Seek(offset, whence)
}

// Close is what the transport calls, before each attempt's end; it changes nothing.
func (u *upload) Close() error { return nil }

func (u *upload) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
}
