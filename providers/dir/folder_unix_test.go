//go:build !windows

package dir_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"offsite/providers"
	"offsite/providers/dir"
)

func TestErrorsOfTheSystemGetTheirKind(t *testing.T) {
	for errno, kind := range map[syscall.Errno]error{
		syscall.ENOSPC: providers.ErrFull, syscall.EDQUOT: providers.ErrFull,
		syscall.EACCES: providers.ErrDenied, syscall.EROFS: providers.ErrDenied,
		syscall.EIO: providers.ErrUnreachable, syscall.ENODEV: providers.ErrUnreachable, syscall.ESTALE: providers.ErrUnreachable,
		syscall.EMFILE: providers.ErrBusy, syscall.EBUSY: providers.ErrBusy,
	} {
		d, _ := newDir(t)
		dir.Unlinkable(d, &os.LinkError{Op: "link", Old: "a", New: "b", Err: errno})
		_, err := d.Put(t.Context(), "r/a", []byte("x"), providers.PutOptions{})
		wantKind(t, errno.Error(), err, kind)
		_, err = d.Get(t.Context(), "r/a", "", 0, -1)
		wantKind(t, "get after "+errno.Error(), err, providers.ErrNotExist)
	}
}

// Another process that sweeps or replaces holds the lock.
func TestTheLockOfAnotherProcessIsBusy(t *testing.T) {
	d, path := newDir(t)
	put(t, d, "r/a", "x", time.Now())
	lock, err := os.OpenFile(filepath.Join(path, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	if err := d.Raise(t.Context(), "r/a", "", time.Now().Add(time.Hour)); err != nil {
		t.Errorf("raises do not keep each other out: %v", err)
	}
	wantKind(t, "remove", d.Remove(t.Context(), "r/a", ""), providers.ErrBusy)
	_, err = d.Put(t.Context(), "r/a", []byte("y"), providers.PutOptions{Replace: "v"})
	wantKind(t, "replace", err, providers.ErrBusy)
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "raise", d.Raise(t.Context(), "r/a", "", time.Now().Add(2*time.Hour)), providers.ErrBusy)
	dir.WithoutLinks(d)
	_, err = d.Put(t.Context(), "r/b", []byte("y"), providers.PutOptions{})
	wantKind(t, "create without links", err, providers.ErrBusy)
}
