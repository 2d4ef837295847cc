package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"offsite/manifest"
	"offsite/manifest/restore"
	"offsite/uploader/verify/structure"
)

// compare reads the files back from the disk.
func (d *drill) compare(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("read restored files: %w", err)
	}
	defer root.Close()
	for e, err := range d.day.Entries(ctx) {
		var lost *restore.LostRows
		if errors.As(err, &lost) {
			continue // the restore has counted them
		}
		if err != nil {
			return err
		}
		if e.Type != manifest.File || d.chosen != nil && !d.chosen[e.Path] {
			continue
		}
		if err := d.compareFile(root, e); err != nil {
			return err
		}
	}
	if d.ans.Wrong > 0 {
		return fail(exitFailed, fmt.Errorf("%d files were read back with other bytes than were written", d.ans.Wrong), "test this computer's disk and memory")
	}
	return nil
}

// compareFile reads one file. One that did not come back was counted by the restore.
func (d *drill) compareFile(root *os.Root, e restore.Entry) error {
	f, err := root.Open(filepath.FromSlash(e.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read restored file: %w", err)
	}
	defer f.Close()
	sum, inside := sha256.New(), structure.New(e.Path, e.Size, drillInflate, nil)
	n, err := io.Copy(io.MultiWriter(sum, inside), f)
	if err != nil {
		return fmt.Errorf("read restored file: %w", err)
	}
	if n != e.Size || [sha256.Size]byte(sum.Sum(nil)) != e.SHA256 {
		d.ans.Wrong++
		d.app.say("other bytes: %s", printable(e.Path))
		return nil
	}
	d.ans.Files++
	d.ans.Bytes += n
	d.look(e.Path, inside.Result().State)
	return nil
}

// look counts what a file looks like inside.
func (d *drill) look(path string, state structure.State) {
	switch s := &d.ans.Structure; state {
	case structure.Sound:
		s.Sound++
	case structure.Short:
		s.Short++
		d.app.say("saved like this, but too short: %s", printable(path))
	case structure.Broken:
		s.Broken++
		d.app.say("saved like this, but broken inside: %s", printable(path))
	default:
		s.Unknown++
	}
}

// removeRestored removes a folder, also if what was restored into it may not be
// written to.
func removeRestored(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	// What cannot be changed shows at the second attempt.
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}
