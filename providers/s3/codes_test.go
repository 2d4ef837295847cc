package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/s3"
)

// The error codes that the service documents, with their statuses, the further
// ones of compatible stores, and what each must become. A code without kinds is
// in doubt for a write and busy for a read.
var documented = []struct {
	status int
	codes  string
	kind   error
}{
	{301, "PermanentRedirect", providers.ErrDenied},
	{307, "Redirect TemporaryRedirect", providers.ErrBusy},
	{400, `AmbiguousGrantByEmailAddress EntityTooLarge EntityTooSmall IllegalVersioningConfigurationException
		IncorrectNumberOfFilesInPostRequest InlineDataTooLarge InvalidAddressingHeader InvalidBucketName InvalidDigest
		InvalidEncryptionAlgorithmError InvalidLocationConstraint InvalidPart InvalidPartOrder InvalidPolicyDocument
		InvalidRequest InvalidSOAPRequest InvalidStorageClass InvalidTargetBucketForLogging InvalidURI KeyTooLongError
		MalformedACLError MalformedPOSTRequest MalformedXML MaxMessageLengthExceeded MaxPostPreDataLengthExceededError
		MetadataTooLarge MissingRequestBodyError MissingSecurityElement MissingSecurityHeader MissingAttachment
		NoLoggingStatusForKey RequestIsNotMultiPartContent RequestTorrentOfBucketError UnexpectedContent
		UnresolvableGrantByEmailAddress UserKeyMustBeSpecified InvalidRetentionPeriod InvalidTag`, providers.ErrInvalid},
	{400, `AuthorizationHeaderMalformed AuthorizationQueryParametersError CredentialsNotSupported ExpiredToken
		IllegalLocationConstraintException IncorrectEndpoint InvalidToken InvalidRegion TokenRefreshRequired
		TokenCodeInvalidError UnsupportedSignature KMS.DisabledException KMS.InvalidKeyUsageException
		KMS.KMSInvalidStateException KMS.NotFoundException KMS.AccessDeniedException`, providers.ErrDenied},
	{400, "BadDigest IncompleteBody RequestTimeout XAmzContentSHA256Mismatch XAmzContentChecksumMismatch", providers.ErrBusy},
	{400, "EndpointNotFound", providers.ErrUnreachable},
	{400, "TooManyBuckets", providers.ErrFull},
	{403, `AccessDenied AccountProblem AllAccessDisabled CrossLocationLoggingProhibited InvalidAccessKeyId InvalidPayer
		InvalidSecurity NotSignedUp SignatureDoesNotMatch UnauthorizedAccess UnauthorizedAccessError
		MissingAuthenticationToken UnexpectedIPError InvalidSignature SomethingNewAboutRights`, providers.ErrDenied},
	{403, "InvalidObjectState ObjectNotInActiveTierError", providers.ErrCold},
	{403, "ObjectLocked", providers.ErrHeld},
	{403, "RequestTimeTooSkewed", providers.ErrBusy},
	{403, "QuotaExceeded XMinioAdminBucketQuotaExceeded", providers.ErrFull},
	{404, "NoSuchBucket NoSuchAccessPoint", providers.ErrUnreachable},
	{404, "NoSuchVersion NoSuchLifecycleConfiguration NoSuchBucketPolicy NoSuchUpload ObjectLockConfigurationNotFoundError", providers.ErrNotExist},
	{405, "MethodNotAllowed", providers.ErrDenied},
	{409, "BucketAlreadyExists BucketAlreadyOwnedByYou BucketNotEmpty ClientTokenConflict", providers.ErrConflict},
	{409, "OperationAborted", providers.ErrBusy},
	{409, "InvalidBucketState", providers.ErrInvalid},
	{409, "RestoreAlreadyInProgress", providers.ErrCold},
	{411, "MissingContentLength", providers.ErrInvalid},
	{416, "InvalidRange", providers.ErrRange},
	{429, "TooManyRequests SlowDown", providers.ErrBusy},
	{500, "InternalError", nil},
	{500, "XMinioServerNotInitialized", providers.ErrBusy},
	{501, "NotImplemented", providers.ErrInvalid},
	{503, "ServiceUnavailable SlowDown SlowDownRead SlowDownWrite Busy", providers.ErrBusy},
	{503, "SomethingNewAboutLoad", nil},
	{507, "XMinioStorageFull InsufficientStorage", providers.ErrFull},
	{418, "SomethingNew", nil},
}

