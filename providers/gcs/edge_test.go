package gcs_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
)

// What a Put sends, in one request.
func TestPutOnTheWire(t *testing.T) {
	var meta map[string]any
	var media []byte
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query(); r.Method != http.MethodPost || r.URL.Path != "/upload/storage/v1/b/bucket/o" ||
			got.Get("uploadType") != "multipart" || got.Get("ifGenerationMatch") != "0" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		if got := r.Header.Get("User-Agent"); got != "offsite" {
			t.Errorf("User-Agent %q", got)
		}
		if got, ok := r.Header["Authorization"]; ok {
			t.Errorf("Authorization %q without credentials", got)
		}
		_, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		parts := multipart.NewReader(r.Body, params["boundary"])
		for _, read := range []func(io.Reader){
			func(p io.Reader) { json.NewDecoder(p).Decode(&meta) },
			func(p io.Reader) { media, _ = io.ReadAll(p) },
		} {
			p, err := parts.NextPart()
			if err != nil {
				t.Error(err)
				return
			}
			read(p)
		}
		metadata(w, map[string]any{"customTime": meta["customTime"]})
	})
	lease := time.Date(2035, 5, 6, 7, 8, 9, 1, time.FixedZone("", 3600))
	v, err := f.d.Put(t.Context(), "r/a", []byte("hello"), providers.PutOptions{Lease: lease})
	if err != nil || v != "77" {
		t.Fatalf("version %q, %v", v, err)
	}
	if meta["crc32c"] != "mnG7TA==" || meta["customTime"] != "2035-05-06T06:08:10Z" || meta["contentType"] != "application/octet-stream" {
		t.Errorf("sent %v", meta)
	}
	if string(media) != "hello" {
		t.Errorf("sent %q", media)
	}
}

// A service that says yes and did something else.
func TestYesIsNotEnough(t *testing.T) {
	lease := time.Date(2035, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, c := range map[string]struct {
		changes map[string]any
		want    error
	}{
		"as asked":       {map[string]any{"customTime": "2035-05-06T07:08:09Z"}, nil},
		"later lease":    {map[string]any{"customTime": "2036-05-06T07:08:09Z"}, nil},
		"no lease":       {nil, providers.ErrConflict},
		"earlier lease":  {map[string]any{"customTime": "2035-05-06T07:08:08Z"}, providers.ErrConflict},
		"other checksum": {map[string]any{"customTime": "2035-05-06T07:08:09Z", "crc32c": "AAAAAQ=="}, providers.ErrInDoubt},
		"other size":     {map[string]any{"customTime": "2035-05-06T07:08:09Z", "size": "4"}, providers.ErrInDoubt},
		"no generation":  {map[string]any{"customTime": "2035-05-06T07:08:09Z", "generation": "0"}, providers.ErrInDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				metadata(w, c.changes)
			})
			_, err := f.d.Put(t.Context(), "r/a", []byte("hello"), providers.PutOptions{Lease: lease})
			wantOnly(t, "put", err, c.want)
		})
	}
}

// A refused create means "taken" if something is there, and nothing final as long
// as that cannot be seen.
func TestRefusedCreate(t *testing.T) {
	for name, c := range map[string]struct {
		look func(w http.ResponseWriter, r *http.Request)
		want error
	}{
		"taken": {func(w http.ResponseWriter, r *http.Request) { metadata(w, nil) }, providers.ErrExist},
		"not there": {func(w http.ResponseWriter, r *http.Request) {
			refusal(w, r, 404, "notFound", "No such object: bucket/r/a")
		}, providers.ErrDenied},
		"no look":   {func(w http.ResponseWriter, r *http.Request) { refusal(w, r, 403, "forbidden", "") }, providers.ErrDenied},
		"no answer": {func(w http.ResponseWriter, r *http.Request) { refusal(w, r, 503, "backendError", "") }, providers.ErrInDoubt},
		"bucket gone": {func(w http.ResponseWriter, r *http.Request) {
			refusal(w, r, 404, "notFound", "The specified bucket does not exist.")
		}, providers.ErrInDoubt},
		"line is dead": {func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, providers.ErrInDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					io.Copy(io.Discard, r.Body)
					refusal(w, r, 403, "forbidden", "caller does not have storage.objects.delete access")
					return
				}
				c.look(w, r)
			})
			_, err := f.d.Put(t.Context(), "r/a", []byte("hello"), providers.PutOptions{})
			wantOnly(t, "put", err, c.want)
		})
	}
}

