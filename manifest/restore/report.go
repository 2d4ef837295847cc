package restore

import (
	"fmt"
	"log/slog"
	"sync"
)

// Options say what is restored, and where to.
type Options struct {
	// To is a folder that is absent or empty, or where a restore of this snapshot
	// was not finished.
	To string
	// Into allows a target that holds other things. Files and links of the same
	// paths are replaced, everything else is left alone.
	Into bool
	// Paths are files, or folders with all they hold. None: everything.
	Paths []string
	// Workers is how many packs are at work at once, each with 25 MiB. 0: two more
	// than processors. More hide the latency of a far store.
	Workers int
	// Verify reads the files that an earlier restore left and compares their bytes;
	// without it, equal size and time are enough.
	Verify bool
	// Sync waits until the disk has everything. Without it, a power cut soon after
	// the restore may cost files, though the restore said it was done.
	Sync bool
	// Progress is told how far the restore is.
	Progress Progress
	// Log gets what concerns stored objects, without any file name. Nil: none.
	Log *slog.Logger

	folds bool  // take the target for one that folds names, even if it does not
	disk  *pace // nil: defaultPace()
}

func (o Options) pace() pace {
	if o.disk != nil {
		return *o.disk
	}
	return defaultPace()
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
	if p.Done != nil && n > 0 {
		p.Done(n)
	}
}

// maxListed bounds the lists of a Report; the counts beside them are always right.
const maxListed = 10_000

// Report says what a restore did. It names files: it is for the local console.
type Report struct {
	Files, Folders, Links int64 // restored
	Bytes                 int64 // of the restored files

	Skipped      int64 // files and links that stood in the target already
	SkippedBytes int64

	Problems []Problem // the first 10,000
	Missing  int64     // all of them: the sum of the following
	Damaged  int64     // files whose stored bytes are damaged or missing
	Refused  int64     // entries that the target cannot hold, or must not
	NotFound int64     // paths asked for that the snapshot does not have
	LostRows int64     // parts of the file table; how many entries stood there is not known

	Objects []Damage // damaged objects that were met, whether or not they cost a file
	Rebuilt int      // packs asked for their directories because an index segment was lost
	Plain   int64    // files and folders whose owner, mode or attributes the target did not take
}

// Problem is an entry that was not restored. It names a file: it is for the local
// console, not for logs.
type Problem struct {
	Path  string // empty: rows of the file table
	Kind  ProblemKind
	Key   string // of the damaged pack, if one is known
	Chunk string // that could not be had, if it is just one
	Err   error
}

// ProblemKind says what is in the way.
type ProblemKind string

// The kinds of problems.
const (
	FileDamaged  ProblemKind = "damaged"
	EntryRefused ProblemKind = "refused"
	PathNotFound ProblemKind = "not found"
	RowsLost     ProblemKind = "rows lost"
)

// notes collects a report from several goroutines.
type notes struct {
	mu      sync.Mutex
	report  Report
	objects map[string]bool
}

func (n *notes) add(f func(r *Report)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.report)
}

func (n *notes) problem(p Problem) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := &n.report
	r.Missing++
	switch p.Kind {
	case FileDamaged:
		r.Damaged++
	case EntryRefused:
		r.Refused++
	case PathNotFound:
		r.NotFound++
	case RowsLost:
		r.LostRows++
	}
	if len(r.Problems) < maxListed {
		r.Problems = append(r.Problems, p)
	}
}

func (n *notes) refused(e *Entry, err error) {
	n.problem(Problem{Path: e.Path, Kind: EntryRefused, Err: fmt.Errorf("restore entry: %w", err)})
}

// object notes a damaged object, once, and reports whether it is news.
func (n *notes) object(d Damage) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.objects[d.Key] {
		return false
	}
	if n.objects == nil {
		n.objects = make(map[string]bool)
	}
	n.objects[d.Key] = true
	if len(n.report.Objects) < maxListed {
		n.report.Objects = append(n.report.Objects, d)
	}
	return true
}
