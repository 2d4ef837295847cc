package source_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offsite/uploader/source"
)

const secret = "Doe, Jane 1970-01-01.pdf"

func TestOpenReadsWhatWasListed(t *testing.T) {
	t.Parallel()
	set := scanRoot(t, tree(t, "dir/"+secret))
	e, _ := set.Find("dir/" + secret)
	f, err := set.Open(e)
	must(t, err)
	got, err := io.ReadAll(f)
	must(t, err)
	if string(got) != "dir/"+secret || f.Size() != int64(len(got)) {
		t.Errorf("read %q, size %d", got, f.Size())
	}
	must(t, f.Unchanged())
	must(t, f.Close())
}

func TestOpenRefusesWhatWasNotListed(t *testing.T) {
	t.Parallel()
	swapDir := func(t *testing.T, root string) {
		must(t, os.Rename(filepath.Join(root, "dir"), filepath.Join(root, "moved")))
		must(t, os.Symlink("moved", filepath.Join(root, "dir")))
	}
	file := func(root string) string { return filepath.Join(root, "dir", secret) }
	for _, c := range []struct {
		name string
		path string
		do   func(t *testing.T, root string)
		want error // nil: any
	}{
		{"a folder", "dir", nil, source.ErrNotRegular},
		{"a link", "link", nil, source.ErrNotRegular},
		{"not listed", "dir/new", func(t *testing.T, root string) { add(t, root, "dir/new") }, source.ErrNotListed},
		{"upwards", "../databackup/dir/" + secret, nil, source.ErrNotListed},
		{"gone", "dir/" + secret, func(t *testing.T, root string) { must(t, os.Remove(file(root))) }, os.ErrNotExist},
		{"grown", "dir/" + secret, func(t *testing.T, root string) {
			must(t, os.WriteFile(file(root), []byte("other content that is longer than before"), 0o644))
		}, source.ErrChanged},
		{"touched", "dir/" + secret, func(t *testing.T, root string) {
			must(t, os.Chtimes(file(root), time.Unix(5, 0), time.Unix(5, 0)))
		}, source.ErrChanged},
		{"the file is a link now, to itself", "dir/" + secret, func(t *testing.T, root string) {
			must(t, os.Rename(file(root), file(root)+"2"))
			must(t, os.Symlink(secret+"2", file(root)))
		}, nil},
		{"a folder on the way is a link now, to itself", "dir/" + secret, swapDir, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, "dir/"+secret, "link -> dir")
			set := scanRoot(t, root)
			if c.do != nil {
				c.do(t, root)
			}
			e, ok := set.Find(c.path)
			if !ok {
				e = source.Entry{Path: c.path, Type: source.TypeFile}
			}
			f, err := set.Open(e)
			if err == nil {
				_ = f.Close()
				t.Fatal("opened")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			var fe *source.FileError
			if !errors.As(err, &fe) || fe.Path != c.path {
				t.Errorf("the path for the console is missing: %#v", err)
			}
			if strings.Contains(err.Error(), "Doe") {
				t.Errorf("the text names the file: %v", err)
			}
		})
	}
}

func TestUnchangedNoticesAWriter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(path string) error
	}{
		{"append", func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more")
			return errors.Join(err, f.Close())
		}},
		{"truncate", func(path string) error { return os.Truncate(path, 1) }},
		{"same size, time set back", func(path string) error {
			st, err := os.Stat(path)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("#"), 0)
			return errors.Join(err, f.Close(), os.Chtimes(path, st.ModTime(), st.ModTime()))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, secret)
			set := scanRoot(t, root)
			f, err := set.Open(set.At(0))
			must(t, err)
			defer f.Close()
			// File systems stamp changes with the time of a clock tick of some
			// milliseconds: a change within the tick of the listing is not seen by
			// its time alone, so this writer acts until the tick is over.
			for deadline := time.Now().Add(2 * time.Second); ; {
				last := time.Now().After(deadline) // asked before it acts: a pause in between makes no last turn
				must(t, c.do(filepath.Join(root, secret)))
				if err = f.Unchanged(); err != nil || last {
					break
				}
			}
			if !errors.Is(err, source.ErrChanged) || strings.Contains(err.Error(), "Doe") {
				t.Errorf("got %v", err)
			}
		})
	}
}