// raising is a service that holds one lease and answers a patch as it is told.
func raising(t *testing.T, lease string, patch func(n int, w http.ResponseWriter, r *http.Request, stored *string)) *fake {
	n := 0
	return newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			if r.URL.Query().Get("ifMetagenerationMatch") != "3" || r.URL.Query().Get("generation") != "77" {
				t.Errorf("patch without its conditions: %s", r.URL)
			}
			n++
			patch(n, w, r, &lease)
			return
		}
		metadata(w, map[string]any{"customTime": lease})
	})
}

func TestRaise(t *testing.T) {
	until := time.Date(2035, 5, 6, 7, 8, 9, 0, time.UTC)
	const early, late = "2031-01-01T00:00:00Z", "2040-01-01T00:00:00Z"
	apply := func(w http.ResponseWriter, r *http.Request) {
		change := map[string]any{}
		json.NewDecoder(r.Body).Decode(&change)
		if delete(change, "bucket"); len(change) != 1 {
			t.Errorf("patch changes %v", change)
		}
		metadata(w, change)
	}
	for name, c := range map[string]struct {
		lease    string
		patch    func(n int, w http.ResponseWriter, r *http.Request, stored *string)
		want     error
		requests int64
	}{
		"applied":       {early, func(_ int, w http.ResponseWriter, r *http.Request, _ *string) { apply(w, r) }, nil, 2},
		"already later": {late, func(_ int, w http.ResponseWriter, r *http.Request, _ *string) { t.Error("patched") }, nil, 1},
		"lost a race, then applied": {early, func(n int, w http.ResponseWriter, r *http.Request, _ *string) {
			if n < 3 {
				refusal(w, r, 412, "conditionNotMet", "")
				return
			}
			apply(w, r)
		}, nil, 6},
		"lost a race to a later one": {early, func(_ int, w http.ResponseWriter, r *http.Request, stored *string) {
			*stored = late
			refusal(w, r, 412, "conditionNotMet", "")
		}, nil, 3},
		"refused because it is later": {early, func(_ int, w http.ResponseWriter, r *http.Request, stored *string) {
			*stored = late
			refusal(w, r, 400, "invalid", "")
		}, nil, 3},
		"refused": {early, func(_ int, w http.ResponseWriter, r *http.Request, _ *string) {
			refusal(w, r, 403, "forbidden", "")
		}, providers.ErrDenied, 3},
		"not kept": {early, func(_ int, w http.ResponseWriter, r *http.Request, _ *string) {
			metadata(w, map[string]any{"customTime": early})
		}, providers.ErrConflict, 2},
		"never its turn": {early, func(_ int, w http.ResponseWriter, r *http.Request, _ *string) {
			refusal(w, r, 412, "conditionNotMet", "")
		}, providers.ErrBusy, 64},
		"gone meanwhile": {early, func(_ int, w http.ResponseWriter, r *http.Request, _ *string) {
			refusal(w, r, 404, "notFound", "No such object: bucket/r/a")
		}, providers.ErrNotExist, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := raising(t, c.lease, c.patch)
			wantOnly(t, "raise", f.d.Raise(t.Context(), "r/a", "77", until), c.want)
			if n := f.requests.Load(); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

func TestLeaseOutsideTheCalendar(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { t.Error("asked") })
	for _, until := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 1, time.UTC)} {
		_, err := f.d.Put(t.Context(), "r/a", nil, providers.PutOptions{Lease: until})
		wantOnly(t, "put", err, providers.ErrInvalid)
		wantOnly(t, "raise", f.d.Raise(t.Context(), "r/a", "", until), providers.ErrInvalid)
	}
}

