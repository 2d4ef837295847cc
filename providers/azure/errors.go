package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"offsite/providers"
	"offsite/providers/azure/internal/wire"
)

func fail(op, key string, kind, cause error) error {
	return &providers.Error{Op: op, Provider: "azure", Key: key, Kind: kind, Err: cause}
}

// failure gives what the SDK returned its kind. Neither the text of the answer nor
// the address goes into it: they may hold a signature.
func (d *Driver) failure(ctx context.Context, op string, what request, key string, err error) error {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = errors.Join(ctx.Err(), wire.Cause(err))
		}
		return fail(op, key, transportKind(what, err, ctx.Err() != nil), wire.Cause(err))
	}
	e := &providers.Error{Op: op, Provider: "azure", Key: key, Kind: kindOf(answer.ErrorCode, answer.StatusCode, what), Status: answer.StatusCode}
	if answer.ErrorCode != "" {
		e.Err = errors.New(wire.Printable(answer.ErrorCode, longestCode))
	}
	if resp := answer.RawResponse; resp != nil {
		e.RequestID = wire.Printable(resp.Header.Get("X-Ms-Request-Id"), longestCode)
		e.RetryAfter = retryAfter(resp.Header)
	}
	if e.Kind == providers.ErrDenied && !d.expires.IsZero() && d.now().After(d.expires) {
		e.Err = fmt.Errorf("the SAS lapsed at %s: %s", d.expires.Format(time.RFC3339), wire.Printable(answer.ErrorCode, longestCode))
	}
	return e
}

const longestCode = 64 // the longest documented one has 49 letters

// retryAfter reads the header of a throttled answer: seconds, or a date that counts
// from the service's own.
func retryAfter(h http.Header) time.Duration {
	const longest = 10 * time.Minute // more is no throttling
	value := h.Get("Retry-After")
	d := time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		d = time.Duration(min(max(seconds, 0), 3600)) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		if now, err := http.ParseTime(h.Get("Date")); err == nil {
			d = at.Sub(now)
		}
	}
	return min(max(d, 0), longest)
}

// transportKind is the kind when there was no answer, or only the beginning of one.
// A connection that was never made is an unreachable store, unless the caller gave up
// (ended): a dial that takes too long also claims to be a context's end.
func transportKind(what request, err error, ended bool) error {
	var (
		dial  *net.OpError
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
		trust x509.UnknownAuthorityError
		token *wire.CredentialError
	)
	switch {
	case ended:
		return what.unknown()
	case errors.As(err, &token):
		return token.Kind
	case errors.As(err, &dial) && (dial.Op == "dial" || dial.Op == "proxyconnect"),
		errors.As(err, &dns), errors.As(err, &cert), errors.As(err, &trust), errors.Is(err, wire.ErrStranger) && !what.writes():
		return providers.ErrUnreachable
	}
	return what.unknown()
}

// dateOfAbsent is the date of an answer that says that a blob is not there.
func dateOfAbsent(err error) (time.Time, bool) {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) || answer.RawResponse == nil {
		return time.Time{}, false
	}
	if kindOf(answer.ErrorCode, answer.StatusCode, read) != providers.ErrNotExist {
		return time.Time{}, false
	}
	date, err := http.ParseTime(answer.RawResponse.Header.Get("Date"))
	return date, err == nil
}
