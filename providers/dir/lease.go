package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"offsite/providers"
)

// A lease file holds lines of one time each, in UTC and RFC 3339 to the second.
// The lease is the latest of them. Raising it appends a line, so it cannot move
// earlier, and two processes that raise at once both count.
//
// What counts is that no crash makes a lease shorter than a caller was told:
//   - no file: the object is leased for ever as far as Remove is concerned. So a
//     new lease file needs no sync of its own; losing it is safe.
//   - a file with anything but whole lines is unreadable: leased for ever, too.
//     A later Raise writes it anew.
//   - a line added to an existing file is synced before Raise returns: an older,
//     readable file is the one thing a crash must not bring back.
const (
	leaseLayout = "2006-01-02T15:04:05Z"
	leaseLine   = len(leaseLayout) + 1

	// maxLeaseFile is when a lease file is written anew with its latest line: a
	// year of weekly raises. Files are read up to twice that.
	maxLeaseFile = 52 * leaseLine
)

type leaseState int

const (
	leaseAbsent leaseState = iota
	leaseReadable
	leaseUnreadable
)

// errRewrite says that the lease file must be written anew, under the lock.
var errRewrite = errors.New("lease file needs rewriting")

// readLease returns the latest readable time of a lease file and its state.
func (h *folder) readLease(key string) (time.Time, leaseState, error) {
	if err := h.realDirs(path.Dir(leasePath(key))); err != nil {
		return leaseOf(nil, nil, err)
	}
	return leaseOf(openReal(h.root, leasePath(key)))
}

// leaseOf reads a lease file that was opened, or not, and closes it.
func leaseOf(f *os.File, info fs.FileInfo, err error) (time.Time, leaseState, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return time.Time{}, leaseAbsent, nil
	case errors.Is(err, errLink):
		return time.Time{}, leaseUnreadable, nil
	case err != nil:
		return time.Time{}, leaseUnreadable, err
	}
	defer f.Close()
	if info.IsDir() {
		return time.Time{}, leaseUnreadable, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, 2*int64(maxLeaseFile)+1))
	if err != nil {
		return time.Time{}, leaseUnreadable, err
	}
	until, ok := parseLease(data)
	if !ok {
		return until, leaseUnreadable, nil
	}
	return until, leaseReadable, nil
}

// parseLease returns the latest time among the whole lines; ok is false unless
// all of data is whole lines.
func parseLease(data []byte) (until time.Time, ok bool) {
	ok = len(data) > 0 && len(data) <= 2*maxLeaseFile
	for len(data) >= leaseLine {
		line := string(data[:leaseLine])
		data = data[leaseLine:]
		t, err := time.Parse(leaseLayout+"\n", line)
		if err != nil || t.Format(leaseLayout+"\n") != line {
			return until, false
		}
		if t.After(until) {
			until = t
		}
	}
	return until, ok && len(data) == 0
}

// formatLease rounds up to the second: never earlier than asked.
func formatLease(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond() != 0 {
		t = t.Truncate(time.Second).Add(time.Second)
	}
	return t.Format(leaseLayout + "\n")
}

// extendLease makes the lease of key at least until.
func (d *Dir) extendLease(h *folder, key string, until time.Time) error {
	if len(formatLease(until)) != leaseLine {
		return fail("raise", key, providers.ErrInvalid, errors.New("lease beyond the year 9999"))
	}
	err := d.locked(h, "raise", key, false, func() error { return h.addLease(key, until) })
	if !errors.Is(err, errRewrite) {
		return err
	}
	return d.locked(h, "raise", key, true, func() error { return d.rewriteLease(h, key, until) })
}

