package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/providers"
)

// Options say what is restored, and where to.
type Options struct {
	To       string   // an empty folder, or one that does not exist yet
	Paths    []string // files, or folders with all they hold; none: everything
	Workers  int      // packs at work at once; 0: four
	Progress Progress
}

// Progress is told how far a restore or check is. Its functions may be nil and are
// called from several goroutines.
type Progress struct {
	Total func(bytes int64) // that will be done, as far as known; may be called again
	Done  func(bytes int64) // that many more were done
}

func (p Progress) total(n int64) {
	if p.Total != nil {
		p.Total(n)
	}
}

func (p Progress) done(n int64) {
	if p.Done != nil {
		p.Done(n)
	}
}

// Problem is an entry that was not restored. It names a file: it is for the local
// console, not for logs.
type Problem struct {
	Path string
	Err  error
}

// Report says what a restore did.
type Report struct {
	Files, Folders, Links int64
	Bytes                 int64 // of the files
	Problems              []Problem
	Missing               int64 // entries with problems; Problems lists the first of them
	Rebuilt               int   // packs read because an index segment was lost
}

const (
	defaultWorkers = 4
	// maxJobs chunks make one window: 16 GiB of a database, some 50 MiB of memory.
	maxJobs     = 1 << 20
	maxProblems = 10_000
	// partSuffix marks a file of several chunks until its bytes are proved.
	partSuffix = ".offsite-part"
)

// restorer is one restore under way.
type restorer struct {
	s       *Snapshot
	opt     Options
	root    *os.Root
	table   *chunks
	jobs    []job
	planned int64
	folders []Entry
	links   []Entry
	naming  sync.Mutex // held while a file gets its name, so that none replaces another

	mu      sync.Mutex // guards report and damaged
	report  Report
	damaged bool // a problem came from the store
	bytes   atomic.Int64
	files   atomic.Int64
}

// file is one file that is being put together.
type file struct {
	Entry
	left   atomic.Int64 // chunks that are not written yet, and one while it is planned
	single bool         // one chunk: proved and written at once
	failed atomic.Bool
}

// job is one chunk of one file.
type job struct {
	file           *file
	at             int64  // where it stands in the file
	pack           int32  // number in the index
	frame          uint32 // where the frame starts in the pack
	offset, length uint32 // of the chunk in the frame
}

// Restore writes the snapshot's files below opt.To. It returns ErrIncomplete when
// some could not be restored; any other error means that it stopped early.
func (s *Snapshot) Restore(ctx context.Context, opt Options) (Report, error) {
	if opt.Workers <= 0 {
		opt.Workers = defaultWorkers
	}
	opt.Paths = slices.Clone(opt.Paths)
	for i, p := range opt.Paths {
		opt.Paths[i] = strings.TrimPrefix(path.Clean(filepath.ToSlash(p)), "/")
		if opt.Paths[i] == "." || opt.Paths[i] == "" {
			opt.Paths = nil // the whole snapshot
			break
		}
	}
	root, err := openTarget(opt.To)
	if err != nil {
		return Report{}, fmt.Errorf("restore: %w", err)
	}
	defer root.Close()
	r := &restorer{s: s, opt: opt, root: root, table: s.newChunks()}
	r.report.Rebuilt = s.rebuilt
	err = r.run(ctx)
	r.report.Bytes, r.report.Files = r.bytes.Load(), r.files.Load()
	if err != nil {
		return r.report, fmt.Errorf("restore: %w", err)
	}
	if r.report.Missing > 0 {
		err := fmt.Errorf("restore: %w: %d entries are missing", ErrIncomplete, r.report.Missing)
		if r.damaged {
			err = fmt.Errorf("%w: %w", err, providers.ErrCorrupt)
		}
		return r.report, err
	}
	return r.report, nil
}

func openTarget(to string) (*os.Root, error) {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return nil, err
	}
	d, err := os.Open(to)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(1)
	d.Close()
	if len(names) > 0 {
		return nil, ErrTargetNotEmpty
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return os.OpenRoot(to)
}

