package azure_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"offsite/providers"
	"offsite/providers/azure"
)

// fake serves wire answers of ours and returns the configuration that leads there.
func fake(t *testing.T, answer http.HandlerFunc) azure.Config {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return azure.Config{
		Account: "offsitetest", Container: "test", Endpoint: server.URL + "/offsitetest", SAS: "?sv=2026-12-06&sp=rcl&sig=SECRETSIGNATURE",
		Versions: true, Leases: azure.LeaseManager, MaxLease: 400 * day,
	}
}

// service is what every answer of the service has.
func service(w http.ResponseWriter) http.Header {
	h := w.Header()
	h.Set("X-Ms-Version", "2026-12-06")
	h.Set("X-Ms-Request-Id", "request-1")
	h.Set("Date", start.Format(http.TimeFormat))
	return h
}

// calls are one of each kind of request.
func calls(d providers.Driver) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"read": func(ctx context.Context) error { _, err := d.Get(ctx, "r/a", "", 0, -1); return err },
		"stat": func(ctx context.Context) error { _, err := d.Stat(ctx, "r/a", ""); return err },
		"list": func(ctx context.Context) error {
			for _, err := range d.List(ctx, "r/", "") {
				return err
			}
			return nil
		},
		"create": func(ctx context.Context) error {
			_, err := d.Put(ctx, "r/a", []byte("x"), providers.PutOptions{})
			return err
		},
		"replace": func(ctx context.Context) error {
			_, err := d.Put(ctx, "r/a", []byte("x"), providers.PutOptions{Replace: "0x8DE"})
			return err
		},
		"raise": func(ctx context.Context) error {
			return d.(providers.Leaser).Raise(ctx, "r/a", "", start.Add(30*day))
		},
	}
}

// onlyPolicies lets Raise look at the object and fails what it does then.
func onlyPolicies(h http.Header, w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Query().Get("comp") == "immutabilityPolicies" {
		return false
	}
	h.Set("Content-Length", "1")
	h.Set("Last-Modified", start.Format(http.TimeFormat))
	h.Set("Etag", `"0x8DE"`)
	w.WriteHeader(http.StatusOK)
	return true
}

