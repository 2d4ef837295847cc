package gcs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/gcs"
)

// fake is a service whose answers the test writes itself.
type fake struct {
	*testing.T
	d        *gcs.Driver
	url      string
	requests atomic.Int64
}

func newFake(t *testing.T, answer http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{T: t}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(web.Close)
	f.url = web.URL
	f.d = open(t, gcs.Config{Bucket: "bucket", Endpoint: web.URL})
	return f
}

// refusal is an error answer as the service writes it: JSON, or plain text where
// media was asked for.
func refusal(w http.ResponseWriter, r *http.Request, status int, reason, message string) {
	w.Header().Set("X-Guploader-Uploadid", "request-7")
	if r.URL.Query().Get("alt") == "media" && reason == "" {
		w.WriteHeader(status)
		fmt.Fprint(w, message)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]any{"error": map[string]any{"code": status, "message": message,
		"errors": []any{map[string]any{"domain": "global", "reason": reason, "message": message}}}})
	w.Write(body)
}

// metadata is the answer about one object.
func metadata(w http.ResponseWriter, changes map[string]any) {
	m := map[string]any{"kind": "storage#object", "bucket": "bucket", "name": "r/a", "generation": "77", "metageneration": "3",
		"size": "5", "crc32c": "mnG7TA==", "timeCreated": "2031-03-04T05:06:07Z", "updated": "2031-03-05T05:06:07Z"}
	for k, v := range changes {
		m[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	body, _ := json.Marshal(m)
	w.Write(body)
}

// verbs are one call of each kind.
func (f *fake) verbs() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"create": func(ctx context.Context) error {
			_, err := f.d.Put(ctx, "r/a", []byte("hello"), providers.PutOptions{})
			return err
		},
		"replace": func(ctx context.Context) error {
			_, err := f.d.Put(ctx, "r/a", []byte("hello"), providers.PutOptions{Replace: "77"})
			return err
		},
		"raise": func(ctx context.Context) error {
			return f.d.Raise(ctx, "r/a", "77", time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC))
		},
		"get":  func(ctx context.Context) error { _, err := f.d.Get(ctx, "r/a", "77", 0, -1); return err },
		"stat": func(ctx context.Context) error { _, err := f.d.Stat(ctx, "r/a", "77"); return err },
		"time": func(ctx context.Context) error { _, err := f.d.Time(ctx); return err },
		"list": func(ctx context.Context) (last error) {
			for _, err := range f.d.List(ctx, "r/", "") {
				last = err
			}
			return last
		},
	}
}

