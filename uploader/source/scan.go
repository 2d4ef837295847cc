package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// MaxEntries bounds the memory of a scan: at about 300 bytes an entry this is
	// 3 GiB, twenty times the largest practice we have heard of.
	MaxEntries = 10_000_000
	// MaxDepth is how deep folders may nest; what lies deeper is a finding. Every
	// level costs a call for each folder below it, so there must be an end; the
	// classic limit of Windows paths leaves room for 130 levels.
	MaxDepth = 1000
	// MaxRoots and MaxPatterns bound what is done for each entry.
	MaxRoots    = 64
	MaxPatterns = 256
	// maxWorkers is how many folders are listed at a time. Listing a share waits
	// for the network, so it is more than a small PC has cores.
	maxWorkers = 8
)

// Root is one folder of a source.
type Root struct {
	// Name is the first path segment of its entries when a source has several
	// roots. Empty: the folder's own name.
	Name string
	Path string
	// skip leaves out what belongs to other sets, by its path below the root.
	skip func(path string) bool
}

// Options say what a source is.
type Options struct {
	Roots []Root
	// Exclude leaves out what any of the patterns matches, and everything below.
	Exclude []Pattern
	// Live are the folders with the running program's own data.
	Live []string
	// FollowRoot allows a root to be a link itself. It is resolved once and
	// reported in RootInfo. Links below a root are never followed.
	FollowRoot bool
	// Pause waits a moment. With it a file that another program keeps for itself is
	// tried again for some seconds: a virus scanner holds what was just written.
	// nil: no file is tried again.
	Pause func(time.Duration)
	// Workers is how many folders are listed at a time; 0: as many as is good.
	Workers int
}

// Scan lists every entry below the roots. It returns an error when a root cannot
// be used or the context ended; what cannot be listed below a root is in the Set.
func Scan(ctx context.Context, opt Options) (Set, error) {
	set, err := scan(ctx, opt)
	if err != nil {
		return Set{}, fmt.Errorf("scan source: %w", err)
	}
	return set, nil
}

func scan(ctx context.Context, opt Options) (Set, error) {
	opt.Roots, opt.Exclude, opt.Live = slices.Clone(opt.Roots), slices.Clone(opt.Exclude), slices.Clone(opt.Live)
	if len(opt.Exclude) > MaxPatterns {
		return Set{}, fmt.Errorf("more than %d exclude patterns", MaxPatterns)
	}
	infos, unchecked, err := resolve(opt)
	if err != nil {
		return Set{}, err
	}
	w := &walker{exclude: opt.Exclude}
	w.wake.L = &w.mu
	d := &data{roots: infos, opt: opt, live: unchecked, timed: true}
	top := &folder{}
	folders := make([]*folder, 0, len(infos))
	for i, info := range infos {
		root, err := openRoot(info.Resolved)
		if err != nil {
			return Set{}, &RootError{info.Path, unreadable(err)}
		}
		defer root.close()
		f := &folder{}
		folders = append(folders, f)
		if len(infos) == 1 {
			top = f
		} else {
			f.prefix = info.Name + "/"
			top.folders = append(top.folders, f)
			top.entries = append(top.entries, root.self(info.Name))
		}
		f.changed = lastChange(root.self(""))
		w.push(job{root: root, folder: f, skip: opt.Roots[i].skip})
		d.volumes = append(d.volumes, root.volume())
	}
	workers := opt.Workers
	if workers <= 0 {
		workers = min(maxWorkers, 2*runtime.GOMAXPROCS(0))
	}
	if err := w.run(ctx, workers); err != nil {
		return Set{}, err
	}
	top.sort()
	for i, f := range folders {
		if f.err != nil {
			return Set{}, &RootError{infos[i].Path, unreadable(f.err)}
		}
		if f.empty {
			return Set{}, &RootError{infos[i].Path, ErrRootEmpty}
		}
	}
	d.assemble(top, w.count)
	return Set{d}, nil
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrRootMissing
	}
	return fmt.Errorf("%w: %w", ErrRootUnreadable, bare(err))
}

// folder is a listed folder on its way into a Set. One worker fills it and puts
// its sub-folders into the queue; nobody reads it before all workers are done.
type folder struct {
	prefix  string // of the paths of its entries, with the slash at the end
	entries []Entry
	folders []*folder
	err     error
	changed int64
	hidden  int  // excluded entries
	others  int  // entries that belong to other sets
	empty   bool // not even an excluded one
}

func (f *folder) sort() {
	slices.SortFunc(f.entries, func(a, b Entry) int {
		return strings.Compare(a.Path[len(f.prefix):], b.Path[len(f.prefix):])
	})
	slices.SortFunc(f.folders, func(a, b *folder) int {
		return strings.Compare(a.prefix[len(f.prefix):], b.prefix[len(f.prefix):])
	})
}