func TestErrorCodesHaveKinds(t *testing.T) {
	notExist, exist, conflict, inDoubt, busy := providers.ErrNotExist, providers.ErrExist, providers.ErrConflict, providers.ErrInDoubt, providers.ErrBusy
	unreachable, denied, held, cold := providers.ErrUnreachable, providers.ErrDenied, providers.ErrHeld, providers.ErrCold
	outside, invalid, full := providers.ErrRange, providers.ErrInvalid, providers.ErrFull
	type row struct {
		code                         string
		status                       int
		read, create, replace, raise error
	}
	same := func(code string, status int, kind error) row { return row{code, status, kind, kind, kind, kind} }
	for _, c := range []row{
		{"BlobNotFound", 404, notExist, inDoubt, conflict, notExist},
		{"ResourceNotFound", 404, notExist, unreachable, conflict, notExist},
		{"BlobAlreadyExists", 409, invalid, exist, conflict, invalid},
		{"ResourceAlreadyExists", 409, invalid, exist, conflict, invalid},
		{"ConditionNotMet", 412, notExist, exist, conflict, conflict},
		{"TargetConditionNotMet", 412, notExist, exist, conflict, conflict},
		{"UnauthorizedBlobOverwrite", 403, denied, exist, denied, denied},
		{"BlobImmutableDueToPolicy", 409, held, exist, held, held},
		{"BlobImmutableDueToLegalHold", 409, held, exist, held, held},
		{"InvalidRange", 416, outside, invalid, invalid, invalid},
		{"InternalError", 500, busy, inDoubt, inDoubt, inDoubt},
		{"OperationTimedOut", 500, busy, inDoubt, inDoubt, inDoubt},
		same("ServerBusy", 503, busy),
		same("SystemInUse", 409, busy),
		same("Md5Mismatch", 400, busy),
		same("Crc64Mismatch", 400, busy),
		same("ContainerNotFound", 404, unreachable),
		same("ContainerBeingDeleted", 409, unreachable),
		same("ContainerDisabled", 409, unreachable),
		same("AccountBeingCreated", 409, unreachable),
		same("AuthenticationFailed", 403, denied),
		same("AuthorizationFailure", 403, denied),
		same("AuthorizationPermissionMismatch", 403, denied),
		same("AuthorizationProtocolMismatch", 403, denied),
		same("AuthorizationResourceTypeMismatch", 403, denied),
		same("AuthorizationServiceMismatch", 403, denied),
		same("AuthorizationSourceIPMismatch", 403, denied),
		same("AccountIsDisabled", 403, denied),
		same("InsufficientAccountPermissions", 403, denied),
		same("InvalidAuthenticationInfo", 400, denied),
		same("KeyBasedAuthenticationNotPermitted", 403, denied),
		same("NoAuthenticationInformation", 401, denied),
		same("PublicAccessNotPermitted", 409, denied),
		same("LeaseIdMissing", 412, denied),
		same("ContainerImmutabilityPolicyLocked", 409, held),
		same("BlobArchived", 409, cold),
		same("BlobBeingRehydrated", 409, cold),
		same("RequestBodyTooLarge", 413, invalid),
		same("InvalidHeaderValue", 400, invalid),
		same("InvalidMd5", 400, invalid),
		same("InvalidResourceName", 400, invalid),
		same("InvalidQueryParameterValue", 400, invalid),
		same("MissingContentLengthHeader", 411, invalid),
		same("UnsupportedHeader", 400, invalid),
		// Nobody has written these down.
		{"NeverHeardOf", 400, busy, inDoubt, inDoubt, inDoubt},
		{"NeverHeardOf", 500, busy, inDoubt, inDoubt, inDoubt},
		{"", 502, busy, inDoubt, inDoubt, inDoubt},
		{"", 503, busy, inDoubt, inDoubt, inDoubt},
		{"", 404, busy, inDoubt, inDoubt, inDoubt},
		{"", 412, notExist, exist, conflict, conflict},
		same("", 401, denied),
		same("", 403, denied),
		same("", 407, unreachable),
		same("", 413, invalid),
		same("", 429, busy),
		same("", 507, full),
	} {
		looked := false // taken keys are looked for after a denial; this one is free
		d := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) {
			h := service(w)
			if looked && onlyPolicies(h, w, r) {
				return
			}
			if c.code != "" {
				h.Set("X-Ms-Error-Code", c.code)
			}
			if r.Method == http.MethodPut || !looked {
				w.WriteHeader(c.status)
			}
		}))
		do := calls(d)
		for what, want := range map[string]error{"read": c.read, "stat": c.read, "list": c.read, "create": c.create, "replace": c.replace} {
			err := do[what](t.Context())
			wantKind(t, fmt.Sprintf("%s: %d %s", what, c.status, c.code), err, want)
			var e *providers.Error
			if !errors.As(err, &e) || e.Status != c.status || e.Provider != "azure" {
				t.Errorf("%s: %d %s: %#v", what, c.status, c.code, e)
			}
		}
		looked = true
		wantKind(t, fmt.Sprintf("raise: %d %s", c.status, c.code), do["raise"](t.Context()), c.raise)
	}
}

// The SDK lists the codes that the service's own description names.
func TestEveryCodeOfTheSDKIsInTheTable(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(dir))
	n := 0
	for file, pattern := range map[string]string{
		"internal/generated/zz_constants.go": `StorageErrorCode = "(\w+)"`,
		"bloberror/error_codes.go":           `Code = "(\w+)"`,
	} {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			if n++; !azure.KnownCode(m[1]) {
				t.Errorf("%s has no kind", m[1])
			}
		}
	}
	if n < 100 {
		t.Errorf("found only %d codes", n)
	}
}

func TestEachCallMakesOneAttempt(t *testing.T) {
	for _, status := range []int{408, 429, 500, 502, 503, 504} {
		var n atomic.Int64
		d := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			service(w).Set("Retry-After", "7")
			w.WriteHeader(status)
		}))
		for what, do := range calls(d) {
			n.Store(0)
			err := do(t.Context())
			if n.Load() != 1 {
				t.Errorf("%s: %d requests after status %d", what, n.Load(), status)
			}
			var e *providers.Error
			if !errors.As(err, &e) || e.RetryAfter != 7*time.Second || e.RequestID != "request-1" {
				t.Errorf("%s: status %d: %+v", what, status, e)
			}
		}
	}
}

func TestRetryAfterIsRead(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-5": 0, "x": 0, "99999999": 10 * time.Minute,
		start.Add(time.Minute).Format(http.TimeFormat): time.Minute, start.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		d := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) {
			service(w).Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		var e *providers.Error
		if _, err := d.Stat(t.Context(), "r/a", ""); !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("Retry-After %q: %v, want %v", value, e.RetryAfter, want)
		}
	}
}