// Every documented status and reason, and what each call makes of it.
func TestErrorTable(t *testing.T) {
	var (
		invalid, denied, busy, full, held = providers.ErrInvalid, providers.ErrDenied, providers.ErrBusy, providers.ErrFull, providers.ErrHeld
		doubt, gone, absent               = providers.ErrInDoubt, providers.ErrUnreachable, providers.ErrNotExist
		exist, conflict, outside          = providers.ErrExist, providers.ErrConflict, providers.ErrRange
	)
	all := func(k error) [4]error { return [4]error{k, k, k, k} }
	unclear := [4]error{doubt, doubt, doubt, busy} // a write may stand, a read is repeated
	for _, c := range []struct {
		status          int
		reason, message string
		want            [4]error // create, replace, raise, reads
	}{
		{301, "", "", all(gone)}, {302, "mediaDownloadRedirect", "", all(gone)}, {303, "", "", all(gone)}, {307, "temporaryRedirect", "", all(gone)},
		{400, "invalid", "", all(invalid)}, {400, "badRequest", "", all(invalid)}, {400, "badRequestException", "", all(invalid)},
		{400, "invalidAltValue", "", all(invalid)}, {400, "invalidArgument", "", all(invalid)}, {400, "invalidParameter", "", all(invalid)},
		{400, "notDownload", "", all(invalid)}, {400, "notUpload", "", all(invalid)}, {400, "parseError", "", all(invalid)},
		{400, "required", "", all(invalid)}, {400, "wrongUrlForUpload", "", all(invalid)}, {400, "", "", all(invalid)},
		{400, "customerEncryptionAlgorithmIsInvalid", "", all(invalid)}, {400, "customerEncryptionKeyFormatIsInvalid", "", all(invalid)},
		{400, "customerEncryptionKeyIsIncorrect", "", all(invalid)}, {400, "customerEncryptionKeySha256IsInvalid", "", all(invalid)},
		{400, "resourceNotEncryptedWithCustomerEncryptionKey", "", all(invalid)},
		{400, "resourceIsEncryptedWithCustomerEncryptionKey", "", all(denied)}, {400, "turnedDown", "", all(denied)},
		{400, "cloudKmsBadKey", "", all(denied)}, {400, "cloudKmsCannotChangeKeyName", "", all(denied)},
		{400, "cloudKmsDecryptionKeyNotFound", "", all(denied)}, {400, "cloudKmsDisabledKey", "", all(denied)},
		{400, "cloudKmsEncryptionKeyNotFound", "", all(denied)}, {400, "cloudKmsKeyLocationNotAllowed", "", all(denied)},
		{400, "userProjectInconsistent", "", all(denied)}, {400, "userProjectInvalid", "", all(denied)}, {400, "userProjectMissing", "", all(denied)},
		{400, "invalid", "Provided CRC32C \"AAAAAA==\" doesn't match calculated CRC32C \"mnG7TA==\".", all(busy)},
		{401, "authError", "", all(denied)}, {401, "required", "", all(denied)}, {401, "AuthenticationRequiredRequesterPays", "", all(denied)},
		{401, "lockedDomainExpired", "", all(denied)}, {402, "", "", all(denied)},
		{403, "forbidden", "", all(denied)}, {403, "insufficientPermissions", "", all(denied)}, {403, "accountDisabled", "", all(denied)},
		{403, "countryBlocked", "", all(denied)}, {403, "sslRequired", "", all(denied)}, {403, "stopChannelCallerNotOwner", "", all(denied)},
		{403, "UsageLimits.accessNotConfigured", "", all(denied)}, {403, "UserProjectAccessDenied", "", all(denied)},
		{403, "UserProjectAccountProblem", "", all(denied)}, {403, "", "", all(denied)},
		{403, "rateLimitExceeded", "", all(busy)}, {403, "userRateLimitExceeded", "", all(busy)},
		{403, "quotaExceeded", "", all(full)}, {403, "dailyLimitExceeded", "", all(full)},
		{403, "retentionPolicyNotMet", "", all(held)}, {403, "objectUnderActiveHold", "", all(held)},
		{404, "notFound", "No such object: bucket/r/a", [4]error{gone, gone, absent, absent}},
		{404, "", "No such object: bucket/r/a", [4]error{gone, gone, absent, absent}},
		{404, "notFound", "The specified bucket does not exist.", all(gone)},
		{404, "", "The specified bucket does not exist.", all(gone)},
		{405, "methodNotAllowed", "", all(invalid)}, {407, "", "", all(denied)},
		{408, "uploadBrokenConnection", "", unclear}, {408, "", "", unclear},
		{409, "conflict", "", all(busy)}, {410, "gone", "", unclear}, {411, "", "", all(invalid)},
		{412, "conditionNotMet", "", [4]error{exist, conflict, busy, conflict}},
		{412, "orgPolicyConstraintFailed", "", all(denied)},
		{413, "uploadTooLarge", "", all(invalid)},
		{416, "requestedRangeNotSatisfiable", "", all(outside)},
		{429, "rateLimitExceeded", "", all(busy)}, {429, "usageLimits.rateLimitExceeded", "", all(busy)}, {429, "", "", all(busy)},
		{499, "", "", unclear}, {500, "backendError", "", unclear}, {500, "internalError", "", unclear}, {501, "notImplemented", "", all(invalid)},
		{502, "", "", unclear}, {503, "backendError", "", unclear}, {504, "gatewayTimeout", "", unclear},
		{418, "", "", unclear}, {520, "somethingNew", "", unclear}, {599, "", "", unclear}, // not documented
	} {
		t.Run(fmt.Sprintf("%d %s %.20s", c.status, c.reason, c.message), func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				refusal(w, r, c.status, c.reason, c.message)
			})
			raised := newFake(t, func(w http.ResponseWriter, r *http.Request) { // reading goes well, changing does not
				if r.Method == http.MethodGet {
					metadata(w, nil)
					return
				}
				refusal(w, r, c.status, c.reason, c.message)
			})
			for name, call := range f.verbs() {
				want := c.want[3]
				switch name {
				case "create":
					want = c.want[0]
				case "replace":
					want = c.want[1]
				case "raise":
					want, call = c.want[2], raised.verbs()["raise"]
				case "list":
					if want == absent {
						want = gone // a listing is about the bucket
					}
				case "get":
					if c.status == 416 {
						want = outside
					} else if c.reason != "" {
						continue // answers to downloads have no reason: see below
					}
				case "time":
					if want == absent {
						want = nil // whatever answers, tells the time
					}
				}
				err := call(t.Context())
				wantOnly(t, name, err, want)
				var e *providers.Error
				if errors.As(err, &e) && (e.Status != c.status || e.RequestID != "request-7" || e.Provider != "gcs") && name != "raise" {
					t.Errorf("%s: status %d, request %q, provider %q", name, e.Status, e.RequestID, e.Provider)
				}
			}
		})
	}
}

// wantOnly demands an error of the kind, and of no other; nil: none.
func wantOnly(t *testing.T, what string, err, kind error) {
	t.Helper()
	if kind == nil {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	for _, k := range providers.Kinds() {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("%s: %v: is %q: %v; want only %q", what, err, k, errors.Is(err, k), kind)
		}
	}
}

