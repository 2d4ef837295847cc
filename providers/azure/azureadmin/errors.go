package azureadmin

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"offsite/providers"
	"offsite/providers/azure/internal/wire"
)

const longestCode = 64 // the documented ones are shorter

func fail(op string, kind, cause error) error {
	return &providers.Error{Op: op, Provider: "azure", Kind: kind, Err: cause}
}

// failure gives what the SDK returned its kind. The text of the answer stays out: the
// code says enough, and an administrator's answers may name more than this container.
func failure(ctx context.Context, op string, writes bool, err error) error {
	unknown := providers.ErrBusy
	if writes {
		unknown = providers.ErrInDoubt
	}
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		var token *wire.CredentialError
		var dial *net.OpError
		switch {
		case errors.As(err, &token):
			return fail(op, token.Kind, err)
		case ctx.Err() == nil && errors.As(err, &dial) && dial.Op == "dial":
			return fail(op, providers.ErrUnreachable, wire.Cause(err))
		}
		return fail(op, unknown, wire.Cause(err))
	}
	e := &providers.Error{Op: op, Provider: "azure", Kind: unknown, Status: answer.StatusCode,
		Err: errors.New(wire.Printable(answer.ErrorCode, longestCode))}
	if answer.RawResponse != nil {
		e.RequestID = wire.Printable(answer.RawResponse.Header.Get("X-Ms-Request-Id"), longestCode)
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Kind = providers.ErrDenied
	case http.StatusNotFound:
		e.Kind = providers.ErrNotExist
	case http.StatusConflict, http.StatusPreconditionFailed:
		e.Kind = providers.ErrConflict
	case http.StatusBadRequest:
		e.Kind = providers.ErrInvalid
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.Kind = providers.ErrBusy
	}
	return e
}