// Guest networks and proxies answer in the service's place.
func TestStrangersAreNotTheService(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"page":     func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>please sign in</html>")) },
		"created":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusCreated) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/sign-in", http.StatusFound) },
	} {
		var n atomic.Int64
		d := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) { n.Add(1); answer(w, r) }))
		for what, do := range calls(d) {
			n.Store(0)
			want := providers.ErrUnreachable
			if what == "create" || what == "replace" {
				want = providers.ErrInDoubt
			}
			wantKind(t, name+": "+what, do(t.Context()), want)
			if n.Load() != 1 {
				t.Errorf("%s: %s: %d requests", name, what, n.Load())
			}
		}
	}
}

func TestNoAnswer(t *testing.T) {
	cut := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }))
	for what, do := range calls(cut) {
		want := providers.ErrBusy
		if what == "create" || what == "replace" {
			want = providers.ErrInDoubt
		}
		wantKind(t, "cut: "+what, do(t.Context()), want)
	}
	gone := fake(t, nil)
	server := httptest.NewServer(nil)
	gone.Endpoint = server.URL + "/offsitetest"
	server.Close()
	for what, do := range calls(open(t, gone)) {
		wantKind(t, "nobody listens: "+what, do(t.Context()), providers.ErrUnreachable)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	gone.Endpoint = secure.URL + "/offsitetest"
	for what, do := range calls(open(t, gone)) {
		wantKind(t, "unknown certificate: "+what, do(t.Context()), providers.ErrUnreachable)
	}
}

// overdue is a context whose time is up as soon as its request has arrived.
type overdue struct {
	context.Context
	up chan struct{}
}

func (o *overdue) Done() <-chan struct{} { return o.up }

func (o *overdue) Err() error {
	select {
	case <-o.up:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestTimeLimits(t *testing.T) {
	hang := make(chan struct{})
	var waiting atomic.Pointer[overdue]
	d := open(t, fake(t, func(w http.ResponseWriter, r *http.Request) {
		if ctx := waiting.Swap(nil); ctx != nil {
			close(ctx.up)
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer close(hang)
	for what, do := range calls(d) {
		ctx := &overdue{t.Context(), make(chan struct{})}
		waiting.Store(ctx)
		err := do(ctx)
		want := providers.ErrBusy
		if what == "create" || what == "replace" {
			want = providers.ErrInDoubt
		}
		wantKind(t, what, err, want)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v does not say that time was up", what, err)
		}
	}
}

// No way of failing puts the signature, or the key, into an error.
func TestSecretsStayOutOfErrors(t *testing.T) {
	const secret = "SECRETSIGNATURE"
	configs := map[string]azure.Config{
		"refused": fake(t, func(w http.ResponseWriter, r *http.Request) {
			service(w).Set("X-Ms-Error-Code", "AuthenticationFailed")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<Error><Code>AuthenticationFailed</Code><Message>%s</Message></Error>", r.URL)
		}),
		"cut": fake(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }),
		"junk": fake(t, func(w http.ResponseWriter, r *http.Request) {
			service(w)
			fmt.Fprintf(w, "<%s", r.URL.Query().Get("sig"))
		}),
	}
	dead := configs["cut"]
	dead.Endpoint = "https://127.0.0.1:1/offsitetest"
	configs["nobody"] = dead
	for name, cfg := range configs {
		for what, do := range calls(open(t, cfg)) {
			if err := do(t.Context()); err == nil && name != "junk" || err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, cfg); strings.Contains(text, secret) {
				t.Errorf("%s shows %s", verb, text)
			}
		}
	}
	bad := dead
	bad.SAS = "?sv=1&si%zz=" + secret
	if _, err := azure.Open(t.Context(), bad); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("open: %v", err)
	}
}

func TestTokenErrorsHaveKinds(t *testing.T) {
	failed := func(status int) error {
		return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: http.NoBody}}
	}
	for _, c := range []struct {
		err  error
		kind error
	}{
		{azidentity.NewCredentialUnavailableError("EnvironmentCredential: no variables\nManagedIdentity: none"), providers.ErrDenied},
		{failed(400), providers.ErrDenied},
		{failed(401), providers.ErrDenied},
		{failed(429), providers.ErrBusy},
		{failed(503), providers.ErrBusy},
		{&azidentity.AuthenticationFailedError{}, providers.ErrUnreachable},
		{errors.New("something else"), providers.ErrDenied},
	} {
		text, kind := azure.TokenError(t.Context(), c.err)
		if kind != c.kind || strings.Contains(text, "\n") {
			t.Errorf("%v: kind %v, text %q; want %v on one line", c.err, kind, text, c.kind)
		}
	}
}
