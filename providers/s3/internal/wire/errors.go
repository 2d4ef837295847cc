package wire

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
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
	// Name is what errors call this kind of store.
	Name       = "s3"
	maxMessage = 200 // bytes of a store's own words that an error repeats
)

// Fail is an error without an answer of the service.
func Fail(op, key string, kind, cause error) error {
	return &providers.Error{Op: op, Provider: Name, Key: key, Kind: kind, Err: cause}
}

// Answer is what an error says about itself.
type Answer struct {
	Code    string // of the service; empty where the answer had no body
	Message string
	Status  int
	Request string
	Header  http.Header
	Cut     bool // the line broke before it had said why
}

// Read finds the answer in an error of the SDK.
func Read(err error) Answer {
	var a Answer
	var api smithy.APIError
	if errors.As(err, &api) {
		a.Code, a.Message = api.ErrorCode(), api.ErrorMessage()
	}
	var aws *awshttp.ResponseError
	if errors.As(err, &aws) {
		a.Request = aws.ServiceRequestID()
	}
	var web *smithyhttp.ResponseError
	if errors.As(err, &web) && web.Response != nil {
		a.Status, a.Header = web.HTTPStatusCode(), web.Response.Header
	}
	if text := http.StatusText(a.Status); text != "" && a.Message == text && a.Code == strings.ReplaceAll(text, " ", "") {
		a.Code = "" // made up by the SDK: the answer had no body, or one that is not the service's
	}
	a.Cut = a.Code == "" && cut(err)
	return a
}

// cut says whether an answer ended before its end.
func cut(err error) bool {
	var syntax *xml.SyntaxError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax) && syntax.Msg == "unexpected EOF"
}

// Wrap gives an error of a call its kind. A write may have been applied.
func Wrap(ctx context.Context, op, key string, write bool, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return Fail(op, key, unknown(write), ctxErr)
	}
	a := Read(err)
	if a.Status == 0 && a.Code == "" {
		return Fail(op, key, transportKind(err, write), PlainCause(err))
	}
	return &providers.Error{
		Op: op, Provider: Name, Key: key, Kind: a.kind(write), Status: a.Status, RequestID: a.Request,
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
func (a Answer) kind(write bool) error {
	if k, ok := codes[a.Code]; ok {
		return k
	}
	if strings.HasPrefix(a.Code, "KMS.") { // the bucket's key is missing, disabled or refused
		return providers.ErrDenied
	}
	if a.Cut {
		return unknown(write) // a refusal that nobody heard to the end may have been a request to come later
	}
	switch a.Status {
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
func (a Answer) cause() error {
	text := a.Code
	if a.Message != "" && text != "" {
		text += ": "
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, text+a.Message)
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return errors.New(text)
}

func (a Answer) retryAfter() time.Duration {
	text := a.Header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 86_400 {
		return time.Duration(n) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(a.Header.Get("Date"))
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

// CredentialsError: without credentials a person acts, unless the line to those
// who give them out is down.
func CredentialsError(ctx context.Context, op, key string, err error) error {
	if ctx.Err() != nil {
		return Fail(op, key, providers.ErrBusy, ctx.Err())
	}
	var web net.Error
	if errors.As(err, &web) {
		return Fail(op, key, providers.ErrBusy, errors.New("credentials cannot be renewed now"))
	}
	return Fail(op, key, providers.ErrDenied, errors.New("no credentials, or they have expired"))
}
