package gcs

import (
	"context"
	"errors"
	"hash/crc32"
	"net/http"
	"time"

	"cloud.google.com/go/storage"

	"offsite/providers"
	"offsite/providers/gcs/internal/wire"
)

const contentType = "application/octet-stream"

// maxRaces bounds how often one Raise starts again because another one came
// between. Every lost race means that a lease has moved.
const maxRaces = 32

// Put stores data in one request; see providers.Driver.
func (d *Driver) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	if !providers.ValidKey(key) {
		return "", fail("put", "", providers.ErrInvalid, errors.New("key outside the grammar"))
	}
	limit := providers.MaxObject
	if opt.Replace != "" {
		limit = providers.MaxReplace
	}
	if len(data) > limit {
		return "", failf("put", key, providers.ErrInvalid, "%d bytes, limit %d", len(data), limit)
	}
	lease, ok := wholeSecond(opt.Lease)
	if !ok {
		return "", fail("put", key, providers.ErrInvalid, errors.New("lease outside the calendar"))
	}
	old, ok := generation(opt.Replace)
	if !ok {
		return "", fail("put", key, providers.ErrConflict, errors.New("no such generation"))
	}
	if err := ctx.Err(); err != nil {
		return "", fail("put", key, providers.ErrBusy, err)
	}
	cond := storage.Conditions{DoesNotExist: true}
	if old != 0 {
		cond = storage.Conditions{GenerationMatch: old}
	}
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	attrs, err := d.insert(ctx, key, data, cond, sum, lease)
	if err != nil {
		var e *providers.Error
		if old == 0 && errors.As(err, &e) && e.Kind == providers.ErrDenied && e.Status == http.StatusForbidden {
			return "", d.deniedOrTaken(ctx, key, err)
		}
		return "", err
	}
	switch {
	case attrs.Name != d.prefix+key || attrs.Generation <= 0 || attrs.Size != int64(len(data)) || attrs.CRC32C != sum:
		return "", fail("put", key, providers.ErrInDoubt, errors.New("answer describes another object"))
	case attrs.CustomTime.Before(lease):
		return "", fail("put", key, providers.ErrConflict, errors.New("stored, but the store did not keep the lease"))
	}
	return version(attrs.Generation), nil
}

// insert is the one request of a Put.
func (d *Driver) insert(ctx context.Context, key string, data []byte, cond storage.Conditions, sum uint32, lease time.Time) (*storage.ObjectAttrs, error) {
	cctx, call := wire.NewCall(ctx, 1)
	cctx, cancel := context.WithCancel(cctx)
	defer cancel()
	w := d.object(key, 0).If(cond).NewWriter(cctx)
	w.ChunkSize = 0 // one request; no session that would live on
	w.ContentType = contentType
	w.CRC32C, w.SendCRC32C = sum, true
	w.CustomTime = lease
	_, err := w.Write(data)
	// Close has the answer of the service; an error of Write is often only that
	// the service stopped reading.
	if cerr := w.Close(); cerr != nil {
		err = cerr
	}
	if err != nil {
		create := cond.DoesNotExist
		return nil, d.writeFail(ctx, "put", key, call, err, create)
	}
	return w.Attrs(), nil
}

// deniedOrTaken answers a refused create. Writing over an object needs the right
// to delete, which the uploader lacks; should the service look at rights before
// conditions, "refused" only means "taken".
func (d *Driver) deniedOrTaken(ctx context.Context, key string, denied error) error {
	_, err := d.Stat(ctx, key, "")
	switch providers.KindOf(err) {
	case nil:
		return fail("put", key, providers.ErrExist, nil)
	case providers.ErrNotExist, providers.ErrDenied:
		return denied
	}
	// Not known which: an earlier attempt may have stored it.
	return failf("put", key, providers.ErrInDoubt, "refused or taken: %v", err)
}

// Raise moves the lease to at least until. It reads first, so that a lease that
// is long enough costs one cheap request, and the change itself is bound to what
// was read: even a store that would take an earlier time gets none.
func (d *Driver) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	until, ok := wholeSecond(until)
	if !ok && providers.ValidKey(key) {
		return fail("raise", key, providers.ErrInvalid, errors.New("lease outside the calendar"))
	}
	for range maxRaces {
		attrs, err := d.attrs(ctx, "raise", key, v)
		if err != nil {
			return err
		}
		if !attrs.CustomTime.Before(until) {
			return nil
		}
		err = d.patch(ctx, key, attrs, until)
		if err == nil {
			return nil
		}
		var e *providers.Error
		switch {
		case !errors.As(err, &e):
			return err
		case e.Status == http.StatusPreconditionFailed && e.Kind == providers.ErrConflict: // somebody was quicker: look again
		case e.Status == http.StatusBadRequest || e.Status == http.StatusForbidden:
			return d.refusedOrLater(ctx, key, v, until, err)
		default:
			return err
		}
	}
	return fail("raise", key, providers.ErrBusy, errors.New("others change this lease all the time"))
}

// patch sets the lease of exactly the metadata that was read.
func (d *Driver) patch(ctx context.Context, key string, old *storage.ObjectAttrs, until time.Time) error {
	cctx, call := wire.NewCall(ctx, 1)
	got, err := d.object(key, old.Generation).If(storage.Conditions{MetagenerationMatch: old.Metageneration}).
		Update(cctx, storage.ObjectAttrsToUpdate{CustomTime: until})
	if err != nil {
		return d.writeFail(ctx, "raise", key, call, err, false)
	}
	if got.CustomTime.Before(until) {
		return fail("raise", key, providers.ErrConflict, errors.New("the store said yes, but did not keep the lease"))
	}
	return nil
}

// refusedOrLater: a refusal is success if the lease is long enough by now.
func (d *Driver) refusedOrLater(ctx context.Context, key string, v providers.Version, until time.Time, refused error) error {
	if attrs, err := d.attrs(ctx, "raise", key, v); err == nil && !attrs.CustomTime.Before(until) {
		return nil
	}
	return refused
}

// wholeSecond rounds a lease up: fractions may be cut by the service, and a
// lease must never end early. Not ok: years that RFC 3339 cannot write.
func wholeSecond(t time.Time) (time.Time, bool) {
	if t.IsZero() {
		return t, true
	}
	t = t.UTC()
	if s := t.Truncate(time.Second); s.Before(t) {
		t = s.Add(time.Second)
	}
	return t, t.Year() >= 1 && t.Year() <= 9999
}
