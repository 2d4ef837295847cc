package gcs

import (
	"context"
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

// answerKind is what the status and reason of an answer mean. A write that may
// have been applied all the same is marked doubt: ErrInDoubt for Put and Raise,
// ErrBusy for reads.
type answerKind struct {
	kind  error
	doubt bool
}

// reasons are the documented reasons that say more than the status does. They
// stand under the status they are documented with.
var reasons = map[int]map[string]answerKind{
	http.StatusForbidden: {
		"rateLimitExceeded":      {kind: providers.ErrBusy},
		"userRateLimitExceeded":  {kind: providers.ErrBusy},
		"quotaExceeded":          {kind: providers.ErrFull},
		"dailyLimitExceeded":     {kind: providers.ErrFull},
		"storageQuotaExceeded":   {kind: providers.ErrFull},
		"retentionPolicyNotMet":  {kind: providers.ErrHeld},
		"objectUnderActiveHold":  {kind: providers.ErrHeld},
		"objectRetentionNotMet":  {kind: providers.ErrHeld},
		"softDeletedObjectInUse": {kind: providers.ErrHeld},
	},
	http.StatusPreconditionFailed: {
		"orgPolicyConstraintFailed": {kind: providers.ErrDenied},
	},
	http.StatusBadRequest: {
		"userProjectMissing":                           {kind: providers.ErrDenied},
		"userProjectInvalid":                           {kind: providers.ErrDenied},
		"userProjectInconsistent":                      {kind: providers.ErrDenied},
		"cloudKmsBadKey":                               {kind: providers.ErrDenied},
		"cloudKmsDisabledKey":                          {kind: providers.ErrDenied},
		"cloudKmsDecryptionKeyNotFound":                {kind: providers.ErrDenied},
		"cloudKmsEncryptionKeyNotFound":                {kind: providers.ErrDenied},
		"cloudKmsKeyLocationNotAllowed":                {kind: providers.ErrDenied},
		"cloudKmsCannotChangeKeyName":                  {kind: providers.ErrDenied},
		"failedPrecondition":                           {kind: providers.ErrDenied},
		"resourceIsEncryptedWithCustomerEncryptionKey": {kind: providers.ErrDenied},
	},
	http.StatusTooManyRequests: {
		"quotaExceeded": {kind: providers.ErrBusy},
	},
}

// statuses are the documented statuses, whatever the reason.
var statuses = map[int]answerKind{
	http.StatusBadRequest:                   {kind: providers.ErrInvalid},
	http.StatusUnauthorized:                 {kind: providers.ErrDenied},
	http.StatusPaymentRequired:              {kind: providers.ErrDenied},
	http.StatusForbidden:                    {kind: providers.ErrDenied},
	http.StatusNotFound:                     {kind: providers.ErrNotExist},
	http.StatusMethodNotAllowed:             {kind: providers.ErrInvalid},
	http.StatusProxyAuthRequired:            {kind: providers.ErrDenied},
	http.StatusRequestTimeout:               {kind: providers.ErrBusy, doubt: true},
	http.StatusConflict:                     {kind: providers.ErrBusy},
	http.StatusGone:                         {kind: providers.ErrBusy, doubt: true},
	http.StatusLengthRequired:               {kind: providers.ErrInvalid},
	http.StatusPreconditionFailed:           {kind: providers.ErrConflict},
	http.StatusRequestEntityTooLarge:        {kind: providers.ErrInvalid},
	http.StatusRequestedRangeNotSatisfiable: {kind: providers.ErrRange},
	http.StatusTooManyRequests:              {kind: providers.ErrBusy},
	statusClientClosed:                      {kind: providers.ErrBusy, doubt: true},
	http.StatusInternalServerError:          {kind: providers.ErrBusy, doubt: true},
	http.StatusNotImplemented:               {kind: providers.ErrInvalid},
	http.StatusBadGateway:                   {kind: providers.ErrBusy, doubt: true},
	http.StatusServiceUnavailable:           {kind: providers.ErrBusy, doubt: true},
	http.StatusGatewayTimeout:               {kind: providers.ErrBusy, doubt: true},
}

// statusClientClosed is what the service notes, and sometimes sends, when a
// client left in the middle of an upload.
const statusClientClosed = 499

// readFail gives an error of a reading call its kind.
func (d *Driver) readFail(ctx context.Context, op, key string, c *call, err error) error {
	e := d.classify(ctx, op, key, c, err)
	if e.Status == http.StatusNotFound {
		e.Kind = d.missing(ctx, op, e)
	}
	return e
}

// writeFail is readFail for a call that may have been applied.
func (d *Driver) writeFail(ctx context.Context, op, key string, c *call, err error, create bool) error {
	e := d.classify(ctx, op, key, c, err)
	switch {
	case e.Status == http.StatusPreconditionFailed && e.Kind == providers.ErrConflict && create:
		e.Kind = providers.ErrExist
	case e.Status == http.StatusNotFound && op == "put":
		e.Kind = providers.ErrUnreachable // an object to be made cannot be missing: the bucket is
	case e.Status == http.StatusNotFound:
		e.Kind = d.missing(ctx, op, e)
	}
	return e
}

// classify knows everything but what a 404 and a 412 are about.
func (d *Driver) classify(ctx context.Context, op, key string, c *call, err error) *providers.Error {
	write := op == "put" || op == "raise"
	e := &providers.Error{Op: op, Provider: "gcs", Key: key, Kind: providers.ErrBusy, Err: err}
	if h := c.header(); h != nil {
		e.RequestID = requestID(h)
	}
	var token *tokenError
	var api *googleapi.Error
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		if write && c.reached() {
			e.Kind = providers.ErrInDoubt
		}
	case errors.As(err, &token):
		e.Kind, e.Err = tokenKind(token.cause)
	case errors.As(err, &api):
		d.answered(e, api, write)
	case !c.reached():
		e.Kind = providers.ErrUnreachable
	case write:
		e.Kind = providers.ErrInDoubt
	}
	return e
}

// answered reads an error answer.
func (d *Driver) answered(e *providers.Error, api *googleapi.Error, write bool) {
	reason, message := words(api)
	e.Status, e.Err = api.Code, nil
	if text := strings.Trim(reason+": "+message, ": "); text != "" {
		e.Err = errors.New(text)
	}
	e.RetryAfter = retryAfter(api.Header)
	k, known := reasons[api.Code][reason]
	if !known {
		k, known = statuses[api.Code]
	}
	switch {
	case known && k.doubt && write:
		e.Kind = providers.ErrInDoubt
	case known:
		e.Kind = k.kind
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
// downloads are plain text.
func words(api *googleapi.Error) (reason, message string) {
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

// missing tells a missing object from a missing bucket. The two answers differ
// in their words only; where the words are unknown, the bucket itself is asked,
// because "there is no such object" must never be said of a store that is gone.
func (d *Driver) missing(ctx context.Context, op string, e *providers.Error) error {
	text := ""
	if e.Err != nil {
		text = strings.ToLower(e.Err.Error())
	}
	switch {
	case op == "list", strings.Contains(text, "bucket does not exist"):
		return providers.ErrUnreachable
	case strings.Contains(text, "no such object"):
		return providers.ErrNotExist
	}
	err := d.bucketThere(ctx)
	if err == nil {
		return providers.ErrNotExist
	}
	e.Err = fmt.Errorf("bucket: %w", err)
	return providers.KindOf(err)
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
