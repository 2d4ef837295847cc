//go:build !windows

package seal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offsite/manifest/seal"
)

func TestKeyFileIsPrivateAndNeverReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "upload.key")
	must(t, seal.WriteKeyFile(path, []byte("text")))
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := seal.WriteKeyFile(path, []byte("other")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("written twice: %v", err)
	}
	if text, err := seal.ReadKeyFile(path); err != nil || string(text) != "text" {
		t.Errorf("read %q, %v", text, err)
	}
	if err := seal.WriteKeyFile(filepath.Join(t.TempDir(), "none", "a"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("written into a missing folder: %v", err)
	}
}

func TestKeyFileThatOthersCanReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "upload.key")
	must(t, seal.WriteKeyFile(path, []byte("text")))
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o620: false, 0o644: false, 0o777: false} {
		must(t, os.Chmod(path, mode))
		_, err := seal.ReadKeyFile(path)
		if ok && err != nil || !ok && !errors.Is(err, seal.ErrKeyFileOpen) {
			t.Errorf("mode %v: %v", mode, err)
		}
		if !ok && !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: no remedy in %q", mode, err)
		}
	}
}

func TestKeyFileMustBeASmallRegularFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := seal.ReadKeyFile(dir); !errors.Is(err, seal.ErrKeyText) {
		t.Errorf("folder: %v", err)
	}
	path := filepath.Join(dir, "big")
	must(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
	if _, err := seal.ReadKeyFile(path); !errors.Is(err, seal.ErrKeyText) {
		t.Errorf("big file: %v", err)
	}
	if _, err := seal.ReadKeyFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}
