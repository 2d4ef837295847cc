package s3_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/s3"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	keys := func(c s3.Config) s3.Config {
		c.AccessKey, c.SecretKey = "a", secretKey
		return c
	}
	for want, cfg := range map[string]s3.Config{
		"bucket is missing":         keys(s3.Config{Region: "eu-central-1"}),
		"bucket is missing or":      keys(s3.Config{Bucket: "a/b", Region: "eu-central-1"}),
		"prefix is outside":         keys(s3.Config{Bucket: "b", Region: "x", Prefix: "/a"}),
		"prefix":                    keys(s3.Config{Bucket: "b", Region: "x", Prefix: "a/"}),
		"compliance needs lock":     keys(s3.Config{Bucket: "b", Region: "x", Compliance: true}),
		"neither sha256 nor md5":    keys(s3.Config{Bucket: "b", Region: "x", Checksum: "crc32"}),
		"given together":            {Bucket: "b", Region: "x", SecretKey: secretKey},
		"keys and a profile":        keys(s3.Config{Bucket: "b", Region: "x", Profile: "p"}),
		"endpoint is not an":        keys(s3.Config{Bucket: "b", Endpoint: "https://user:" + "pw@host"}),
		"is not an address":         keys(s3.Config{Bucket: "b", Endpoint: "host:9000"}),
		"neither https nor http":    keys(s3.Config{Bucket: "b", Endpoint: "ftp://host"}),
		"plain http":                keys(s3.Config{Bucket: "b", Endpoint: "http://nas.example"}),
		"region is missing":         keys(s3.Config{Bucket: "b"}),
		"read CA file":              keys(s3.Config{Bucket: "b", Region: "x", CAFile: filepath.Join(t.TempDir(), "none")}),
		"CA file holds no":          keys(s3.Config{Bucket: "b", Region: "x", CAFile: "config_test.go"}),
		"load credentials chain":    {Bucket: "b", Region: "x", Profile: "no-such-profile"},
		"access key and secret key": {Bucket: "b", Region: "x", Token: "t"},
	} {
		t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
		t.Setenv("AWS_REGION", "")
		_, err := s3.Open(t.Context(), cfg)
		wantKind(t, want, err, providers.ErrInvalid)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secretKey) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, cfg := range []s3.Config{
		{Bucket: "b", Region: "eu-central-1"}, {Bucket: "b", Endpoint: "https://s3.example"}, {Bucket: "b", Endpoint: "http://127.0.0.1:9000"},
		{Bucket: "b", Endpoint: "http://[::1]:9000"}, {Bucket: "b", Endpoint: "http://nas.example", PlainHTTP: true},
	} {
		if _, err := s3.Open(t.Context(), keys(cfg)); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Without explicit keys the chain decides, beginning with the environment.
func TestCredentialsOfTheChain(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": "",
	} {
		t.Setenv(name, value)
	}
	bucket := newBucket(t, plain)
	chain := s3.Config{Bucket: bucket, Endpoint: gatewayURL(t), PathStyle: true}
	d, err := s3.Open(t.Context(), chain)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
	wantKind(t, "put without credentials", err, providers.ErrDenied)
	_, err = d.Get(t.Context(), "r/a", "", 0, -1)
	wantKind(t, "get without credentials", err, providers.ErrDenied)
	_, err = d.(*s3.Driver).Expires(t.Context())
	wantKind(t, "expiry of no credentials", err, providers.ErrDenied)

	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	if d, err = s3.Open(t.Context(), chain); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if until, err := d.(*s3.Driver).Expires(t.Context()); err != nil || !until.Equal(time.Time{}) {
		t.Errorf("keys without an end expire at %v, %v", until, err)
	}
}
