// Package gcsadmin makes a Google Cloud Storage bucket what leases need, says how
// it stands, tries with the upload credential what a thief would try, and prints
// the roles that each credential needs. It is apart from the driver, so that the
// nightly run has no code that changes a bucket.
//
// It promises to keep what others have set: rules of other tools stay as they
// are, byte for byte, and every change is bound to what was read before. It
// refuses to shorten a retention period or to take a rule away; it says so.
package gcsadmin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/api/googleapi"

	"offsite/providers"
	"offsite/providers/gcs"
	"offsite/providers/gcs/internal/wire"
)

// DefaultFloor is how long nothing in the bucket can be removed by anybody, if
// nothing else is asked for.
const DefaultFloor = 14 * day

const day = 24 * time.Hour

// maxRaces bounds how often Setup starts again because somebody else changes the
// bucket at the same time.
const maxRaces = 5

// Config says which bucket, by whom, and how it must be.
type Config struct {
	Store gcs.Config // with the administrator's credential
	// Floor is the bucket's retention period. Zero: DefaultFloor.
	Floor time.Duration
	// Max is the longest lease that the program asks for. A longer retention period
	// would keep what has lapsed. Zero: not looked at.
	Max time.Duration
	// Project and Location are for a bucket that is yet to be made, such as
	// "practice-backup" and "EUROPE-WEST3".
	Project, Location string
}

// Admin is a bucket in the hands of its administrator. Every call makes one
// attempt per request.
type Admin struct {
	api    api
	config Config
}

// Open checks the configuration and finds the credentials. It asks the bucket
// for nothing.
func Open(ctx context.Context, c Config) (*Admin, error) {
	if c.Floor == 0 {
		c.Floor = DefaultFloor
	}
	if c.Floor < day || c.Floor%time.Second != 0 || c.Max != 0 && c.Max < c.Floor {
		return nil, wire.Fail("open", "", providers.ErrInvalid, errors.New("retention period: from one day up to the longest lease, in whole seconds"))
	}
	w, err := wire.Open(ctx, wire.Config(c.Store))
	if err != nil {
		return nil, err
	}
	return &Admin{api{w}, c}, nil
}

// Close lets go of idle connections.
func (a *Admin) Close() error {
	a.api.wire.Close()
	return nil
}

// Audit says how the bucket stands, and changes nothing.
func (a *Admin) Audit(ctx context.Context) ([]providers.Setting, error) {
	b, err := a.api.bucket(ctx)
	switch {
	case status(err) == http.StatusForbidden:
		return a.unseen(), nil
	case status(err) == http.StatusNotFound:
		return []providers.Setting{{Name: "bucket", Want: "there", Have: "missing", State: providers.StateWrong,
			Remedy: "run store setup with the administrator's credential"}}, nil
	case err != nil:
		return nil, err
	}
	return a.judge(b), nil
}

// Setup makes the bucket if it is missing, changes what is not as it must be, and
// reads back.
func (a *Admin) Setup(ctx context.Context) ([]providers.Setting, error) {
	for range maxRaces {
		b, err := a.api.bucket(ctx)
		if status(err) == http.StatusNotFound {
			err = a.found(ctx)
			if status(err) == http.StatusConflict { // somebody was quicker, or the name is taken
				err = a.taken(ctx, err)
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		patch := a.patch(b)
		if len(patch) == 0 {
			return a.judge(b), nil
		}
		err = a.api.patchBucket(ctx, b.Metageneration, patch)
		if err != nil && status(err) != http.StatusPreconditionFailed {
			return nil, err
		}
	}
	// Whatever was asked for was answered with yes; what is there counts.
	return a.Audit(ctx)
}

// found makes the bucket with all its settings at once.
func (a *Admin) found(ctx context.Context) error {
	if a.config.Project == "" || a.config.Location == "" {
		return wire.Fail("setup", "", providers.ErrInvalid, errors.New("the bucket is missing; to make it, a project and a location are needed"))
	}
	body := a.patch(&bucket{})
	body["name"], body["location"], body["storageClass"] = a.api.wire.Bucket(), a.config.Location, "STANDARD"
	_, err := a.api.do(ctx, "setup", http.MethodPost, "b", url.Values{"project": {a.config.Project}}, body)
	return err
}

// taken: a name that is taken by somebody else cannot even be looked at.
func (a *Admin) taken(ctx context.Context, conflict error) error {
	if _, err := a.api.bucket(ctx); err == nil {
		return nil
	}
	return wire.Fail("setup", "", providers.ErrDenied, errors.New("the bucket's name is taken by somebody else; choose another: "+conflict.Error()))
}

// api is the JSON API, spoken plainly: what the typed client does not know of
// another tool's lifecycle rule would be lost when the rules are written back.
type api struct{ wire *wire.Wire }

// do makes one request and returns the answer's body.
func (a api) do(ctx context.Context, op, method, path string, query url.Values, body any) ([]byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, wire.Fail(op, "", providers.ErrInvalid, err)
		}
	}
	res, call, err := a.send(ctx, method, a.wire.Endpoint()+path+"?"+query.Encode(), "application/json", text)
	write := method != http.MethodGet
	if err != nil {
		return nil, wire.Classify(ctx, op, "", call, err, write)
	}
	defer res.Body.Close()
	if err := googleapi.CheckResponse(res); err != nil {
		return nil, wire.Classify(ctx, op, "", call, err, write)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, wire.Classify(ctx, op, "", call, err, write)
	}
	return data, nil
}

// send makes one request to any address below the endpoint's host.
func (a api) send(ctx context.Context, method, address, contentType string, body []byte) (*http.Response, *wire.Call, error) {
	cctx, call := wire.NewCall(ctx, 1)
	req, err := http.NewRequestWithContext(cctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, call, err
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := a.wire.Client().Do(req)
	return res, call, err
}

// bucket reads the bucket's settings. Without its access lists, which a further
// permission would be needed for.
func (a api) bucket(ctx context.Context) (*bucket, error) {
	data, err := a.do(ctx, "look at the bucket", http.MethodGet, "b/"+url.PathEscape(a.wire.Bucket()), url.Values{"projection": {"noAcl"}}, nil)
	if err != nil {
		return nil, err
	}
	b := &bucket{}
	if err := json.Unmarshal(data, b); err != nil || b.Metageneration == "" {
		return nil, wire.Fail("look at the bucket", "", providers.ErrBusy, errors.New("answer is not about a bucket"))
	}
	return b, nil
}

func (a api) patchBucket(ctx context.Context, metageneration string, patch map[string]any) error {
	_, err := a.do(ctx, "setup", http.MethodPatch, "b/"+url.PathEscape(a.wire.Bucket()),
		url.Values{"projection": {"noAcl"}, "ifMetagenerationMatch": {metageneration}}, patch)
	return err
}

// status is the service's own, or zero.
func status(err error) int {
	var e *providers.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
