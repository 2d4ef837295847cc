package restore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/providers"
)

// A pack is read in parts when the wanted frames are few and small: then two
// requests for its ends and one for each frame move less than the pack does.
const (
	partFrames = 6
	partShare  = 8 // of the pack's size
)

// work does all jobs, a pack at a time and the frames of a pack in order.
func (r *restorer) work(ctx context.Context) error {
	jobs := r.jobs
	r.jobs = r.jobs[:0]
	slices.SortFunc(jobs, func(a, b job) int {
		return cmp.Or(cmp.Compare(a.pack, b.pack), cmp.Compare(a.frame, b.frame), cmp.Compare(a.offset, b.offset))
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan []job)
	var wg sync.WaitGroup
	for range r.opt.Workers {
		wg.Go(func() {
			w := &worker{r: r}
			for jobs := range queue {
				if err := w.pack(ctx, jobs); err != nil {
					cancel(err)
				}
			}
		})
	}
	for len(jobs) > 0 && ctx.Err() == nil {
		n := 1
		for n < len(jobs) && jobs[n].pack == jobs[0].pack {
			n++
		}
		queue <- jobs[:n]
		jobs = jobs[n:]
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// worker restores one pack after the other. It belongs to one goroutine.
type worker struct {
	r     *restorer
	plain []byte // room for an opened pack
	frame []byte // room for a frame
	file  *file  // the file that out writes to
	out   *os.File
	count int64 // chunks of file that are written, but not noted yet
}

// pack writes every wanted chunk of one pack. Damage fails the files that need it;
// an error is returned for what would fail every other pack too.
func (w *worker) pack(ctx context.Context, jobs []job) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	name := w.r.s.index.Packs()[jobs[0].pack].Name
	pr, err := w.open(ctx, w.r.s.source.pins[name], jobs)
	if err != nil {
		if !isDamage(err) {
			return err
		}
		return w.failAll(jobs, err)
	}
	for len(jobs) > 0 && err == nil {
		n := 1
		for n < len(jobs) && jobs[n].frame == jobs[0].frame {
			n++
		}
		if err = ctx.Err(); err == nil {
			err = w.frames(pr, name, jobs[:n])
		}
		jobs = jobs[n:]
	}
	if closeErr := w.close(); err == nil {
		err = closeErr
	}
	return err
}

// open opens the pack whole, or only the parts that are wanted.
func (w *worker) open(ctx context.Context, pin manifest.Pin, jobs []job) (*pack.Reader, error) {
	frames, chunks := 1, int64(0)
	for i, j := range jobs {
		if i > 0 && j.frame != jobs[i-1].frame {
			frames++
		}
		chunks += int64(j.length)
	}
	if frames <= partFrames && chunks < pin.Size/partShare {
		pr, err := w.r.s.source.part(ctx, pin)
		if err == nil || !isDamage(err) {
			return pr, err
		}
		// The version may be another one by now; whole looks for that too.
	}
	pr, plain, err := w.r.s.source.whole(ctx, pin, w.plain)
	w.plain = plain
	return pr, err
}

// frames writes the chunks of one frame.
func (w *worker) frames(pr *pack.Reader, name pack.Name, jobs []job) error {
	i, ok := frameAt(pr, jobs[0].frame)
	if !ok {
		return w.failAll(jobs, fmt.Errorf("%w: the index names a frame that pack %s does not have", providers.ErrCorrupt, name))
	}
	data, err := pr.Frame(w.frame[:0], i)
	if err != nil {
		if err = damage(err); isDamage(err) {
			return w.failAll(jobs, fmt.Errorf("read pack %s: %w", name, err))
		}
		return err
	}
	w.frame = data
	for _, j := range jobs {
		b, err := cut(data, j.offset, j.length)
		if err == nil {
			err = w.write(j, b)
		} else {
			err = w.failAll([]job{j}, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write writes one chunk and notes it.
func (w *worker) write(j job, b []byte) error {
	f := j.file
	switch {
	case f.failed.Load():
		return w.r.written(f, 1)
	case f.single && sha256.Sum256(b) != f.SHA256:
		w.r.fail(f, errNotTheFile)
		return w.r.written(f, 1)
	case f.single:
		return w.r.writeSingle(f, b)
	}
	if w.file != f {
		if err := w.close(); err != nil {
			return err
		}
		out, err := w.r.root.OpenFile(filepath.FromSlash(f.Path)+partSuffix, os.O_WRONLY, 0)
		if err != nil {
			return errors.Join(w.r.failLocal(f, err), w.r.written(f, 1))
		}
		w.file, w.out = f, out
	}
	w.count++
	if _, err := w.out.WriteAt(b, j.at); err != nil {
		return w.r.failLocal(f, err)
	}
	w.r.opt.Progress.done(int64(len(b)))
	return nil
}

// close lets go of the file that is being written and notes its chunks only then,
// so that a file is closed when its last chunk is noted: Windows gives no open
// file another name.
func (w *worker) close() error {
	if w.out == nil {
		return nil
	}
	f, out, n := w.file, w.out, w.count
	w.file, w.out, w.count = nil, nil, 0
	if err := out.Close(); err != nil {
		if err := w.r.failLocal(f, err); err != nil {
			return err
		}
	}
	return w.r.written(f, n)
}

func (w *worker) failAll(jobs []job, err error) error {
	for _, j := range jobs {
		w.r.fail(j.file, err)
		if err := w.r.written(j.file, 1); err != nil {
			return err
		}
	}
	return nil
}

var errNotTheFile = fmt.Errorf("%w: its bytes are not those that were stored", providers.ErrCorrupt)

// fail notes the first thing that went wrong with a file.
func (r *restorer) fail(f *file, err error) {
	if !f.failed.Swap(true) {
		r.problem(f.Path, fmt.Errorf("restore file: %w", err))
	}
}

func (r *restorer) failLocal(f *file, err error) error {
	if diskFull(err) {
		return ErrDiskFull // without the name of the file
	}
	r.fail(f, err)
	return nil
}

// written notes n chunks less to go, and completes the file after the last.
func (r *restorer) written(f *file, n int64) error {
	if f.left.Add(-n) > 0 || f.single {
		return nil
	}
	part := filepath.FromSlash(f.Path) + partSuffix
	if f.failed.Load() {
		return nil // what there is of it stays under the name of a part
	}
	if err := r.prove(f, part); err != nil {
		return r.failLocal(f, err)
	}
	if err := r.name(f, part); err != nil {
		return r.failLocal(f, err)
	}
	r.files.Add(1)
	r.bytes.Add(f.Size)
	return nil
}

// prove reads a file back and compares it with what was stored.
func (r *restorer) prove(f *file, part string) error {
	in, err := r.root.Open(part)
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), f.SHA256[:]) {
		return errNotTheFile
	}
	return nil
}

// name gives a proved file its times, mode and name.
func (r *restorer) name(f *file, part string) error {
	if err := r.dress(f, part); err != nil {
		return err
	}
	name := filepath.FromSlash(f.Path)
	r.naming.Lock()
	defer r.naming.Unlock()
	if _, err := r.root.Lstat(name); err == nil {
		return ErrExists
	}
	return r.root.Rename(part, name)
}

// writeSingle writes a file whose only chunk is in memory and proved.
func (r *restorer) writeSingle(f *file, b []byte) error {
	name := filepath.FromSlash(f.Path)
	r.naming.Lock()
	out, err := r.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	r.naming.Unlock()
	if errors.Is(err, fs.ErrExist) {
		err = ErrExists
	}
	if err != nil {
		return r.failLocal(f, err)
	}
	_, err = out.Write(b)
	if err = errors.Join(err, out.Close()); err == nil {
		err = r.dress(f, name)
	}
	if err != nil {
		// Only what is whole bears the file's name.
		return r.failLocal(f, errors.Join(err, r.root.Remove(name)))
	}
	r.files.Add(1)
	r.bytes.Add(f.Size)
	r.opt.Progress.done(int64(len(b)))
	return nil
}

// dress sets times and permission bits. Setuid and setgid bits are left out: a
// restored file must not give rights that nobody asked for.
func (r *restorer) dress(f *file, name string) error {
	mtime := time.Unix(0, f.Mtime)
	if err := r.root.Chtimes(name, mtime, mtime); err != nil {
		return err
	}
	return r.root.Chmod(name, fs.FileMode(f.Mode)&fs.ModePerm)
}

// diskFull reports whether writing anything more is of no use.
func diskFull(err error) bool {
	const errorDiskFull = syscall.Errno(112) // of Windows
	return errors.Is(err, syscall.ENOSPC) || runtime.GOOS == "windows" && errors.Is(err, errorDiskFull)
}
