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
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"offsite/manifest"
	"offsite/manifest/keep"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/providertest/servers"
	"offsite/providers/s3"
	"offsite/providers/s3/s3sweep"
)

var gateway = servers.Shared[*servers.Gateway]{Start: servers.StartGateway}

var buckets atomic.Int64

// newBucket is the name of a bucket that no other test has, nor the same one again.
func newBucket() string { return fmt.Sprintf("sweep-%d", buckets.Add(1)) }

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
	cfg := config(url, newBucket())
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

// TestSweepOfARealServer: what two days have stored goes by its documents, with the
// reading credential here and the removing one there.
func TestSweepOfARealServer(t *testing.T) {
	url := gateway.Get(t).URL
	cfg := config(url, newBucket())
	client := awss3.New(awss3.Options{BaseEndpoint: aws.String(url), UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, "")})
	_, err := client.CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: aws.String(cfg.Bucket)})
	check(t, err)
	d, err := s3.Open(t.Context(), cfg)
	check(t, err)
	remover, err := s3sweep.Open(t.Context(), cfg)
	check(t, err)
	store := providers.NewStore(d, providers.Options{})
	restore, err := seal.NewRestoreKey()
	check(t, err)
	secrets, err := seal.NewSecrets()
	check(t, err)
	owner := restore.Owner()
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	check(t, err)
	now, err := store.Time(t.Context())
	check(t, err)
	header := manifest.Header{Format: 1, Repository: key.Repository, Created: manifest.At(now), Owner: manifest.Public(owner.Public()),
		Restore: key.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable}
	check(t, manifest.Found(t.Context(), store, manifest.Founding{Header: header, Owner: owner, Enrolment: manifest.Enrolment{Format: 1,
		Repository: key.Repository, PC: key.PC, Signing: manifest.Public(key.Public()), Created: manifest.At(now)}}))
	trust, err := manifest.LoadTrust(t.Context(), store, header)
	check(t, err)
	var packs []manifest.Stored
	for i := range 3 {
		b := fmt.Appendf(nil, "sealed bytes %d", i)
		s, err := manifest.SavePack(t.Context(), store, pack.NameOf(b), b, now.AddDate(0, 0, 90))
		check(t, err)
		packs = append(packs, s)
	}
	var records []string
	for i, days := range []int{40, 90} {
		expiry := now.AddDate(0, 0, days)
		ref, err := manifest.Commit(t.Context(), store, manifest.Record{Format: 1, Repository: key.Repository, Source: "0102030405060708", PC: key.PC,
			Seq: uint64(i + 1), Time: manifest.At(now), Date: now.Format(time.DateOnly), Revision: i + 1, Zone: "UTC", Profile: "generic", Verdict: manifest.Clean,
			Expiry: manifest.At(expiry), Table: manifest.Table{Root: strings.Repeat("0", 32)}}, packs[i:i+2], nil, key.Signing, expiry)
		check(t, err)
		records = append(records, ref.Key)
	}
	then := now.AddDate(0, 0, 42)
	e, err := keep.Read(t.Context(), store, trust, keep.Options{})
	check(t, err)
	sweep := keep.Sweep{Store: store, Remover: remover, Log: &keep.Log{Store: store, Trust: trust, Repository: key.Repository, PC: key.PC, Key: key.Signing}}
	done, err := sweep.Run(t.Context(), e, e.Plan(then), then)
	if err != nil || done.Removed != 2 || len(done.Left) != 0 {
		t.Errorf("done: %+v, %v", done, err)
	}
	var left []string
	for o, err := range store.List(t.Context(), manifest.Removable, "") {
		check(t, err)
		left = append(left, o.Key)
	}
	want := []string{packs[1].Key(), packs[2].Key(), records[1]}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if log, err := sweep.Log.Read(t.Context()); err != nil || len(log) != 2 || log[1].Problem != nil || log[1].Removed != 2 {
		t.Errorf("log: %+v, %v", log, err)
	}
}
