// Package wire is the way to a service that speaks S3: a client of the SDK that
// tries once, and what each of its errors means. The driver and whoever sets a
// bucket up share it, and nobody else can import it.
package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"offsite/providers"
)

const (
	defaultRegion = "us-east-1"      // what compatible stores expect who know no regions
	dialTimeout   = 15 * time.Second // a slow line still answers within
	// Credentials are renewed this long before they end, so that a request under
	// way is not cut off.
	renewEarly = 5 * time.Minute
)

// Settings say where a service is and how to speak to it; see s3.Config.
type Settings struct {
	Region, Endpoint            string
	PathStyle, PlainHTTP        bool
	AccessKey, SecretKey, Token string
	Profile                     string
	UserAgent, CAFile           string
	Proxy                       func(*http.Request) (*url.URL, error)
	Conn                        func(net.Conn) net.Conn
}

// Check refuses settings that contradict themselves.
func (c Settings) Check() error {
	switch {
	case (c.AccessKey == "") != (c.SecretKey == ""), c.Token != "" && c.AccessKey == "":
		return errors.New("access key and secret key must be given together")
	case c.AccessKey != "" && c.Profile != "":
		return errors.New("keys and a profile exclude each other")
	}
	return c.checkEndpoint()
}

func (c Settings) checkEndpoint() error {
	if c.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("endpoint is not an address like https://host:port")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme != "http":
		return errors.New("endpoint is neither https nor http")
	case !c.PlainHTTP && !loopback(u.Hostname()):
		return errors.New("endpoint is plain http; allow it explicitly or use https")
	}
	return nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// NewClient makes an SDK client that tries once, adds no trailers and follows no
// redirections.
func NewClient(ctx context.Context, c Settings) (*s3.Client, aws.CredentialsProvider, error) {
	web, err := webClient(c)
	if err != nil {
		return nil, nil, err
	}
	cfg := aws.Config{Region: c.Region, HTTPClient: web}
	if c.AccessKey != "" {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, c.Token)
	} else {
		cfg, err = config.LoadDefaultConfig(ctx, config.WithHTTPClient(web), config.WithRegion(c.Region),
			config.WithSharedConfigProfile(c.Profile),
			config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = renewEarly }))
		if err != nil {
			return nil, nil, fmt.Errorf("load credentials chain: %w", err)
		}
	}
	if cfg.Region == "" {
		if c.Endpoint == "" {
			return nil, nil, errors.New("region is missing")
		}
		cfg.Region = defaultRegion
	}
	cfg.Logger = logging.Nop{}
	transport := web.GetTransport()
	if chain, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = chain.GetTransport() // with the certificates of the environment
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.Retryer = aws.NopRetryer{} // Store retries
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		o.DisableS3ExpressSessionAuth = aws.Bool(true)
		o.UsePathStyle = c.PathStyle
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
		// A redirected write would go, unsigned, to a host that nobody chose.
		o.HTTPClient = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}}
		o.APIOptions = append(o.APIOptions, userAgent(c.UserAgent))
	})
	return client, cfg.Credentials, nil
}

func webClient(c Settings) (*awshttp.BuildableClient, error) {
	var roots *x509.CertPool
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("CA file holds no certificate")
		}
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = providers.Dial(&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}, c.Conn)
		t.TLSHandshakeTimeout = dialTimeout
		t.MaxIdleConnsPerHost = 16 // twice what Store has in flight
		t.DisableCompression = true
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{}
		}
		t.TLSClientConfig.MinVersion = tls.VersionTLS12
		t.TLSClientConfig.RootCAs = roots
		t.Proxy = http.ProxyFromEnvironment
		if c.Proxy != nil {
			t.Proxy = c.Proxy
		}
	}), nil
}

// userAgent replaces the long text of the SDK. The header is not signed.
func userAgent(text string) func(*middleware.Stack) error {
	if text == "" {
		text = "offsite"
	}
	set := middleware.BuildMiddlewareFunc("offsiteUserAgent", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
		if req, ok := in.Request.(*smithyhttp.Request); ok {
			req.Header.Set("User-Agent", text)
		}
		return next.HandleBuild(ctx, in)
	})
	return func(stack *middleware.Stack) error { return stack.Build.Add(set, middleware.After) }
}

// ContentMD5 gives a request the checksum that every compatible store knows, in
// place of the CRC32 of the SDK, which some refuse.
func ContentMD5(o *s3.Options) {
	o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], func(stack *middleware.Stack) error {
		if _, err := stack.Initialize.Remove("AWSChecksum:SetupInputContext"); err != nil {
			return err
		}
		return smithyhttp.AddContentChecksumMiddleware(stack)
	})
}