// assemble joins the folders to one list. Everything below a folder "a" starts
// with "a/", so in byte order it is one block, which may stand apart from "a"
// itself ("a", "a-b", "a/x"): merging the blocks gives the order without sorting
// long paths.
func (d *data) assemble(top *folder, count int) {
	d.entries = make([]Entry, 0, count)
	type fault struct {
		path string
		err  error
	}
	var faults []fault
	var emit func(f *folder)
	emit = func(f *folder) {
		if f.err != nil {
			faults = append(faults, fault{strings.TrimSuffix(f.prefix, "/"), f.err})
		}
		d.totals.Excluded += f.hidden
		if f.hidden+f.others == 0 {
			d.newest = max(d.newest, f.changed)
		}
		rest := f.entries
		f.entries = nil
		for _, sub := range f.folders {
			i := 0
			for i < len(rest) && rest[i].Path < sub.prefix {
				i++
			}
			d.entries = append(d.entries, rest[:i]...)
			rest = rest[i:]
			emit(sub)
		}
		d.entries = append(d.entries, rest...)
	}
	emit(top)
	for _, f := range faults {
		if i, ok := search(d.entries, f.path); ok && d.entries[i].Err == nil {
			d.entries[i].Err = f.err
		}
	}
	for i := range d.entries {
		d.count(&d.entries[i])
	}
}

func (d *data) count(e *Entry) {
	t := &d.totals
	if e.Err != nil {
		t.Unreadable++
	}
	switch e.Type {
	case TypeDir:
		t.Dirs++
		return // its time counts in assemble, where its exclusions are known
	case TypeFile:
		t.Files++
		t.Bytes += e.Size
		d.timed = d.timed && e.ChangeTime != 0
		d.written = max(d.written, e.ModTime)
	case TypeSymlink:
		t.Symlinks++
	default:
		t.Others++
	}
	d.newest = max(d.newest, lastChange(*e))
}

func lastChange(e Entry) int64 { return max(e.ModTime, e.ChangeTime) }

// walker lists folders with several workers.
type walker struct {
	exclude []Pattern // read only

	mu      sync.Mutex
	wake    sync.Cond
	jobs    []job // last in, first out, which keeps the queue short
	pending int   // jobs queued or being worked on
	count   int   // entries so far
	err     error // the first reason to stop
}

type job struct {
	root   *rootFolder
	folder *folder
	path   string // relative to the root; empty: the root
	depth  int
	skip   func(path string) bool // nil: everything is part of the set
}

func (w *walker) push(jobs ...job) {
	w.jobs = append(w.jobs, jobs...)
	w.pending += len(jobs)
}

func (w *walker) run(ctx context.Context, workers int) error {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { w.work(ctx) })
	}
	wg.Wait()
	if w.err == nil {
		w.err = context.Cause(ctx)
	}
	return w.err
}

func (w *walker) work(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.jobs) == 0 && w.pending > 0 && w.err == nil {
			w.wake.Wait()
		}
		if w.pending == 0 || w.err != nil {
			return
		}
		last := len(w.jobs) - 1
		j := w.jobs[last]
		w.jobs = w.jobs[:last]
		w.mu.Unlock()
		jobs, err := w.list(ctx, j)
		w.mu.Lock()
		w.count += len(j.folder.entries)
		if w.count > MaxEntries && err == nil {
			err = ErrTooLarge
		}
		if w.err == nil {
			w.err = err
		}
		w.push(jobs...)
		w.pending--
		if len(jobs) > 0 || w.pending == 0 || w.err != nil {
			w.wake.Broadcast()
		}
	}
}

// list reads one folder and returns its sub-folders. Its error ends the scan;
// what is wrong with the folder alone goes into the folder.
func (w *walker) list(ctx context.Context, j job) ([]job, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	f := j.folder
	if j.depth > MaxDepth {
		f.err = fmt.Errorf("folders nest deeper than %d", MaxDepth)
		return nil, nil
	}
	var jobs []job
	seen := 0
	below := ""
	if j.path != "" {
		below = j.path + "/"
	}
	f.err = bare(j.root.list(j.path, func(name string, e Entry) bool {
		if seen++; seen%4096 == 0 && ctx.Err() != nil || seen > MaxEntries {
			return false
		}
		e.Path = f.prefix + name
		// The path below the root is the end of the path in the set.
		rel := e.Path[len(f.prefix)-len(below):]
		if j.skip != nil && j.skip(rel) {
			f.others++
			return true
		}
		if w.excluded(rel, e.Type == TypeDir) {
			f.hidden++
			return true
		}
		f.entries = append(f.entries, e)
		if e.Type == TypeDir && e.Err == nil {
			sub := &folder{prefix: e.Path + "/", changed: lastChange(e)}
			jobs = append(jobs, job{j.root, sub, rel, j.depth + 1, j.skip})
			f.folders = append(f.folders, sub)
		}
		return true
	}))
	f.empty = seen == f.others
	if seen > MaxEntries {
		return nil, ErrTooLarge
	}
	f.sort()
	return jobs, context.Cause(ctx)
}

func (w *walker) excluded(path string, dir bool) bool {
	for i := range w.exclude {
		if w.exclude[i].Match(path, dir) {
			return true
		}
	}
	return false
}