func TestEveryDocumentedCodeHasItsKind(t *testing.T) {
	var status int
	var code string
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) { refuse(w, status, code) })
	d := f.open(t, s3.Config{})
	for _, group := range documented {
		for c := range strings.FieldsSeq(group.codes) {
			status, code = group.status, c
			write, read := group.kind, group.kind
			if group.kind == nil {
				write, read = providers.ErrInDoubt, providers.ErrBusy
			}
			_, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
			wantOne(t, fmt.Sprintf("put, %d %s", status, code), err, write)
			_, err = d.Get(t.Context(), "r/a", "", 0, -1)
			wantOne(t, fmt.Sprintf("get, %d %s", status, code), err, read)
			for _, err = range d.List(t.Context(), "r/", "") {
				wantOne(t, fmt.Sprintf("list, %d %s", status, code), err, read)
			}
		}
	}
}

// wantOne demands an error of exactly one kind that says where it comes from and
// tells nothing secret.
func wantOne(t *testing.T, what string, err, kind error) {
	t.Helper()
	for _, k := range providers.Kinds() {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("%s: %v: is %q: %v; want only %q", what, err, k, errors.Is(err, k), kind)
		}
	}
	var e *providers.Error
	if !errors.As(err, &e) || e.Provider != "s3" || e.Status == 0 || e.RequestID != "REQUEST1" {
		t.Errorf("%s: %#v lacks provider, status or request id", what, err)
	}
	if err != nil && (strings.Contains(err.Error(), secretKey) || strings.Contains(err.Error(), accessKey)) {
		t.Errorf("%s: %v tells a secret", what, err)
	}
}

// What a refused condition, a missing key and a named version mean depends on
// what was asked.
func TestKindsThatDependOnTheQuestion(t *testing.T) {
	var status int
	var code string
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) { refuse(w, status, code) })
	d := f.open(t, s3.Config{})
	put := func(replace providers.Version) error {
		_, err := d.Put(t.Context(), "offsite.json", []byte("x"), providers.PutOptions{Replace: replace})
		return err
	}
	get := func(v providers.Version) error {
		_, err := d.Get(t.Context(), "offsite.json", v, 0, -1)
		return err
	}
	stat := func(v providers.Version) error {
		_, err := d.Stat(t.Context(), "offsite.json", v)
		return err
	}
	const tag = providers.Version("etag:0123")
	for _, c := range []struct {
		status int
		code   string
		call   func(providers.Version) error
		v      providers.Version
		want   error
	}{
		{412, "PreconditionFailed", put, "", providers.ErrExist},
		{412, "PreconditionFailed", put, tag, providers.ErrConflict},
		{404, "NoSuchKey", put, tag, providers.ErrConflict},
		{404, "NoSuchBucket", put, tag, providers.ErrUnreachable},
		{404, "NoSuchKey", get, "", providers.ErrNotExist},
		{412, "PreconditionFailed", get, tag, providers.ErrNotExist},
		{400, "InvalidArgument", get, "", providers.ErrInvalid},
		{400, "InvalidArgument", get, tag, providers.ErrNotExist},
		{405, "MethodNotAllowed", get, tag, providers.ErrNotExist},
		{404, "NoSuchKey", stat, "", providers.ErrNotExist},
		{404, "NoSuchBucket", stat, "", providers.ErrUnreachable},
		{400, "ExpiredToken", stat, "", providers.ErrDenied},
		{400, "ExpiredToken", stat, tag, providers.ErrDenied},
		{400, "InvalidArgument", stat, tag, providers.ErrNotExist},
		{403, "SignatureDoesNotMatch", stat, "", providers.ErrDenied},
		{412, "PreconditionFailed", stat, tag, providers.ErrNotExist},
		{503, "SlowDown", stat, "", providers.ErrBusy},
		{404, "NoSuchKey", get, "an id where there are no versions", providers.ErrNotExist},
	} {
		status, code = c.status, c.code
		wantKind(t, fmt.Sprintf("%d %s with version %q", c.status, c.code, c.v), c.call(c.v), c.want)
	}
}

