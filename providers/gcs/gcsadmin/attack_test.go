package gcsadmin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"offsite/providers"
	"offsite/providers/gcs/gcsadmin"
	"offsite/providers/gcs/gcstest"
)

// canary puts one with the upload credential.
func (s *scene) canary(name string) providers.Object {
	s.Helper()
	d := s.open(uploadToken)
	v, err := d.Put(s.Context(), providers.CanaryPrefix+name, []byte("canary"), providers.PutOptions{Lease: s.layer.Now().Add(2 * day)})
	check(s, err)
	obj, err := d.Stat(s.Context(), providers.CanaryPrefix+name, v)
	check(s, err)
	return obj
}

func (s *scene) attack(token string, obj providers.Object) []providers.Attempt {
	s.Helper()
	a, err := gcsadmin.NewAttacker(s.Context(), s.config(token))
	check(s, err)
	attempts, err := a.Attack(s.Context(), obj)
	check(s, err)
	return attempts
}

// With the printed roles the uploader is refused everything but what nobody can
// refuse to whoever raises leases, and somebody who only restores is refused all.
func TestAttemptsAreRefused(t *testing.T) {
	for token, accepted := range map[string][]string{
		uploadToken: {"lease until the year 9999", "hold it for ever"},
		manager:     {"lease until the year 9999", "hold it for ever"},
		restorer:    {},
	} {
		t.Run(token, func(t *testing.T) {
			s := newScene(t, "north")
			s.setUp()
			obj := s.canary("one")
			got := []string{}
			attempts := s.attack(token, obj)
			for _, a := range attempts {
				t.Logf("%-42s -> %-32s refused %-5v %s", a.Name, a.Answer, a.Refused, a.Accepted)
				switch {
				case a.Accepted != "":
					got = append(got, a.Name)
				case !a.Refused:
					t.Errorf("not refused: %+v", a)
				}
				if a.Refused == (a.Remedy != "") {
					t.Errorf("a remedy for what is refused, or none for what is not: %+v", a)
				}
			}
			if !slices.Equal(got, accepted) || len(attempts) != 28 {
				t.Errorf("%d attempts, accepted %q", len(attempts), got)
			}
			after, err := s.open(restorer).Stat(t.Context(), obj.Key, "")
			if err != nil || after.Version != obj.Version || !after.Lease.Equal(obj.Lease) {
				t.Errorf("canary afterwards: %+v, %v", after, err)
			}
			if got := s.advance(4 * day); len(got) != 0 {
				t.Errorf("removed %q below the retention period", got)
			}
			if got := s.advance(10 * day); !slices.Equal(got, []string{obj.Key}) {
				t.Errorf("removed %q, want the canary", got)
			}
		})
	}
}

// A right too many shows, with its remedy.
func TestEveryRightTooManyShows(t *testing.T) {
	const o = "storage.objects."
	for right, want := range map[string][]string{
		"storage.buckets.update":       {"change the bucket's rules and periods", "change the bucket"},
		"storage.buckets.delete":       {"delete the bucket"},
		"storage.buckets.setIamPolicy": {"change who may do what in the bucket"},
		o + "setIamPolicy":             {"change who may do what to an object"},
		o + "setRetention":             {"lock any object of the bucket"},
		o + "restore":                  {"bring another state of an object back"},
		o + "move":                     {"move objects of the bucket to other names"},
		o + "delete": {"delete any object of the bucket", "write over it", "write over it, naming its generation", "write over it by a plain upload",
			"write over it by the other API", "rewrite it without its lease", "copy it over itself", "compose over it", "move it to another name",
			"delete its generation", "delete it", "harm the canary in any of these ways"},
	} {
		t.Run(right, func(t *testing.T) {
			s := newScene(t, "north")
			s.setUp()
			// Below the retention period even the right to delete would not show.
			s.must(owner, http.MethodPatch, s.bucketPath(), `{"retentionPolicy":null}`)
			obj := s.canary("one")
			layer, err := gcstest.New(server.Get(t).URL, gcstest.Options{Start: start(), Tokens: map[string]gcstest.Role{"thief": append(gcstest.Uploader(), right)}})
			check(t, err)
			web := httptest.NewServer(layer)
			t.Cleanup(func() { web.Close(); layer.Close() })
			s.url = web.URL
			got := []string{}
			for _, a := range s.attack("thief", obj) {
				if !a.Refused && a.Accepted == "" {
					got = append(got, a.Name)
					if a.Remedy == "" {
						t.Errorf("no remedy: %+v", a)
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("not refused: %q\nwant %q", got, want)
			}
		})
	}
}

// A service that takes an earlier lease is found out, and nothing is said of what
// could not be tried afterwards.
func TestALeaseThatMovesEarlierShows(t *testing.T) {
	s := newScene(t, "")
	s.setUp()
	obj := s.canary("one")
	moved := ""
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		body, err := io.ReadAll(r.Body)
		check(t, err)
		if r.Method == http.MethodPatch && r.URL.Query().Get("ifMetagenerationMatch") == "" && strings.Contains(string(body), "2031-03-06") {
			moved = "2031-03-06T05:06:06Z"
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		s.layer.ServeHTTP(answer, r)
		w.WriteHeader(answer.Code)
		text := answer.Body.String()
		if moved != "" {
			text = strings.ReplaceAll(text, "2031-03-06T05:06:07Z", moved)
		}
		io.WriteString(w, text)
	}))
	t.Cleanup(web.Close)
	s.url = web.URL
	attempts := s.attack(uploadToken, obj)
	i := slices.IndexFunc(attempts, func(a providers.Attempt) bool { return a.Name == "move its lease earlier" })
	if i < 0 || attempts[i].Refused || attempts[i].Remedy == "" {
		t.Fatalf("attempts %+v", attempts)
	}
	for _, a := range attempts[i+1:] {
		if a.Refused || a.Name != "harm the canary in any of these ways" && !strings.HasPrefix(a.Answer, "not tried") {
			t.Errorf("after the canary was harmed: %+v", a)
		}
	}
}