// addLease writes the first line, or appends one.
func (h *folder) addLease(key string, until time.Time) error {
	name := leasePath(key)
	have, state, err := h.readLease(key)
	if err != nil {
		return err
	}
	if state == leaseAbsent {
		if err := h.makeDirs(path.Dir(name), false); err != nil {
			return err
		}
		f, err := h.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if err == nil {
			_, err = f.WriteString(formatLease(until))
			return errors.Join(err, f.Close())
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if have, state, err = h.readLease(key); err != nil {
			return err
		}
	}
	if state != leaseReadable {
		return errRewrite
	}
	if !until.After(have) {
		return nil
	}
	f, err := h.root.OpenFile(name, os.O_WRONLY|os.O_APPEND, fileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() >= int64(maxLeaseFile) {
		return errRewrite
	}
	if _, err := f.WriteString(formatLease(until)); err != nil {
		return err
	}
	return f.Sync()
}

// rewriteLease writes the lease file anew with its latest line.
func (d *Dir) rewriteLease(h *folder, key string, until time.Time) error {
	have, state, err := h.readLease(key)
	if err != nil {
		return err
	}
	if have.After(until) {
		until = have
	}
	if state == leaseAbsent {
		return h.addLease(key, until)
	}
	name := leasePath(key)
	temp := d.tempName(path.Dir(name))
	if err := writeFile(context.Background(), h.root, temp, []byte(formatLease(until))); err != nil {
		_ = h.root.Remove(temp)
		return err
	}
	if err := h.root.Rename(temp, name); err != nil {
		_ = h.root.Remove(temp)
		return err
	}
	return h.syncDir(path.Dir(name))
}

// Raise moves a lease later; see providers.Leaser.
func (d *Dir) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	h, err := d.begin(ctx, "raise", key)
	if err != nil {
		return err
	}
	f, size, err := d.openObject(h, "raise", key)
	if err != nil {
		return err
	}
	err = d.checkVersion("raise", key, f, size, v)
	f.Close()
	if err != nil {
		return err
	}
	if err := d.extendLease(h, key, until); err != nil {
		return d.writeFail("raise", key, err)
	}
	// Remove may have come first, between looking and locking.
	if _, err := h.root.Lstat(key); errors.Is(err, fs.ErrNotExist) {
		return d.absent("raise", key)
	}
	return nil
}

// Remove removes an object whose lease is over by the clock of the folder; see
// providers.Sweeper. Without a readable lease it is held.
func (d *Dir) Remove(ctx context.Context, key string, v providers.Version) error {
	h, err := d.begin(ctx, "remove", key)
	if err != nil {
		return err
	}
	now, err := d.Time(ctx)
	if err != nil {
		return err
	}
	return d.locked(h, "remove", key, true, func() error {
		f, size, err := d.openObject(h, "remove", key)
		if err != nil {
			return err
		}
		err = d.checkVersion("remove", key, f, size, v)
		f.Close()
		if err != nil {
			return err
		}
		until, state, err := h.readLease(key)
		if err != nil {
			return fail("remove", key, classify(err), err)
		}
		if state != leaseReadable || !until.Before(now) {
			return fail("remove", key, providers.ErrHeld, nil)
		}
		if err := h.root.Remove(key); err != nil {
			return d.publishFail(key, err)
		}
		// The object goes to the disk first: without its lease it could never go.
		if err := h.syncDir(path.Dir(key)); err != nil {
			return fail("remove", key, providers.ErrUnreachable, err)
		}
		_ = h.root.Remove(leasePath(key))
		return nil
	})
}

// RemoveLeftovers removes the temporary files that crashes left, if they were
// last written before the given time, and returns their number. No object is
// touched. Only the verb sweep calls it.
func (d *Dir) RemoveLeftovers(ctx context.Context, before time.Time) (int, error) {
	h, err := d.open("sweep")
	if err != nil {
		return 0, err
	}
	n := 0
	err = fs.WalkDir(h.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), tempPrefix) {
			return nil
		}
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(before) {
			return nil
		}
		if h.root.Remove(name) == nil {
			n++
		}
		return nil
	})
	if err != nil {
		return n, fail("sweep", "", classify(err), fmt.Errorf("walk folder: %w", err))
	}
	return n, nil
}

// locked runs f while the folder is locked against other goroutines and, where
// the file system has locks, other processes. It does not wait for those: they
// make it ErrBusy, and Store tries again.
func (d *Dir) locked(h *folder, op, key string, exclusive bool, f func() error) error {
	if exclusive {
		d.gate.Lock()
		defer d.gate.Unlock()
	} else {
		d.gate.RLock()
		defer d.gate.RUnlock()
	}
	lock, err := h.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return d.writeFail(op, key, err)
	}
	defer lock.Close() // releases it
	ok, err := tryLock(lock, exclusive)
	if err != nil {
		return fail(op, key, classify(err), err)
	}
	if !ok {
		return fail(op, key, providers.ErrBusy, errors.New("another process has locked the folder"))
	}
	return f()
}
