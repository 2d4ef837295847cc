package practice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Compare walks two folders and returns an error that names the first difference in
// the names, bytes and times of their files. Folders and links are passed over.
func Compare(want, got string) error {
	left, err := forFiles(want, func(rel string) error { return compareFiles(filepath.Join(want, rel), filepath.Join(got, rel)) })
	if err != nil {
		return fmt.Errorf("compare folders: %w", err)
	}
	right, err := forFiles(got, func(string) error { return nil })
	if err != nil {
		return fmt.Errorf("compare folders: %w", err)
	}
	if left != right {
		return fmt.Errorf("compare folders: %d files and %d files", left, right)
	}
	return nil
}

// forFiles calls each with the path of every regular file below root, and counts them.
func forFiles(root string, each func(rel string) error) (n int, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		n++
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return each(rel)
	})
	return n, err
}

func compareFiles(a, b string) error {
	f, err := os.Open(a)
	if err != nil {
		return err
	}
	defer f.Close()
	g, err := os.Open(b)
	if err != nil {
		return err
	}
	defer g.Close()
	infoA, errA := f.Stat()
	infoB, errB := g.Stat()
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if !infoA.ModTime().Equal(infoB.ModTime()) {
		return fmt.Errorf("%s and %s have different times", a, b)
	}
	if infoA.Size() != infoB.Size() {
		return fmt.Errorf("%s and %s differ in length", a, b)
	}
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for left := infoA.Size(); left > 0; {
		n := min(left, int64(len(x)))
		_, errX := io.ReadFull(f, x[:n])
		_, errY := io.ReadFull(g, y[:n])
		if err := errors.Join(errX, errY); err != nil {
			return err
		}
		if !bytes.Equal(x[:n], y[:n]) {
			return fmt.Errorf("%s and %s differ", a, b)
		}
		left -= n
	}
	return nil
}