// A thief marks an object as gzip. Bytes are asked for as they are stored.
func TestBytesAsTheyAreStored(t *testing.T) {
	var stored bytes.Buffer
	z := gzip.NewWriter(&stored)
	z.Write([]byte("what a thief would have us read"))
	z.Close()
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Goog-Generation", "77")
		w.Header().Set("X-Goog-Stored-Content-Encoding", "gzip")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Write([]byte("what a thief would have us read"))
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(stored.Bytes())
	})
	got, err := f.d.Get(t.Context(), "r/a", "77", 0, -1)
	if err != nil || !bytes.Equal(got, stored.Bytes()) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestGetRefusesStrangeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		body   string
		off, n int64
		want   error
	}{
		"fits":                 {map[string]string{"X-Goog-Hash": "crc32c=mnG7TA=="}, "hello", 0, -1, nil},
		"without a checksum":   {nil, "hello", 0, -1, nil},
		"other checksum":       {map[string]string{"X-Goog-Hash": "crc32c=AAAAAQ=="}, "hello", 0, -1, providers.ErrCorrupt},
		"other generation":     {map[string]string{"X-Goog-Generation": "78"}, "hello", 0, -1, providers.ErrBusy},
		"no generation":        {map[string]string{"X-Goog-Generation": ""}, "hello", 0, -1, providers.ErrBusy},
		"all instead of range": {nil, "hello", 1, 2, providers.ErrBusy},
		"range ends early":     {map[string]string{"Content-Range": "bytes 1-2/3"}, "el", 1, 4, providers.ErrRange},
		"range is cut":         {map[string]string{"Content-Range": "bytes 1-4/5"}, "el", 1, 4, providers.ErrBusy},
		"range is longer":      {map[string]string{"Content-Range": "bytes 1-2/5"}, "ello", 1, 2, providers.ErrBusy},
		"range is elsewhere":   {map[string]string{"Content-Range": "bytes 2-3/5"}, "lo", 1, 2, providers.ErrBusy},
		"huge":                 {map[string]string{"Content-Range": "bytes 1-2/99999999999"}, "el", 1, 2, providers.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Goog-Generation", "77")
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				if c.header["Content-Range"] != "" {
					w.WriteHeader(http.StatusPartialContent)
				}
				io.WriteString(w, c.body)
			})
			_, err := f.d.Get(t.Context(), "r/a", "77", c.off, c.n)
			wantOnly(t, "get", err, c.want)
		})
	}
}

func TestGetLargerThanAnyObject(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Goog-Generation", "77")
		w.Header().Set("Content-Length", fmt.Sprint(providers.MaxObject+1))
	})
	_, err := f.d.Get(t.Context(), "r/a", "77", 0, -1)
	wantOnly(t, "get", err, providers.ErrCorrupt)
}

// pages is a service that lists as it is told.
func pages(t *testing.T, answers map[string]string) *fake {
	return newFake(t, func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Query().Get("pageToken")]
		if !ok {
			refusal(w, r, 400, "invalid", "")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
	})
}

func item(name string) string { return `{"name":"` + name + `","generation":"1","size":"0"}` }

// The service may give short pages, and empty ones, and still have more.
func TestListShortAndEmptyPages(t *testing.T) {
	f := pages(t, map[string]string{
		"":  `{"nextPageToken":"1"}`,
		"1": `{"nextPageToken":"2","items":[` + item("r/a") + `]}`,
		"2": `{"nextPageToken":"3","items":[]}`,
		"3": `{"nextPageToken":"4","items":[` + item("r/b") + `,` + item("r/c") + `]}`,
		"4": `{}`,
	})
	keys := []string{}
	for obj, err := range f.d.List(t.Context(), "r/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	if !slices.Equal(keys, []string{"r/a", "r/b", "r/c"}) {
		t.Errorf("listed %q", keys)
	}
}

