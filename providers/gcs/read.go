package gcs

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"offsite/providers"
	"offsite/providers/gcs/internal/wire"
)

// pageSize is the most that the service lists in one answer.
const pageSize = 1000

// maxEmptyPages bounds how many answers without an object may follow each other.
const maxEmptyPages = 64

// Get reads a range of one generation; see providers.Driver.
func (d *Driver) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	if err := d.begin(ctx, "get", key); err != nil {
		return nil, err
	}
	gen, ok := generation(v)
	if !ok {
		return nil, fail("get", key, providers.ErrNotExist, errors.New("no such generation"))
	}
	// No object is longer, so such a range lies outside whatever is stored.
	if off < 0 || off > providers.MaxObject || n > providers.MaxObject-off {
		return nil, fail("get", key, providers.ErrRange, nil)
	}
	if n == 0 { // the service has no empty range
		return d.empty(ctx, key, v, off)
	}
	cctx, call := wire.NewCall(ctx, 1)
	r, err := d.object(key, gen).NewRangeReader(cctx, off, n)
	if err != nil {
		err = d.readFail(ctx, "get", key, call, err)
		if n < 0 && errors.Is(err, providers.ErrRange) {
			return d.empty(ctx, key, v, off) // to the end, from the end?
		}
		return nil, err
	}
	defer r.Close()
	if have := call.Header().Get("X-Goog-Generation"); have == "" || (gen != 0 && have != string(v)) {
		return nil, fail("get", key, providers.ErrBusy, errors.New("answer does not name the generation that was asked for"))
	}
	data, err := readAll(r, off, n)
	if err != nil {
		if kind := providers.KindOf(err); kind != nil {
			return nil, fail("get", key, kind, err)
		}
		return nil, d.readFail(ctx, "get", key, call, err)
	}
	return data, nil
}

// empty answers a range without bytes, which is right up to the end of the object.
func (d *Driver) empty(ctx context.Context, key string, v providers.Version, off int64) ([]byte, error) {
	attrs, err := d.attrs(ctx, "get", key, v)
	if err != nil {
		return nil, err
	}
	if off > attrs.Size {
		return nil, fail("get", key, providers.ErrRange, nil)
	}
	return []byte{}, nil
}

// readAll takes exactly the bytes asked for. The CRC32C of an object counts only
// when all of it was asked for.
func readAll(r *storage.Reader, off, n int64) ([]byte, error) {
	size := r.Attrs.Size
	switch {
	case size > providers.MaxObject:
		return nil, fmt.Errorf("%w: object is larger than any of ours", providers.ErrCorrupt)
	case size < 0 || r.Attrs.StartOffset != off:
		return nil, errors.New("answer without a length, or about another range")
	case off > size || (n > 0 && n > size-off):
		return nil, providers.ErrRange
	}
	if n < 0 {
		n = size - off
	}
	data := make([]byte, n)
	if got, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("answer cut: %d of %d bytes: %w", got, n, err)
	}
	if n == size && r.Attrs.CRC32C != 0 && crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) != r.Attrs.CRC32C {
		return nil, fmt.Errorf("%w: checksum of the store does not fit", providers.ErrCorrupt)
	}
	var more [1]byte
	if got, err := r.Read(more[:]); got != 0 {
		return nil, errors.New("answer is longer than what was asked for")
	} else if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("end of answer: %w", err)
	}
	return data, nil
}

// List yields the live objects in byte order; see providers.Driver. One request
// for every thousand.
func (d *Driver) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		if !providers.ValidPrefix(prefix) {
			yield(providers.Object{}, fail("list", "", providers.ErrInvalid, errors.New("prefix outside the grammar")))
			return
		}
		if after > prefix && !strings.HasPrefix(after, prefix) {
			return // everything with the prefix sorts before it
		}
		q := &storage.Query{Prefix: d.prefix + prefix, Projection: storage.ProjectionNoACL}
		if after > prefix {
			q.StartOffset = d.prefix + after // inclusive: skipped below
		}
		if err := q.SetAttrSelection([]string{"Name", "Size", "Generation", "CRC32C", "CustomTime", "Created", "Updated"}); err != nil {
			yield(providers.Object{}, fail("list", prefix, providers.ErrInvalid, err))
			return
		}
		d.list(ctx, prefix, after, q, yield)
	}
}

// list passes on what the service lists, page by page. Keys must rise, so that
// no answer can make it go on for ever.
func (d *Driver) list(ctx context.Context, prefix, after string, q *storage.Query, yield func(providers.Object, error) bool) {
	cctx, call := wire.NewCall(ctx, 0)
	it := d.bucket.Objects(cctx, q)
	it.PageInfo().MaxSize = pageSize
	last := ""
	for {
		if it.PageInfo().Remaining() == 0 { // the next step asks the service
			if err := ctx.Err(); err != nil {
				yield(providers.Object{}, fail("list", prefix, providers.ErrBusy, err))
				return
			}
			call.Allow(maxEmptyPages)
		}
		attrs, err := it.Next()
		switch {
		case errors.Is(err, iterator.Done):
			return
		case err != nil:
			yield(providers.Object{}, d.readFail(ctx, "list", prefix, call, err))
			return
		case !strings.HasPrefix(attrs.Name, q.Prefix) || attrs.Name <= last:
			yield(providers.Object{}, fail("list", prefix, providers.ErrBusy, errors.New("answer is out of order, or about other objects")))
			return
		}
		last = attrs.Name
		if obj := d.describe(attrs); obj.Key > after && !yield(obj, nil) {
			return
		}
	}
}

// bucketThere asks the bucket itself, by the smallest listing there is.
func (d *Driver) bucketThere(ctx context.Context) error {
	cctx, call := wire.NewCall(ctx, 1)
	it := d.bucket.Objects(cctx, &storage.Query{Prefix: d.prefix + clockKey, Projection: storage.ProjectionNoACL})
	it.PageInfo().MaxSize = 1
	if _, err := it.Next(); err != nil && !errors.Is(err, iterator.Done) {
		return d.readFail(ctx, "list", "", call, err)
	}
	return nil
}