func TestAttackerKeepsToItsCanary(t *testing.T) {
	s := newScene(t, "")
	s.setUp()
	obj := s.canary("one")
	a, err := gcsadmin.NewAttacker(t.Context(), s.config(uploadToken))
	check(t, err)
	nobody, err := gcsadmin.NewAttacker(t.Context(), s.config("token-of-nobody"))
	check(t, err)
	change := func(f func(*providers.Object)) providers.Object { o := obj; f(&o); return o }
	before := s.layer.Requests()
	for name, c := range map[string]struct {
		by   providers.Attacker
		obj  providers.Object
		want error
	}{
		"pack":               {a, change(func(o *providers.Object) { o.Key = "r/p/00/00" }), providers.ErrInvalid},
		"header":             {a, change(func(o *providers.Object) { o.Key = "offsite.json" }), providers.ErrInvalid},
		"way out":            {a, change(func(o *providers.Object) { o.Key = "r/c/../p/x" }), providers.ErrInvalid},
		"the prefix itself":  {a, change(func(o *providers.Object) { o.Key = "r/c/" }), providers.ErrInvalid},
		"another generation": {a, change(func(o *providers.Object) { o.Version = "1" }), providers.ErrInvalid},
		"missing canary":     {a, change(func(o *providers.Object) { o.Key = "r/c/two" }), providers.ErrNotExist},
		"worthless token":    {nobody, obj, providers.ErrDenied},
	} {
		if attempts, err := c.by.Attack(t.Context(), c.obj); providers.KindOf(err) != c.want || len(attempts) != 0 {
			t.Errorf("%s: %+v, %v, want %v", name, attempts, err, c.want)
		}
	}
	for method, n := range s.layer.Requests() {
		if method != "objects.get" && n != before[method] {
			t.Errorf("%d times %s", n-before[method], method)
		}
	}
}

// An answer that settles nothing ends the attack with an error, not with a verdict.
func TestAttackOnABadLine(t *testing.T) {
	for name, code := range map[string]int{"unavailable": 503, "too fast": 429, "signed out": 401, "elsewhere": 302} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "")
			s.setUp()
			obj := s.canary("one")
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "rewriteTo") {
					w.WriteHeader(code)
					return
				}
				s.layer.ServeHTTP(w, r)
			}))
			t.Cleanup(web.Close)
			s.url = web.URL
			a, err := gcsadmin.NewAttacker(t.Context(), s.config(uploadToken))
			check(t, err)
			attempts, err := a.Attack(t.Context(), obj)
			if err == nil || len(attempts) == 0 {
				t.Errorf("%d attempts, %v", len(attempts), err)
			}
			for _, one := range attempts {
				if strings.Contains(one.Name, "rewrite") {
					t.Errorf("judged: %+v", one)
				}
			}
		})
	}
}
