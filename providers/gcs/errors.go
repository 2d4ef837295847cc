package gcs

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"offsite/providers"
	"offsite/providers/gcs/internal/wire"
)

// readFail gives an error of a reading call its kind.
func (d *Driver) readFail(ctx context.Context, op, key string, c *wire.Call, err error) error {
	e := wire.Classify(ctx, op, key, c, err, false)
	if e.Status == http.StatusNotFound {
		e.Kind = d.missing(ctx, op, e)
	}
	return e
}

// writeFail is readFail for a call that may have been applied.
func (d *Driver) writeFail(ctx context.Context, op, key string, c *wire.Call, err error, create bool) error {
	e := wire.Classify(ctx, op, key, c, err, true)
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