// A thousand objects an answer: a listing of 2,500 asks three times.
func TestListAsksForFullPages(t *testing.T) {
	const all, page = 2500, 1000
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		first, _ := strconv.Atoi(r.URL.Query().Get("pageToken"))
		if r.URL.Query().Get("maxResults") != strconv.Itoa(page) {
			t.Errorf("asked for %s", r.URL.RawQuery)
		}
		items := []string{}
		for i := first; i < min(first+page, all); i++ {
			items = append(items, item(fmt.Sprintf("r/%04d", i)))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"items":[%s]`, strings.Join(items, ","))
		if first+page < all {
			fmt.Fprintf(w, `,"nextPageToken":"%d"`, first+page)
		}
		io.WriteString(w, "}")
	})
	n := 0
	for _, err := range f.d.List(t.Context(), "r/", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != all || f.requests.Load() != 3 {
		t.Errorf("%d objects by %d requests", n, f.requests.Load())
	}
}

func TestListEnds(t *testing.T) {
	for name, answers := range map[string]map[string]string{
		"empty pages without end": {"": `{"nextPageToken":"1"}`, "1": `{"nextPageToken":"1"}`},
		"one page again and again": {"": `{"nextPageToken":"1","items":[` + item("r/a") + `]}`,
			"1": `{"nextPageToken":"1","items":[` + item("r/a") + `]}`},
		"out of order":      {"": `{"items":[` + item("r/b") + `,` + item("r/a") + `]}`},
		"of another prefix": {"": `{"items":[` + item("s/b") + `]}`},
		"fails on page two": {"": `{"nextPageToken":"1","items":[` + item("r/a") + `]}`, "1": `{`},
	} {
		t.Run(name, func(t *testing.T) {
			f := pages(t, answers)
			var last error
			for _, err := range f.d.List(t.Context(), "r/", "") {
				last = err
			}
			wantOnly(t, "list", last, providers.ErrBusy)
			if n := f.requests.Load(); n > 70 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// What the service says of an object, and when it says less.
func TestStatDescribes(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string]any
		want    providers.Object
	}{
		"all": {map[string]any{"customTime": "2040-01-01T00:00:00Z"}, providers.Object{Key: "r/a", Size: 5, Version: "77",
			Modified: time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC), Lease: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC),
			Checksum: providers.Checksum{Algorithm: "crc32c", Sum: []byte{0x9a, 0x71, 0xbb, 0x4c}}}},
		"less": {map[string]any{"crc32c": "", "timeCreated": ""}, providers.Object{Key: "r/a", Size: 5, Version: "77",
			Modified: time.Date(2031, 3, 5, 5, 6, 7, 0, time.UTC)}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) { metadata(w, c.changes) })
			got, err := f.d.Stat(t.Context(), "r/a", "")
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestTimeNeedsADate(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		metadata(w, map[string]any{"name": "offsite.json"})
	})
	_, err := f.d.Time(t.Context())
	wantOnly(t, "time", err, providers.ErrBusy)
}

func TestStrangeVersionsAreNotSent(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("asked: %s", r.URL) })
	for _, v := range []providers.Version{"0", "-1", "+5", "05", " 5", "5x", "0x5", "99999999999999999999", "a&b"} {
		_, err := f.d.Get(t.Context(), "r/a", v, 0, -1)
		wantOnly(t, "get", err, providers.ErrNotExist)
		_, err = f.d.Stat(t.Context(), "r/a", v)
		wantOnly(t, "stat", err, providers.ErrNotExist)
		wantOnly(t, "raise", f.d.Raise(t.Context(), "r/a", v, start()), providers.ErrNotExist)
		_, err = f.d.Put(t.Context(), "r/a", nil, providers.PutOptions{Replace: v})
		wantOnly(t, "replace", err, providers.ErrConflict)
	}
}

func TestConfigRefused(t *testing.T) {
	for name, c := range map[string]gcs.Config{
		"no bucket":             {},
		"path as bucket":        {Bucket: "a/b"},
		"prefix with a slash":   {Bucket: "b", Prefix: "p/"},
		"prefix in capitals":    {Bucket: "b", Prefix: "P"},
		"prefix upwards":        {Bucket: "b", Prefix: "a/../b"},
		"endpoint with a path":  {Bucket: "b", Endpoint: "https://h/storage/v1"},
		"endpoint with a user":  {Bucket: "b", Endpoint: "https://u:p@h"},
		"endpoint is no URL":    {Bucket: "b", Endpoint: "storage.googleapis.com"},
		"other scheme":          {Bucket: "b", Endpoint: "ftp://h"},
		"plain http to far":     {Bucket: "b", Endpoint: "http://storage.example"},
		"plain http to a name":  {Bucket: "b", Endpoint: "http://127.0.0.1.example"},
		"token and nobody":      {Bucket: "b", Token: "t", Anonymous: true},
		"key and token":         {Bucket: "b", Token: "t", CredentialsJSON: []byte("{}")},
		"CA file is not there":  {Bucket: "b", Anonymous: true, CAFile: "no/such/file"},
		"CA file without certs": {Bucket: "b", Anonymous: true, CAFile: "edge_test.go"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gcs.Open(t.Context(), c)
			wantOnly(t, "open", err, providers.ErrInvalid)
		})
	}
}

// A refusal whose end is missing has lost its reason: it may only mean "too fast".
func TestARefusalThatWasCutIsNotFinal(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "500")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"error":{"code":403,"errors":[{"reas`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := f.d.Stat(t.Context(), "r/a", "")
	wantOnly(t, "stat", err, providers.ErrBusy)
	_, err = f.d.Get(t.Context(), "r/a", "", 0, -1)
	wantOnly(t, "get", err, providers.ErrBusy)
	_, err = f.d.Put(t.Context(), "r/a", []byte("hello"), providers.PutOptions{})
	wantOnly(t, "put", err, providers.ErrInDoubt)
}