// run plans the entries in the order of paths, and works off a window of jobs
// whenever one is full.
func (r *restorer) run(ctx context.Context) error {
	if len(r.opt.Paths) == 0 {
		r.opt.Progress.total(r.s.ref.Record.Counts.Bytes)
	}
	found := make([]bool, len(r.opt.Paths))
	for e, err := range r.s.Entries(ctx) {
		if err != nil {
			if !isDamage(err) {
				return err
			}
			// What was planned so far can still be had.
			r.problem("", err)
			break
		}
		if !wanted(r.opt.Paths, found, e.Path) {
			continue
		}
		if err := r.plan(ctx, e); err != nil {
			return err
		}
	}
	if err := r.work(ctx); err != nil {
		return err
	}
	for i, ok := range found {
		if !ok {
			r.problem(r.opt.Paths[i], fmt.Errorf("find path: %w", fs.ErrNotExist))
		}
	}
	r.finish()
	return nil
}

// plan makes a folder, or the jobs of a file.
func (r *restorer) plan(ctx context.Context, e Entry) error {
	if err := checkName(runtime.GOOS, e.Path); err != nil {
		r.problem(e.Path, fmt.Errorf("restore entry: %w", err))
		return nil
	}
	if len(r.opt.Paths) > 0 {
		if err := r.root.MkdirAll(filepath.FromSlash(path.Dir(e.Path)), 0o700); err != nil {
			return r.local(e.Path, err)
		}
	}
	switch e.Type {
	case manifest.Folder:
		if err := r.root.Mkdir(filepath.FromSlash(e.Path), 0o700); err != nil {
			if info, statErr := r.root.Lstat(filepath.FromSlash(e.Path)); statErr != nil || !info.IsDir() || len(r.opt.Paths) == 0 {
				return r.local(e.Path, err)
			}
		}
		r.folders = append(r.folders, e)
		r.count(&r.report.Folders)
	case manifest.Link:
		r.links = append(r.links, e)
	case manifest.File:
		return r.planFile(ctx, e)
	}
	return nil
}

func (r *restorer) planFile(ctx context.Context, e Entry) error {
	f := &file{Entry: e, single: len(e.Chunks) == 1 && !e.Lists}
	if len(r.opt.Paths) > 0 {
		r.planned += e.Size
		r.opt.Progress.total(r.planned)
	}
	if !f.single {
		part, err := r.root.OpenFile(filepath.FromSlash(e.Path)+partSuffix, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return r.local(e.Path, err)
		}
		if err := part.Close(); err != nil {
			return r.local(e.Path, err)
		}
	}
	f.left.Store(1)
	at := int64(0)
	for id, err := range r.s.chunkIDs(ctx, r.table, &f.Entry) {
		var l pack.Location
		if err == nil {
			l, err = r.s.locate(id)
		}
		if err == nil && int64(l.Length) > e.Size-at {
			err = fmt.Errorf("%w: its chunks are longer than the file", providers.ErrCorrupt)
		}
		if err != nil {
			if !isDamage(err) {
				return err
			}
			r.fail(f, err)
			break
		}
		f.left.Add(1)
		r.jobs = append(r.jobs, job{f, at, int32(l.PackNo), l.Frame, l.Offset, l.Length})
		at += int64(l.Length)
		if len(r.jobs) >= maxJobs {
			if err := r.work(ctx); err != nil {
				return err
			}
		}
	}
	if at != e.Size && !f.failed.Load() {
		r.fail(f, fmt.Errorf("%w: its chunks are shorter than the file", providers.ErrCorrupt))
	}
	return r.written(f, 1)
}

// finish makes the links, when nothing can be written through them any more, and
// sets the modes and times of folders, the innermost first.
func (r *restorer) finish() {
	for _, e := range r.links {
		name := filepath.FromSlash(e.Path)
		if err := r.root.Symlink(e.Target, name); err != nil {
			r.problem(e.Path, err)
			continue
		}
		r.count(&r.report.Links)
	}
	for _, e := range slices.Backward(r.folders) {
		name := filepath.FromSlash(e.Path)
		mtime := time.Unix(0, e.Mtime)
		err := r.root.Chtimes(name, mtime, mtime)
		if err == nil {
			err = r.root.Chmod(name, fs.FileMode(e.Mode)&fs.ModePerm)
		}
		if err != nil {
			r.problem(e.Path, err)
		}
	}
}

// local notes that an entry could not be written. A full disk ends the restore.
func (r *restorer) local(path string, err error) error {
	if diskFull(err) {
		return ErrDiskFull
	}
	r.problem(path, err)
	return nil
}

func (r *restorer) problem(path string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Missing++
	r.damaged = r.damaged || errors.Is(err, providers.ErrCorrupt) || errors.Is(err, providers.ErrNotExist)
	if len(r.report.Problems) < maxProblems {
		r.report.Problems = append(r.report.Problems, Problem{path, err})
	}
}

func (r *restorer) count(n *int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}
