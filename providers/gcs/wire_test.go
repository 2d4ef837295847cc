package gcs_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"offsite/providers"
	"offsite/providers/gcs"
)

// accountKey is a service account's key file whose tokens come from tokenURL.
func accountKey(t *testing.T, tokenURL string) []byte {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "p", "private_key_id": "1",
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": "uploader@p.example", "client_id": "1", "token_uri": tokenURL})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A key file, handed in as text or by name, becomes a token, once.
func TestServiceAccountKey(t *testing.T) {
	for _, byName := range []bool{false, true} {
		t.Run(fmt.Sprintf("by name %v", byName), func(t *testing.T) {
			var tokens atomic.Int64
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					tokens.Add(1)
					w.Header().Set("Content-Type", "application/json")
					io.WriteString(w, `{"access_token":"made-token","token_type":"Bearer","expires_in":3600}`)
					return
				}
				if got := r.Header.Get("Authorization"); got != "Bearer made-token" {
					t.Errorf("Authorization %q", got)
				}
				metadata(w, nil)
			}))
			t.Cleanup(service.Close)
			c := gcs.Config{Bucket: "bucket", Endpoint: service.URL, CredentialsJSON: accountKey(t, service.URL+"/token")}
			if byName {
				c.CredentialsFile = filepath.Join(t.TempDir(), "key.json")
				if err := os.WriteFile(c.CredentialsFile, c.CredentialsJSON, 0o600); err != nil {
					t.Fatal(err)
				}
				c.CredentialsJSON = nil
			}
			d, err := gcs.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			for range 3 {
				if _, err := d.Stat(t.Context(), "r/a", ""); err != nil {
					t.Error(err)
				}
			}
			if n := tokens.Load(); n != 1 {
				t.Errorf("%d tokens for three requests", n)
			}
		})
	}
}

// Without a token nothing was sent, so that even a write is not in doubt.
func TestTokenRefused(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"key withdrawn": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
		}, providers.ErrDenied},
		"busy":    {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, providers.ErrBusy},
		"hung up": {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, providers.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := httptest.NewServer(c.answer)
			t.Cleanup(tokens.Close)
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("asked without a token") }))
			t.Cleanup(service.Close)
			key := accountKey(t, tokens.URL)
			d, err := gcs.Open(t.Context(), gcs.Config{Bucket: "bucket", Endpoint: service.URL, CredentialsJSON: key})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			_, err = d.Put(t.Context(), "r/a", []byte("hello"), providers.PutOptions{})
			wantOnly(t, "put", err, c.want)
			_, err = d.Stat(t.Context(), "r/a", "")
			wantOnly(t, "stat", err, c.want)
			var parts map[string]string
			json.Unmarshal(key, &parts)
			if err == nil || strings.Contains(err.Error(), parts["private_key"][40:80]) || strings.Contains(err.Error(), "assertion") {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
}

// A key that cannot be used is refused at once, without a word of it repeated.
func TestBadKeys(t *testing.T) {
	const secret = "WORD-OF-THE-KEY"
	for name, key := range map[string]string{
		"not JSON":        secret,
		"cut":             `{"type":"service_account","private_key":"` + secret,
		"no type":         `{"private_key":"` + secret + `"}`,
		"unknown type":    `{"type":"` + secret + `"}`,
		"browser client":  `{"installed":{"client_secret":"` + secret + `"}}`,
		"damaged private": `{"type":"service_account","client_email":"a@b","private_key":"` + secret + `","token_uri":"https://nowhere.invalid"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d, err := gcs.Open(t.Context(), gcs.Config{Bucket: "bucket", Endpoint: "http://127.0.0.1:1", CredentialsJSON: []byte(key)})
			if err == nil { // some keys are looked at only when a token is needed
				t.Cleanup(func() { d.Close() })
				_, err = d.Stat(t.Context(), "r/a", "")
			}
			wantOnly(t, "open", err, providers.ErrDenied)
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
	_, err := gcs.Open(t.Context(), gcs.Config{Bucket: "bucket", CredentialsFile: filepath.Join(t.TempDir(), "missing.json")})
	wantOnly(t, "missing file", err, providers.ErrDenied)
}

// The machine's own credentials, where the provider's tool has put them.
func TestApplicationDefaultCredentials(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"access_token":"default-token","token_type":"Bearer","expires_in":3600}`)
			return
		}
		if got := r.Header.Get("Authorization"); got != "Bearer default-token" {
			t.Errorf("Authorization %q", got)
		}
		metadata(w, nil)
	}))
	t.Cleanup(service.Close)
	file := filepath.Join(t.TempDir(), "adc.json")
	if err := os.WriteFile(file, accountKey(t, service.URL+"/token"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1") // an emulator's variable leads nowhere
	d, err := gcs.Open(t.Context(), gcs.Config{Bucket: "bucket", Endpoint: service.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := d.Stat(t.Context(), "r/a", ""); err != nil {
		t.Error(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file+".missing")
	_, err = gcs.Open(t.Context(), gcs.Config{Bucket: "bucket", Endpoint: service.URL})
	wantOnly(t, "no default credentials", err, providers.ErrDenied)
}

// A server with a certificate of the practice's own needs the CA file.
func TestCAFile(t *testing.T) {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("asked by %s: each upload should have its own connection", r.Proto)
		}
		metadata(w, nil)
	}))
	t.Cleanup(service.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw})
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, gcs.Config{Bucket: "bucket", Endpoint: service.URL}).Stat(t.Context(), "r/a", "")
	wantOnly(t, "without the CA file", err, providers.ErrUnreachable)
	_, err = open(t, gcs.Config{Bucket: "bucket", Endpoint: service.URL, CAFile: file}).Stat(t.Context(), "r/a", "")
	wantOnly(t, "with the CA file", err, nil)
}

func TestProxyAndUserAgent(t *testing.T) {
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Host != "127.0.0.1:1" || r.Header.Get("User-Agent") != "offsite/1.2.3" {
			t.Errorf("host %s, agent %q", r.Host, r.Header.Get("User-Agent"))
		}
		metadata(w, nil)
	}))
	t.Cleanup(proxy.Close)
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, gcs.Config{Bucket: "bucket", Endpoint: "http://127.0.0.1:1", UserAgent: "offsite/1.2.3", Proxy: http.ProxyURL(through)})
	if _, err := d.Stat(t.Context(), "r/a", ""); err != nil || asked.Load() != 1 {
		t.Errorf("%v, %d requests by the proxy", err, asked.Load())
	}
}
