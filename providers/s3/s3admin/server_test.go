package s3admin_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	"offsite/providers/providertest/servers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3admin"
)

var (
	gateway = servers.Shared[*servers.Gateway]{Start: servers.StartGateway}
	ceph    = servers.Shared[*servers.Ceph]{Start: servers.StartCeph}
	buckets atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m, &gateway, &ceph)) }

// onCeph is a bucket that nobody has made yet, and its owner.
func onCeph(t *testing.T) s3.Config {
	t.Helper()
	c := ceph.Get(t)
	return s3.Config{Endpoint: c.URL, PathStyle: true, AccessKey: c.Access, SecretKey: c.Secret, Lock: true, NoConditions: true,
		Bucket: fmt.Sprintf("admin-%d", buckets.Add(1))}
}

func onGateway(t *testing.T) s3.Config {
	t.Helper()
	g := gateway.Get(t)
	return s3.Config{Endpoint: g.URL, PathStyle: true, AccessKey: g.Access, SecretKey: g.Secret, Lock: true,
		Bucket: fmt.Sprintf("admin-%d", buckets.Add(1))}
}

// client is an SDK client with the credential of cfg.
func client(cfg s3.Config) *sdk.Client {
	return sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: aws.String(cfg.Endpoint), UsePathStyle: true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		Credentials:                credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, "")})
}

func open(t *testing.T, cfg s3admin.Config) *s3admin.Admin {
	t.Helper()
	a, err := s3admin.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func driver(t *testing.T, cfg s3.Config) providers.Driver {
	t.Helper()
	d, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// cephUser makes a user and returns the configuration with its credential and the
// name that policies give it.
func cephUser(t *testing.T, cfg s3.Config, role providers.Role) (s3.Config, string) {
	t.Helper()
	name := fmt.Sprintf("%s-%s", role, cfg.Bucket)
	if err := ceph.Get(t).User(name, name, "of "+name); err != nil {
		t.Fatal(err)
	}
	cfg.AccessKey, cfg.SecretKey = name, "of "+name
	return cfg, ceph.Get(t).ARN(name)
}

// table is settings as lines of text.
func table(settings []providers.Setting) string {
	var b strings.Builder
	for _, s := range settings {
		fmt.Fprintf(&b, "%-18s %-6s want %q have %q %s\n", s.Name, s.State, s.Want, s.Have, s.Remedy)
	}
	return b.String()
}

// state is that of the one setting of a name.
func state(t *testing.T, settings []providers.Setting, name string) providers.State {
	t.Helper()
	for _, s := range settings {
		if s.Name == name {
			return s.State
		}
	}
	t.Fatalf("there is no setting %q in\n%s", name, table(settings))
	return ""
}
