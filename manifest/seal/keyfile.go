package seal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// WriteKeyFile writes a key file that only its owner can read (mode 0600; on
// Windows the owner, administrators and the system), and makes it durable. It
// refuses to replace a file: a key that is overwritten is lost.
func WriteKeyFile(path string, text []byte) error {
	f, err := createPrivate(path)
	if err != nil {
		return fmt.Errorf("create key file: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write key file: %w", err), os.Remove(path))
	}
	return nil
}

// ReadKeyFile reads a key file. On Unix it refuses one that its group or others
// can read (ErrKeyFileOpen); on Windows the folder's permissions decide.
func ReadKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read key file %s: not a regular file: %w", path, ErrKeyText)
	}
	if err := checkPrivate(path, info); err != nil {
		return nil, fmt.Errorf("read key file %s: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyText+1))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("read key file %s: longer than %d bytes: %w", path, maxKeyText, ErrKeyText)
	}
	return text, nil
}