// The service answers a refused download with JSON or with plain text.
func TestRefusedDownloads(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		reason string
		text   string
		want   error
	}{
		"rate, JSON":      {403, "rateLimitExceeded", "", providers.ErrBusy},
		"forbidden, text": {403, "", "caller does not have storage.objects.get access", providers.ErrDenied},
		"rate, text":      {429, "", "The rate of requests is too high", providers.ErrBusy},
		"server, HTML":    {503, "", "<html>busy</html>", providers.ErrBusy},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) { refusal(w, r, c.status, c.reason, c.text) })
			_, err := f.d.Get(t.Context(), "r/a", "", 0, -1)
			wantOnly(t, "get", err, c.want)
			if err != nil && strings.Contains(err.Error(), "<html>") {
				t.Errorf("the error repeats a page: %v", err)
			}
		})
	}
}

// A 404 without the provider's words may come from anywhere: the bucket is asked.
func TestUnclear404AsksTheBucket(t *testing.T) {
	for name, c := range map[string]struct {
		list int
		want error
	}{
		"bucket there":   {200, providers.ErrNotExist},
		"bucket gone":    {404, providers.ErrUnreachable},
		"bucket denied":  {403, providers.ErrDenied},
		"service silent": {503, providers.ErrBusy},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !strings.HasSuffix(r.URL.Path, "/o"):
					http.Error(w, "Not Found", http.StatusNotFound)
				case c.list == 200:
					fmt.Fprint(w, `{"kind":"storage#objects"}`)
				default:
					refusal(w, r, c.list, "", "")
				}
			})
			for _, verb := range []string{"get", "stat", "raise"} {
				wantOnly(t, verb, f.verbs()[verb](t.Context()), c.want)
			}
		})
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0, "999999": 0} {
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", header)
			refusal(w, r, 429, "rateLimitExceeded", "")
		})
		_, err := f.d.Stat(t.Context(), "r/a", "")
		var e *providers.Error
		if !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("Retry-After %q: %+v, want %v", header, e, want)
		}
	}
}

// The line fails before or after the service may have seen the request.
func TestTransportErrors(t *testing.T) {
	busy, doubt, gone := providers.ErrBusy, providers.ErrInDoubt, providers.ErrUnreachable
	closeNow := func(w http.ResponseWriter) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	}
	for name, c := range map[string]struct {
		answer      http.HandlerFunc
		write, read error
	}{
		"reset before reading": {func(w http.ResponseWriter, r *http.Request) { closeNow(w) }, doubt, busy},
		"closed without an answer": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			closeNow(w)
		}, doubt, busy},
		"answer cut": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("X-Goog-Generation", "77")
			w.Write([]byte(`{"kind":"storage#object",`))
		}, doubt, busy},
		"answer is a page": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "<html>Welcome to the hotel</html>")
		}, doubt, busy},
		"answer about another object": {func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			metadata(w, map[string]any{"name": "r/b"})
		}, doubt, busy},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, c.answer)
			for verb, call := range f.verbs() {
				want := c.read
				switch {
				case verb == "create", verb == "replace":
					want = c.write
				case verb == "list" && name == "answer about another object":
					continue // reads as an empty list: no items in it
				case verb == "time" && name == "answer about another object":
					want = nil
				}
				before := f.requests.Load()
				wantOnly(t, verb, call(t.Context()), want)
				if n := f.requests.Load() - before; n != 1 {
					t.Errorf("%s: %d requests, want one attempt", verb, n)
				}
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		f := &fake{T: t, d: open(t, gcs.Config{Bucket: "bucket", Endpoint: "http://" + listener.Addr().String()})}
		for verb, call := range f.verbs() {
			wantOnly(t, verb, call(t.Context()), gone)
		}
	})
	t.Run("no such host", func(t *testing.T) {
		f := &fake{T: t, d: open(t, gcs.Config{Bucket: "bucket", Endpoint: "https://nowhere.invalid"})}
		for verb, call := range f.verbs() {
			wantOnly(t, verb, call(t.Context()), gone)
		}
	})
}

// A service that never answers: the context ends the call and says so.
func TestTimeOutWhileWaiting(t *testing.T) {
	for _, verb := range []string{"create", "replace", "raise", "get", "stat", "list", "time"} {
		t.Run(verb, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			release := make(chan struct{})
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				if verb == "raise" && r.Method == http.MethodGet {
					metadata(w, nil)
					return
				}
				io.Copy(io.Discard, r.Body)
				cancel(nil)
				<-release
			})
			defer close(release)
			err := f.verbs()[verb](ctx)
			want := providers.ErrBusy
			if verb == "create" || verb == "replace" || verb == "raise" {
				want = providers.ErrInDoubt
			}
			wantOnly(t, verb, err, want)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v does not say why", err)
			}
		})
	}
}

// An object that breaks off is one attempt: the SDK would go on by itself.
func TestCutObjectIsOneAttempt(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Header().Set("X-Goog-Generation", "77")
		w.Write(make([]byte, 50_000))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err := f.d.Get(t.Context(), "r/a", "77", 0, -1)
	wantOnly(t, "get", err, providers.ErrBusy)
	if n := f.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}
