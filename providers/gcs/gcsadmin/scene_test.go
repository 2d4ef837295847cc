package gcsadmin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/gcs/gcsadmin"
	"offsite/providers/gcs/gcstest"
	"offsite/providers/providertest/servers"
)

var (
	server = servers.Shared[*servers.FakeGCS]{Start: servers.StartFakeGCS}
	seq    atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m, &server)) }

const day = 24 * time.Hour

// start is far from the real time, so that a test which mixes the clocks fails.
func start() time.Time { return time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC) }

// The tokens of the members that the printed commands name, and one that may do
// everything.
const (
	uploadToken = "token-of-uploader"
	manager     = "token-of-manager"
	restorer    = "token-of-restore"
	admin       = "token-of-admin"
	emergency   = "token-of-emergency"
	owner       = "token-of-owner"
)

// scene is a project without rights and without the bucket. What anybody may do
// there, the printed policies have given them.
type scene struct {
	*testing.T
	layer          *gcstest.Layer
	url            string
	bucket, prefix string
	between        func(r *http.Request) // before every request
}

func newScene(t *testing.T, prefix string) *scene {
	t.Helper()
	s := &scene{T: t, bucket: fmt.Sprintf("practice-%d", seq.Add(1)), prefix: prefix}
	members := map[string]string{}
	for _, role := range append(providers.Roles(), "emergency") {
		members["token-of-"+string(role)] = fmt.Sprintf("serviceAccount:offsite-%s@practice-project.iam.gserviceaccount.com", role)
	}
	everything := gcstest.Role(append(gcstest.Admin(), "storage.buckets.setIamPolicy", "storage.buckets.delete",
		"storage.objects.move", "storage.objects.restore", "storage.objects.setIamPolicy"))
	layer, err := gcstest.New(server.Get(t).URL, gcstest.Options{Start: start(), Members: members, Tokens: map[string]gcstest.Role{owner: everything}})
	check(t, err)
	s.layer = layer
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.between != nil {
			s.between(r)
		}
		layer.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { web.Close(); layer.Close() })
	s.url = web.URL
	for _, role := range providers.Roles() {
		s.install(role, string(role), "")
	}
	s.install(providers.RoleAdmin, "emergency", members[emergency])
	return s
}

// install runs the printed commands of that file.
func (s *scene) install(role providers.Role, name, member string) {
	s.Helper()
	docs, err := gcsadmin.Policies(role, gcsadmin.PolicyConfig{Bucket: s.bucket, Prefix: s.prefix, Member: member})
	check(s, err)
	files := map[string][]byte{}
	for _, d := range docs {
		files[d.Name] = d.Text
	}
	for line := range strings.Lines(string(files[name+".commands.txt"])) {
		check(s, s.layer.Gcloud(strings.TrimSpace(line), files))
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) config(token string) gcs.Config {
	return gcs.Config{Bucket: s.bucket, Prefix: s.prefix, Endpoint: s.url, Token: token}
}

func (s *scene) open(token string) *gcs.Driver {
	s.Helper()
	d, err := gcs.Open(s.Context(), s.config(token))
	check(s, err)
	s.Cleanup(func() { d.Close() })
	return d
}

func (s *scene) admin(token string) *gcsadmin.Admin {
	s.Helper()
	a, err := gcsadmin.Open(s.Context(), gcsadmin.Config{Store: s.config(token), Max: 4000 * day, Project: "practice-project", Location: "EUROPE-WEST3"})
	check(s, err)
	s.Cleanup(func() { a.Close() })
	return a
}

// setUp makes the bucket.
func (s *scene) setUp() {
	s.Helper()
	settings, err := s.admin(admin).Setup(s.Context())
	check(s, err)
	for _, one := range settings {
		if one.State != providers.StateRight {
			s.Fatalf("after setup: %+v", one)
		}
	}
}

// ask makes one plain request and returns the status and the body.
func (s *scene) ask(token, method, path, contentType, body string) (int, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	check(s, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(req)
	check(s, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	check(s, err)
	return res.StatusCode, string(data)
}

// must is ask for what cannot fail.
func (s *scene) must(token, method, path, body string) string {
	s.Helper()
	status, text := s.ask(token, method, path, "application/json", body)
	if status != http.StatusOK {
		s.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

func (s *scene) bucketPath() string { return "/storage/v1/b/" + s.bucket }

func (s *scene) objectPath(key string) string {
	if s.prefix != "" {
		key = s.prefix + "/" + key
	}
	return s.bucketPath() + "/o/" + url.PathEscape(key)
}

// advance moves the clock and returns what lifecycle has removed.
func (s *scene) advance(d time.Duration) []string {
	s.Helper()
	removed, err := s.layer.Advance(context.WithoutCancel(s.Context()), d)
	check(s, err)
	names := []string{}
	for _, r := range removed {
		names = append(names, strings.TrimPrefix(r.Name, s.prefix+"/"))
	}
	return names
}
