package dir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"

	"offsite/providers"
)

// Put stores data as a file; see providers.Driver. The order makes every crash
// harmless:
//
//	folders, each synced into its parent
//	lease      a crash here leaves a lease without an object: nothing
//	temporary  written and synced; a crash here leaves a .tmp- file
//	link       the object appears, whole; two writers: one wins
//	sync       of the folder: the name is on the disk
func (d *Dir) Put(ctx context.Context, key string, data []byte, opt providers.PutOptions) (providers.Version, error) {
	h, err := d.begin(ctx, "put", key)
	if err != nil {
		return "", err
	}
	if len(data) > providers.MaxObject || opt.Replace != "" && len(data) > providers.MaxReplace {
		return "", fail("put", key, providers.ErrInvalid, errors.New("object over the limit"))
	}
	if opt.Replace == "" {
		if _, err := h.root.Lstat(key); err == nil {
			return "", d.exists(h, key)
		}
	}
	dir := path.Dir(key)
	if err := h.makeDirs(dir, true); err != nil {
		return "", d.writeFail("put", key, err)
	}
	if !opt.Lease.IsZero() {
		if err := d.extendLease(h, key, opt.Lease); err != nil {
			return "", d.writeFail("put", key, err)
		}
	}
	temp := d.tempName(dir)
	if err := writeFile(ctx, h.root, temp, data); err != nil {
		_ = h.root.Remove(temp)
		return "", d.writeFail("put", key, err)
	}
	if opt.Replace != "" {
		err = d.replace(h, key, temp, opt.Replace)
	} else {
		err = d.publish(h, key, temp)
	}
	// Without links the temporary has become the object; the error is expected.
	_ = h.root.Remove(temp)
	if err != nil {
		return "", err
	}
	// From here on the object can be seen. ErrUnreachable makes Store try again
	// and find it, and exists then syncs the folder before it answers.
	if err := h.syncDir(dir); err != nil {
		return "", fail("put", key, providers.ErrUnreachable, err)
	}
	return contentVersion(data), nil
}

// exists is the answer for a taken key. Whoever relies on the object there needs
// its name on the disk, so the folder is synced first.
func (d *Dir) exists(h *folder, key string) error {
	if info, err := h.root.Lstat(key); err == nil && info.IsDir() {
		return fail("put", key, providers.ErrInvalid, errors.New("key is a folder of other keys"))
	}
	if err := h.syncDir(path.Dir(key)); err != nil {
		return d.writeFail("put", key, err)
	}
	return fail("put", key, providers.ErrExist, nil)
}

// publish gives the temporary its name, which must be free. link(2) does it in
// one step. File systems without links (FAT, exFAT, some shares) get a rename
// under the lock, after looking: as safe as that lock, see CONTRACT.md.
func (d *Dir) publish(h *folder, key, temp string) error {
	err := d.link(h.root, temp, key)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		if h.sameFile(key, temp) { // a file server repeated a request it had done
			return nil
		}
		return d.exists(h, key)
	case !noLinks(err):
		return d.publishFail(key, err)
	}
	return d.locked(h, "put", key, true, func() error {
		if _, err := h.root.Lstat(key); err == nil {
			return d.exists(h, key)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return d.publishFail(key, err)
		}
		if err := h.root.Rename(temp, key); err != nil {
			return d.publishFail(key, err)
		}
		return nil
	})
}

// replace puts the temporary in place of the version old, under the lock.
func (d *Dir) replace(h *folder, key, temp string, old providers.Version) error {
	return d.locked(h, "put", key, true, func() error {
		f, size, err := d.openObject(h, "put", key)
		if errors.Is(err, providers.ErrNotExist) {
			return fail("put", key, providers.ErrConflict, nil)
		}
		if err != nil {
			return err
		}
		have, err := d.version("put", key, f, size)
		f.Close()
		if err != nil {
			return err
		}
		if have != old {
			return fail("put", key, providers.ErrConflict, nil)
		}
		if err := h.root.Rename(temp, key); err != nil {
			return d.publishFail(key, err)
		}
		return nil
	})
}

// publishFail is writeFail for the step after the temporary was written: Windows
// then says "access denied" when a virus scanner still holds a file.
func (d *Dir) publishFail(key string, err error) error {
	if heldByScanner(err) {
		return fail("put", key, providers.ErrBusy, err)
	}
	return d.writeFail("put", key, err)
}

// writeFail gives a failed write its kind. A folder that went missing in between
// is a missing store or, when the store is there, made again by the next try.
func (d *Dir) writeFail(op, key string, err error) error {
	if providers.KindOf(err) != nil && isOurs(err) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		h, openErr := d.open(op)
		if openErr != nil {
			return openErr
		}
		h.forgetDirs()
		if _, err := h.root.Lstat(markerName); err != nil {
			return fail(op, key, classifyRoot(err), err)
		}
		return fail(op, key, providers.ErrBusy, errors.New("folder vanished"))
	}
	return fail(op, key, classify(err), err)
}

func isOurs(err error) bool {
	var e *providers.Error
	return errors.As(err, &e)
}

// writeFile writes and syncs a new file.
func writeFile(ctx context.Context, root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	data, err = writeDirect(ctx, f, data)
	if err == nil {
		err = writeSlices(ctx, f, data)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// writeDirect writes whole blocks of a large object past the page cache, where
// that can be done, and returns what is left.
func writeDirect(ctx context.Context, f *os.File, data []byte) ([]byte, error) {
	if int64(len(data)) < directMin || !setDirect(f, true) {
		return data, nil
	}
	defer setDirect(f, false)
	for len(data) >= directBlock {
		if err := ctx.Err(); err != nil {
			return data, err
		}
		n, err := f.Write(data[:min(len(data), directSlice)&^(directBlock-1)])
		data = data[n:]
		if errors.Is(err, syscall.EINVAL) {
			return data, nil // the memory is not aligned as this disk wants it
		}
		if err != nil {
			return data, err
		}
	}
	return data, nil
}

func writeSlices(ctx context.Context, f *os.File, data []byte) error {
	for len(data) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(data), writeSlice)
		if _, err := f.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
