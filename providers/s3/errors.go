package s3

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"offsite/providers"
)

const (
	name       = "s3"
	maxMessage = 200 // bytes of a store's own words that an error repeats
)

func fail(op, key string, kind, cause error) error {
	return &providers.Error{Op: op, Provider: name, Key: key, Kind: kind, Err: cause}
}

// answer is what an error says about itself.
type answer struct {
	code    string // of the service; empty where the answer had no body
	message string
	status  int
	request string
	header  http.Header
}

func read(err error) answer {
	var a answer
	var api smithy.APIError
	if errors.As(err, &api) {
		a.code, a.message = api.ErrorCode(), api.ErrorMessage()
	}
	var aws *awshttp.ResponseError
	if errors.As(err, &aws) {
		a.request = aws.ServiceRequestID()
	}
	var web *smithyhttp.ResponseError
	if errors.As(err, &web) && web.Response != nil {
		a.status, a.header = web.HTTPStatusCode(), web.Response.Header
	}
	if text := http.StatusText(a.status); text != "" && a.message == text && a.code == strings.ReplaceAll(text, " ", "") {
		a.code = "" // made up by the SDK: the answer had no body, or one that is not the service's
	}
	return a
}

// wrap gives an error of a call its kind.
func (d *Driver) wrap(ctx context.Context, op, key string, err error) error {
	write := op == "put"
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fail(op, key, unknown(write), ctxErr)
	}
	a := read(err)
	if a.status == 0 && a.code == "" {
		return fail(op, key, transportKind(err, write), plainCause(err))
	}
	return &providers.Error{
		Op: op, Provider: name, Key: key, Kind: a.kind(write), Status: a.status, RequestID: a.request,
		RetryAfter: a.retryAfter(), Err: a.cause(),
	}
}

func unknown(write bool) error {
	if write {
		return providers.ErrInDoubt
	}
	return providers.ErrBusy
}

// kind is the table's, else that of the status, else the careful one.
func (a answer) kind(write bool) error {
	if k, ok := codes[a.code]; ok {
		return k
	}
	if strings.HasPrefix(a.code, "KMS.") { // the bucket's key is missing, disabled or refused
		return providers.ErrDenied
	}
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return providers.ErrDenied
	case http.StatusMovedPermanently, http.StatusPermanentRedirect:
		return providers.ErrDenied
	case http.StatusTemporaryRedirect, http.StatusTooManyRequests:
		return providers.ErrBusy
	case http.StatusRequestedRangeNotSatisfiable:
		return providers.ErrRange
	case http.StatusInsufficientStorage:
		return providers.ErrFull
	}
	return unknown(write)
}

// cause is what the store said, cut short and made printable.
func (a answer) cause() error {
	text := a.code
	if a.message != "" && text != "" {
		text += ": "
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text+a.message)
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return errors.New(text)
}

func (a answer) retryAfter() time.Duration {
	text := a.header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 86_400 {
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(a.header.Get("Date"))
	if err != nil || !at.After(now) {
		return 0
	}
	return at.Sub(now)
}

// transportKind is for calls that got no answer. A connection that was never
// made is an unreachable store; one that broke leaves a write in doubt.
func transportKind(err error, write bool) error {
	var dns *net.DNSError
	var op *net.OpError
	if errors.As(err, &dns) || errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
		return providers.ErrUnreachable
	}
	if isTLS(err) {
		return providers.ErrUnreachable
	}
	return unknown(write)
}

// credentialsError: without credentials a person acts, unless the line to those
// who give them out is down.
func (d *Driver) credentialsError(ctx context.Context, op, key string, err error) error {
	if ctx.Err() != nil {
		return fail(op, key, providers.ErrBusy, ctx.Err())
	}
	var web net.Error
	if errors.As(err, &web) {
		return fail(op, key, providers.ErrBusy, errors.New("credentials cannot be renewed now"))
	}
	return fail(op, key, providers.ErrDenied, errors.New("no credentials, or they have expired"))
}
