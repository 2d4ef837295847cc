package s3sweep_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/providers"
	"offsite/providers/providertest/servers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3sweep"
)

var gateway = servers.Shared[*servers.Gateway]{Start: servers.StartGateway}

func TestMain(m *testing.M) { os.Exit(servers.Main(m, &gateway)) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func config(endpoint, bucket string) s3.Config {
	return s3.Config{Bucket: bucket, Prefix: "practice", Endpoint: endpoint, PathStyle: true, AccessKey: "offsite-test", SecretKey: "no secret at all"}
}

// bucket answers as a service does that holds versions, or none.
type bucket struct {
	mu     sync.Mutex
	listed string            // answer to a listing of versions; empty: not implemented
	refuse map[string]string // by version: an error code
	asked  []string
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := r.URL.Query()
	code := ""
	switch {
	case r.Method == http.MethodGet && q.Has("versions"):
		b.asked = append(b.asked, "versions "+q.Get("prefix"))
		if b.listed != "" {
			w.Header().Set("Content-Type", "application/xml")
			fmt.Fprintf(w, `<?xml version="1.0"?><ListVersionsResult><IsTruncated>false</IsTruncated>%s</ListVersionsResult>`, b.listed)
			return
		}
		code = "NotImplemented"
	case r.Method == http.MethodDelete:
		b.asked = append(b.asked, "delete "+r.URL.Path+" "+q.Get("versionId"))
		if code = b.refuse[q.Get("versionId")]; code == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	default:
		b.asked = append(b.asked, r.Method+" "+r.URL.Path)
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(map[string]int{"NotImplemented": 501, "AccessDenied": 403, "SlowDown": 503, "InternalError": 500}[code])
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>words</Message></Error>`, code)
}

func (b *bucket) open(t *testing.T) *s3sweep.Sweeper {
	t.Helper()
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	s, err := s3sweep.Open(t.Context(), config(server.URL, "b"))
	check(t, err)
	return s
}

func version(key, id string) string {
	return "<Version><Key>practice/" + key + "</Key><VersionId>" + id + "</VersionId></Version>"
}

func marker(key, id string) string {
	return "<DeleteMarker><Key>practice/" + key + "</Key><VersionId>" + id + "</VersionId></DeleteMarker>"
}

func TestRemoveTakesAllVersionsAndMarkersFirst(t *testing.T) {
	for _, c := range []struct {
		name   string
		listed string
		want   []string
		kind   error
	}{
		{"a bucket that keeps no versions", version("r/x/a", "null"), []string{"versions practice/r/x/a", "delete /b/practice/r/x/a "}, nil},
		{"a service that lists no versions", "", []string{"versions practice/r/x/a", "delete /b/practice/r/x/a "}, nil},
		{"an object written over and hidden", version("r/x/a", "v2") + marker("r/x/a", "m1") + version("r/x/a", "v1"),
			[]string{"versions practice/r/x/a", "delete /b/practice/r/x/a m1", "delete /b/practice/r/x/a v2", "delete /b/practice/r/x/a v1"}, nil},
		{"longer keys beside it stay", version("r/x/a", "v1") + version("r/x/a0", "v2") + marker("r/x/a/b", "m1"),
			[]string{"versions practice/r/x/a", "delete /b/practice/r/x/a v1"}, nil},
		{"it is gone", version("r/x/a0", "v2"), []string{"versions practice/r/x/a"}, providers.ErrNotExist},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bucket{listed: c.listed}
			err := b.open(t).Remove(t.Context(), "r/x/a", "")
			if providers.KindOf(err) != c.kind || !slices.Equal(b.asked, c.want) {
				t.Errorf("%v, asked %q", err, b.asked)
			}
		})
	}
}

func TestAServiceWithoutVersionsIsAskedForThemOnce(t *testing.T) {
	b := &bucket{}
	s := b.open(t)
	for range 3 {
		check(t, s.Remove(t.Context(), "r/x/a", ""))
	}
	if len(b.asked) != 4 {
		t.Errorf("asked %q", b.asked)
	}
}

func TestErrorsOfARemovalHaveTheirKind(t *testing.T) {
	for code, kind := range map[string]error{"AccessDenied": providers.ErrDenied, "SlowDown": providers.ErrBusy, "InternalError": providers.ErrInDoubt} {
		b := &bucket{refuse: map[string]string{"v1": code}, listed: version("r/x/a", "v1")}
		if err := b.open(t).Remove(t.Context(), "r/x/a", ""); !errors.Is(err, kind) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestNothingOutsideTheRemovablePrefixIsTouched(t *testing.T) {
	b := &bucket{listed: version("r/x/a", "v1")}
	s := b.open(t)
	for _, key := range []string{"offsite.json", "keys/secrets.age", "log/00000001", "notes/a/b", "r", "rx/a", "r/../keys/a", "", "r/", "R/x/a"} {
		if err := s.Remove(t.Context(), key, ""); !errors.Is(err, providers.ErrInvalid) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if len(b.asked) != 0 {
		t.Errorf("asked %q", b.asked)
	}
	cfg := config("http://127.0.0.1:1", "b")
	cfg.Lock = true
	if _, err := s3sweep.Open(t.Context(), cfg); !errors.Is(err, providers.ErrInvalid) {
		t.Errorf("a bucket with lock: %v", err)
	}
}

// TestObjectsAreGoneFromARealServer stores with the driver and removes here.
func TestObjectsAreGoneFromARealServer(t *testing.T) {
	url := gateway.Get(t).URL
	cfg := config(url, strings.ToLower("sweep-"+fmt.Sprint(os.Getpid())))
	client := awss3.New(awss3.Options{BaseEndpoint: aws.String(url), UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, "")})
	_, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(cfg.Bucket)})
	check(t, err)
	d, err := s3.Open(t.Context(), cfg)
	check(t, err)
	s, err := s3sweep.Open(t.Context(), cfg)
	check(t, err)
	for _, key := range []string{"r/x/a", "r/x/ab", "keys/a"} {
		_, err := d.Put(t.Context(), key, []byte("bytes"), providers.PutOptions{Lease: time.Now().Add(time.Hour)})
		check(t, err)
	}
	check(t, s.Remove(t.Context(), "r/x/a", ""))
	if err := s.Remove(t.Context(), "r/x/a", ""); err != nil && !errors.Is(err, providers.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	var left []string
	for o, err := range d.List(t.Context(), "", "") {
		check(t, err)
		left = append(left, o.Key)
	}
	if !slices.Equal(left, []string{"keys/a", "r/x/ab"}) {
		t.Errorf("left: %v", left)
	}
}
