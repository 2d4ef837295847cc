package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"google.golang.org/api/googleapi"

	"offsite/providers"
)

// maxMessage is how much of the service's own words an error repeats.
const maxMessage = 200

// meaning is what the documented statuses and reasons say. A write that may have
// been applied all the same is in doubt; such a read is only repeated. Unknown
// ones are not known.
func meaning(status int, reason string) (known, doubt bool, kind error) {
	switch status {
	case http.StatusBadRequest:
		return true, false, badRequest(reason)
	case http.StatusForbidden:
		return true, false, forbidden(reason)
	case http.StatusPreconditionFailed:
		if reason == "orgPolicyConstraintFailed" {
			return true, false, providers.ErrDenied
		}
		return true, false, providers.ErrConflict
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusProxyAuthRequired:
		return true, false, providers.ErrDenied
	case http.StatusNotFound:
		return true, false, providers.ErrNotExist
	case http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusNotImplemented:
		return true, false, providers.ErrInvalid
	case http.StatusConflict, http.StatusTooManyRequests:
		return true, false, providers.ErrBusy
	case http.StatusRequestedRangeNotSatisfiable:
		return true, false, providers.ErrRange
	case http.StatusRequestTimeout, http.StatusGone, statusClientClosed, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, true, providers.ErrBusy
	}
	return false, false, nil
}

// badRequest: our mistake, unless the bucket is set up so that a person must act.
func badRequest(reason string) error {
	switch reason {
	case "userProjectMissing", "userProjectInvalid", "userProjectInconsistent",
		"cloudKmsBadKey", "cloudKmsDisabledKey", "cloudKmsDecryptionKeyNotFound", "cloudKmsEncryptionKeyNotFound",
		"cloudKmsKeyLocationNotAllowed", "cloudKmsCannotChangeKeyName",
		"resourceIsEncryptedWithCustomerEncryptionKey", "turnedDown":
		return providers.ErrDenied
	}
	return providers.ErrInvalid
}

// forbidden: no right, no room, too fast, or kept.
func forbidden(reason string) error {
	switch reason {
	case "rateLimitExceeded", "userRateLimitExceeded":
		return providers.ErrBusy
	case "quotaExceeded", "dailyLimitExceeded":
		return providers.ErrFull
	case "retentionPolicyNotMet", "objectUnderActiveHold":
		return providers.ErrHeld
	}
	return providers.ErrDenied
}

// statusClientClosed is what the service notes, and sometimes sends, when a
// client left in the middle of an upload.
const statusClientClosed = 499

// Classify knows everything but what a 404 and a 412 are about.
func Classify(ctx context.Context, op, key string, c *Call, err error, write bool) *providers.Error {
	e := &providers.Error{Op: op, Provider: "gcs", Key: key, Kind: providers.ErrBusy, Err: err}
	if h := c.Header(); h != nil {
		e.RequestID = requestID(h)
	}
	var token *tokenError
	var api *googleapi.Error
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		if write && c.Reached() {
			e.Kind = providers.ErrInDoubt
		}
	case errors.As(err, &token):
		e.Kind, e.Err = tokenKind(token.cause)
	case errors.As(err, &api):
		answered(e, api, write)
	case !c.Reached():
		e.Kind = providers.ErrUnreachable
	case write:
		e.Kind = providers.ErrInDoubt
	}
	return e
}

// answered reads an error answer.
func answered(e *providers.Error, api *googleapi.Error, write bool) {
	reason, message := words(api)
	e.Status, e.Err = api.Code, nil
	if text := strings.Trim(reason+": "+message, ": "); text != "" {
		e.Err = errors.New(text)
	}
	e.RetryAfter = retryAfter(api.Header)
	known, doubt, kind := meaning(api.Code, reason)
	switch {
	case doubt && write:
		e.Kind = providers.ErrInDoubt
	case known:
		e.Kind = kind
	case api.Code >= 300 && api.Code < 400:
		e.Kind = providers.ErrUnreachable
		e.Err = errors.New("redirected: a portal or proxy stands between")
	case write:
		e.Kind = providers.ErrInDoubt
	default:
		e.Kind = providers.ErrBusy
	}
	if api.Code == http.StatusBadRequest && damagedOnTheWay(message) {
		e.Kind = providers.ErrBusy // refused whole; what is in memory is still right
	}
}

// damagedOnTheWay: the service counted another checksum than was sent along.
func damagedOnTheWay(message string) bool {
	m := strings.ToLower(message)
	return strings.Contains(m, "crc32c") && strings.Contains(m, "match")
}

// words are the reason and the message of an answer, shortened. Answers to
// downloads are plain text, or JSON that the SDK leaves alone.
func words(api *googleapi.Error) (reason, message string) {
	var body struct{ Error *googleapi.Error }
	if len(api.Errors) == 0 && json.Unmarshal([]byte(api.Body), &body) == nil && body.Error != nil {
		api = &googleapi.Error{Message: body.Error.Message, Errors: body.Error.Errors}
	}
	message = api.Message
	if len(api.Errors) > 0 {
		reason = api.Errors[0].Reason
		if message == "" {
			message = api.Errors[0].Message
		}
	}
	if message == "" && !strings.HasPrefix(strings.TrimSpace(api.Body), "<") {
		message = api.Body
	}
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "")
	}
	return reason, message
}

// tokenKind: no token, no request.
func tokenKind(err error) (error, error) {
	var answer *auth.Error
	if errors.As(err, &answer) && answer.Response != nil {
		code := answer.Response.StatusCode
		cause := fmt.Errorf("no access token: status %d from the token service", code)
		if code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500 {
			return providers.ErrBusy, cause
		}
		return providers.ErrDenied, cause
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) {
		return providers.ErrUnreachable, errors.New("no access token: the token service does not answer")
	}
	return providers.ErrDenied, errors.New("no access token")
}

// requestID is what the provider's support asks for.
func requestID(h http.Header) string {
	id := h.Get("X-Guploader-Uploadid")
	if len(id) > maxMessage {
		id = id[:maxMessage]
	}
	return id
}

// retryAfter reads the header of that name, in seconds.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 || n > maxRetryAfter {
		return 0
	}
	return time.Duration(n) * time.Second
}

// maxRetryAfter: whoever asks for more is not obeyed; Store has its own waits.
const maxRetryAfter = 600

// Fail is an error of this provider.
func Fail(op, key string, kind, cause error) error {
	return &providers.Error{Op: op, Provider: "gcs", Key: key, Kind: kind, Err: cause}
}