// A proxy or a captive portal answers without the service's error document.
func TestAnswersThatAreNotTheServices(t *testing.T) {
	var status int
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprint(w, "<html><body>Sign in to the guest network</body></html>")
	})
	d := f.open(t, s3.Config{})
	for _, c := range []struct {
		status      int
		write, read error
	}{
		{301, providers.ErrDenied, providers.ErrDenied},
		{302, providers.ErrInDoubt, providers.ErrBusy},
		{307, providers.ErrBusy, providers.ErrBusy},
		{400, providers.ErrInDoubt, providers.ErrBusy},
		{401, providers.ErrDenied, providers.ErrDenied},
		{403, providers.ErrDenied, providers.ErrDenied},
		{404, providers.ErrInDoubt, providers.ErrBusy}, // no proof of absence
		{407, providers.ErrDenied, providers.ErrDenied},
		{408, providers.ErrInDoubt, providers.ErrBusy},
		{409, providers.ErrInDoubt, providers.ErrBusy},
		{429, providers.ErrBusy, providers.ErrBusy},
		{500, providers.ErrInDoubt, providers.ErrBusy},
		{502, providers.ErrInDoubt, providers.ErrBusy},
		{503, providers.ErrInDoubt, providers.ErrBusy},
		{504, providers.ErrInDoubt, providers.ErrBusy},
		{507, providers.ErrFull, providers.ErrFull},
	} {
		status = c.status
		_, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
		wantKind(t, fmt.Sprintf("put, %d", status), err, c.write)
		_, err = d.Get(t.Context(), "r/a", "", 0, -1)
		wantKind(t, fmt.Sprintf("get, %d", status), err, c.read)
		_, err = d.Stat(t.Context(), "r/a", "")
		wantKind(t, fmt.Sprintf("stat, %d", status), err, c.read)
	}
	if n := len(f.asked()); n < 48 {
		t.Fatalf("%d requests", n)
	}
}

func TestOneAttemptPerCallAndNoRedirection(t *testing.T) {
	elsewhere := newFake(t, false, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("ETag", `"00"`) })
	status := 503
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", elsewhere.URL+"/b/r/a")
		refuse(w, status, "Refused")
	})
	d := f.open(t, s3.Config{})
	for _, status = range []int{500, 503, 301, 302, 307, 308} {
		if _, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{}); err == nil {
			t.Errorf("put with status %d succeeded", status)
		}
		if n := len(f.asked()); n != 1 {
			t.Errorf("put with status %d: %d requests", status, n)
		}
		if _, err := d.Get(t.Context(), "r/a", "", 0, -1); err == nil {
			t.Errorf("get with status %d succeeded", status)
		}
		if n := len(f.asked()); n != 1 {
			t.Errorf("get with status %d: %d requests", status, n)
		}
	}
	if n := len(elsewhere.asked()); n != 0 {
		t.Errorf("%d requests went where nobody sent them", n)
	}
}

func TestTheStoreSaysWhenToComeAgain(t *testing.T) {
	var header string
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Mon, 02 Mar 2026 10:00:00 GMT")
		w.Header().Set("Retry-After", header)
		refuse(w, 503, "SlowDown")
	})
	d := f.open(t, s3.Config{})
	for _, c := range []struct {
		header string
		want   time.Duration
	}{
		{"7", 7 * time.Second}, {"0", 0}, {"-3", 0}, {"soon", 0}, {"", 0}, {"99999999", 0},
		{"Mon, 02 Mar 2026 10:00:30 GMT", 30 * time.Second}, {"Mon, 02 Mar 2026 09:00:30 GMT", 0},
	} {
		header = c.header
		_, err := d.Get(t.Context(), "r/a", "", 0, -1)
		var e *providers.Error
		if !errors.As(err, &e) || e.RetryAfter != c.want {
			t.Errorf("Retry-After %q: %v, want %v", c.header, e.RetryAfter, c.want)
		}
	}
}

// What a store says is repeated, but not without end and not with line breaks.
func TestWordsOfTheStoreAreCutShort(t *testing.T) {
	f := newFake(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>line\none\x1b %s</Message></Error>", bytes.Repeat([]byte("ö"), 5000))
	})
	_, err := f.open(t, s3.Config{}).Get(t.Context(), "r/a", "", 0, -1)
	if err == nil || len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("error is %q", err)
	}
}
