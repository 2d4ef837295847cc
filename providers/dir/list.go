package dir

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"offsite/providers"
)

// List yields the objects in byte order of their keys, one folder in memory at a
// time per level; see providers.Driver. Versions are left out (they would cost
// reading every small object); links and names outside the grammar are skipped.
func (d *Dir) List(ctx context.Context, prefix, after string) iter.Seq2[providers.Object, error] {
	return func(yield func(providers.Object, error) bool) {
		if !providers.ValidPrefix(prefix) {
			yield(providers.Object{}, fail("list", "", providers.ErrInvalid, errors.New("prefix outside the grammar")))
			return
		}
		h, err := d.open("list")
		if err != nil {
			yield(providers.Object{}, err)
			return
		}
		w := walk{ctx: ctx, d: d, h: h, prefix: prefix, after: after, yield: yield}
		start := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i]
		}
		err = w.folder(start)
		if err == nil {
			// A folder that vanished in between looks like an empty one.
			err = w.storeThere()
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(providers.Object{}, err)
		}
	}
}

var errStop = errors.New("stop")

type walk struct {
	ctx           context.Context
	d             *Dir
	h             *folder
	prefix, after string
	yield         func(providers.Object, error) bool
}

// storeThere is nil while the store is where it was.
func (w *walk) storeThere() error {
	if err := w.d.absent("list", ""); !errors.Is(err, providers.ErrNotExist) {
		return err
	}
	return nil
}

// folder passes on the objects below one folder.
func (w *walk) folder(dir string) error {
	root, err := w.h.openFolder(dir)
	if err != nil {
		return w.skip(err)
	}
	defer root.Close()
	names, err := w.read(root)
	if err != nil {
		return w.skip(err)
	}
	leases, leaseErr := w.h.openFolder(path.Join(leaseFolder, dir))
	if leaseErr == nil {
		defer leases.Close()
	}
	for _, name := range names {
		if err := w.ctx.Err(); err != nil {
			return fail("list", "", providers.ErrBusy, err)
		}
		name, isDir := strings.CutSuffix(name, "/")
		key := path.Join(dir, name)
		switch {
		case isDir && under(key, w.prefix, w.after):
			err = w.folder(key)
		case !isDir && strings.HasPrefix(key, w.prefix) && key > w.after && providers.ValidKey(key):
			var until time.Time
			if leaseErr == nil {
				until, _, err = leaseOf(openReal(leases, name))
			} else {
				until, _, err = leaseOf(nil, nil, leaseErr)
			}
			if err == nil {
				err = w.object(root, key, until)
			} else {
				err = w.skip(err)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read returns the names in a folder, those of folders with a slash behind, in
// the byte order of the keys they stand for.
func (w *walk) read(root *os.Root) ([]string, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		switch {
		case !providers.ValidPrefix(e.Name()): // the driver's own, or a stranger's
		case e.IsDir():
			names = append(names, e.Name()+"/")
		case e.Type().IsRegular():
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// object passes on one object.
func (w *walk) object(root *os.Root, key string, lease time.Time) error {
	info, err := root.Lstat(path.Base(key))
	if err != nil {
		return w.skip(err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	obj := providers.Object{Key: key, Size: info.Size(), Modified: info.ModTime(), Lease: lease}
	if !w.yield(obj, nil) {
		return errStop
	}
	return nil
}

// skip is nil for what was removed meanwhile or is a link, else the error.
func (w *walk) skip(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.storeThere()
	case errors.Is(err, errLink):
		return nil
	}
	return fail("list", "", classify(err), err)
}
