package restore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"offsite/manifest"
)

// A window of files is planned, then its packs are worked off one after the other,
// each fetched once however its chunks are spread over the files. These bound what
// a window takes: together some 25 MiB.
const (
	windowJobs  = 256 << 10 // chunks: 256 GiB of images, 4 GiB of a database
	windowFiles = 24 << 10
	windowPaths = 6 << 20 // bytes of paths
)

// restorer is one restore under way. Only the goroutine that called Restore plans;
// workers use what is marked.
type restorer struct {
	s      *Snapshot
	opt    Options
	t      *target // workers, too; nil in a dry run
	dry    *dryRun // compares files instead of writing them
	rules  nameRules
	chosen *chosen
	chunks *chunks
	notes  notes // workers, too

	tree    tree
	seed    maphash.Seed
	refused map[uint64]struct{} // folders and links that were refused, by the hash of their path
	seen    map[uint64]struct{} // where names fold: every name so far, folded
	lost    bool                // rows were lost

	jobs   []job
	packs  []int32         // by the job's pack: its number in the index
	packNo map[int32]int32 // the other way round
	files  int
	paths  int
	total  int64

	saved *salvaged // the last pack that something was saved of

	handles handles // workers, too
	behind  *behind // workers, too; nil in a dry run
	token   string
	serial  atomic.Uint64 // workers, too

	mu     sync.Mutex // guards what follows
	failed []failure
	stale  []*Entry // standing files that Verify found to be different
}

// Restore writes the snapshot's files below opt.To. Everything that can be restored
// is, whatever happens to the rest. ErrDamaged and ErrIncomplete say that the
// report has more to tell; any other error means that the restore stopped early, and
// that the same call goes on from there.
func (s *Snapshot) Restore(ctx context.Context, opt Options) (Report, error) {
	opt.Workers = workers(opt.Workers)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	t, err := openTarget(opt.To, s.ref.Digest, opt.Into)
	if err != nil {
		return Report{}, fmt.Errorf("restore: %w", err)
	}
	defer t.close()
	var token [4]byte
	rand.Read(token[:])
	r := &restorer{s: s, opt: opt, t: t, rules: rulesOf(runtime.GOOS), chosen: newChosen(opt.Paths), chunks: s.newChunks(),
		seed: maphash.MakeSeed(), refused: make(map[uint64]struct{}), packNo: make(map[int32]int32), token: hex.EncodeToString(token[:])}
	if t.folds = t.folds || opt.folds; t.folds {
		r.seen = make(map[uint64]struct{})
	}
	defer r.dropAll()
	r.behind = newBehind(opt.pace())
	defer r.behind.end()
	r.notes.report.Rebuilt = s.again
	err = r.run(ctx)
	for _, d := range s.Damage() {
		r.notes.object(d)
	}
	return r.notes.report, r.verdict(err)
}

// run does one thing after the other: files, links, folders' modes and times.
func (r *restorer) run(ctx context.Context) error {
	if !r.t.fresh {
		if err := r.t.sweep(""); err != nil {
			return err
		}
	}
	if len(r.chosen.paths) == 0 {
		r.opt.Progress.total(r.s.ref.Record.Counts.Bytes)
	}
	if err := r.restoreFiles(ctx); err != nil {
		return err
	}
	if err := r.behind.end(); err != nil {
		return err
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	for i, found := range r.chosen.found {
		if !found {
			r.notes.problem(Problem{Path: r.chosen.paths[i], Kind: PathNotFound, Err: fmt.Errorf("find path: %w", fs.ErrNotExist)})
		}
	}
	if r.opt.Sync {
		if err := syncAll(r.t.root); err != nil {
			return fmt.Errorf("wait for the disk: %w", err)
		}
	}
	// With damage the marker stays, so that what is missing can be fetched when the
	// store has been mended.
	if r.notes.report.Damaged == 0 && !r.lost {
		return r.t.unmark()
	}
	return nil
}

// verdict turns what the report says into the error.
func (r *restorer) verdict(err error) error {
	rep := &r.notes.report
	switch {
	case err != nil:
		return fmt.Errorf("restore: %w", err)
	case rep.Damaged > 0 || rep.LostRows > 0:
		return fmt.Errorf("restore: %w: %w: %d files and %d parts of the file table", ErrIncomplete, ErrDamaged, rep.Damaged, rep.LostRows)
	case rep.Missing > 0:
		return fmt.Errorf("restore: %w: %d entries: %w", ErrIncomplete, rep.Missing, errors.Unwrap(rep.Problems[0].Err))
	}
	return nil
}

func (r *restorer) restoreFiles(ctx context.Context) error {
	none := func(node) {}
	for row, err := range r.s.rows(ctx, r.chunks, 0) {
		if err != nil {
			var lost *LostRows
			if !errors.As(err, &lost) {
				return err
			}
			r.lost = true
			r.notes.problem(Problem{Kind: RowsLost, Err: lost})
			r.opt.Log.Error("rows of the file table are lost", "part", lost.Chunk+1, "of", lost.Of, "err", lost.Err)
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		wanted, onTheWay := r.chosen.wants(row.Path)
		if !wanted && (!onTheWay || row.Type != manifest.Folder) {
			continue
		}
		r.tree.enter(row.Path, none)
		if err := r.plan(ctx, row); err != nil {
			return err
		}
		if err := r.workIfFull(ctx); err != nil {
			return err
		}
	}
	r.tree.end(none)
	return r.work(ctx)
}

// workIfFull works off a window that is full.
func (r *restorer) workIfFull(ctx context.Context) error {
	if len(r.jobs) < windowJobs && r.files < windowFiles && r.paths < windowPaths {
		return nil
	}
	return r.work(ctx)
}

// plan makes a folder, notes the jobs of a file, or looks at a link.
func (r *restorer) plan(ctx context.Context, row *Entry) error {
	err := r.admit(row)
	if err == nil {
		switch row.Type {
		case manifest.Folder:
			// In a fresh target it is made when it is needed, by a worker, or in the end.
			if !r.t.fresh {
				err = r.t.makeFolder(row.Path)
			}
		case manifest.File:
			err = r.planFile(ctx, row)
		}
	}
	var stop stopError
	if errors.As(err, &stop) || fatal(err) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		r.refuse(row, err)
	}
	r.tree.add(row, err == nil && row.Type == manifest.Folder)
	return nil
}

// stopError is an error that ends the restore, rather than the row it came up with.
type stopError struct{ error }

func (s stopError) Unwrap() error { return s.error }

// admit says whether a row may be restored by its name and by what it stands in.
func (r *restorer) admit(row *Entry) error {
	if err := r.rules.check(row.Path); err != nil {
		return err
	}
	if err := r.tree.above(row.Path); err != nil {
		return err
	}
	if r.seen != nil {
		h := maphash.String(r.seed, fold(row.Path))
		if _, taken := r.seen[h]; taken {
			return errClash
		}
		r.seen[h] = struct{}{}
	}
	return nil
}

var (
	errClash  = errors.New("another entry has this name here: the target makes no difference between capital and small letters, or between spellings")
	errFolder = errors.New("a folder stands there already")
)

func (r *restorer) refuse(row *Entry, err error) {
	r.notes.refused(row, err)
	if row.Type != manifest.File {
		r.refused[maphash.String(r.seed, row.Path)] = struct{}{}
	}
}

// planFile notes the jobs of a file, unless it stands in the target already.
func (r *restorer) planFile(ctx context.Context, row *Entry) error {
	if len(r.chosen.paths) > 0 {
		r.total += row.Size
		r.opt.Progress.total(r.total)
	}
	if !r.t.fresh {
		stands, err := r.stands(row)
		if err != nil {
			return err
		}
		if stands && r.opt.Verify {
			r.jobs = append(r.jobs, job{file: &file{row: row}, pack: standing})
			r.files++
			return nil
		}
		if stands {
			r.skip(row)
			return nil
		}
	}
	return r.planChunks(ctx, row)
}

func (r *restorer) skip(row *Entry) {
	r.notes.add(func(rep *Report) {
		rep.Skipped++
		rep.SkippedBytes += row.Size
	})
	r.opt.Progress.done(row.Size)
}

// stands reports whether a file with the row's size and time is there.
func (r *restorer) stands(row *Entry) (bool, error) {
	above, base, err := r.t.parent(row.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.t.release(above)
	info, err := above.Lstat(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case info.IsDir():
		return false, errFolder
	}
	return info.Mode().IsRegular() && info.Size() == row.Size && sameTime(info.ModTime(), row.Mtime), nil
}

// sameTime reports whether a file's time is what is left of mtime on its file
// system: all of it, its 100 ns steps, or its whole seconds, even ones on FAT.
func sameTime(have time.Time, mtime int64) bool {
	lost := mtime - have.UnixNano()
	return lost >= 0 && (lost < 100 || have.Nanosecond() == 0 && lost < 2e9)
}

func (r *restorer) planChunks(ctx context.Context, row *Entry) error {
	f := &file{row: row, single: len(row.Chunks) == 0 || len(row.Chunks) == 1 && !row.Lists, left: 1}
	r.files++
	r.paths += len(row.Path)
	at, n := int64(0), uint32(0)
	for id, err := range r.s.chunkIDs(ctx, r.chunks, row) {
		j := job{file: f, at: at, n: n}
		if err == nil {
			err = r.place(ctx, &j, id, 0)
		}
		if err == nil && int64(j.length) > row.Size-at {
			err = fmt.Errorf("%w: its chunks are longer than the file", ErrDamaged)
		}
		if err != nil {
			if !isDamage(err) {
				return stopError{err}
			}
			f.fail("", id.String(), err)
			break
		}
		f.expect()
		r.jobs = append(r.jobs, j)
		at += int64(j.length)
		n++
		if len(r.jobs) >= windowJobs {
			if err := r.work(ctx); err != nil {
				return stopError{err}
			}
		}
	}
	if row.Size == 0 && row.SHA256 != sha256.Sum256(nil) {
		f.fail("", "", errNotTheFile)
	}
	if at != row.Size {
		f.fail("", "", fmt.Errorf("%w: its chunks are shorter than the file", ErrDamaged))
	}
	return r.delivered(f)
}

// finish makes the links, when nothing can be written through them any more, and
// gives folders their modes and times, each after all that is in it.
func (r *restorer) finish(ctx context.Context) error {
	leave := func(n node) {
		if n.folder {
			r.dressFolder(n.row)
		}
	}
	for row, err := range r.s.rows(ctx, r.chunks, 0) {
		if err != nil {
			if !isDamage(err) {
				return err
			}
			continue // said already
		}
		wanted, onTheWay := r.chosen.wants(row.Path)
		if row.Type == manifest.File || !wanted && (!onTheWay || row.Type != manifest.Folder) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		r.tree.enter(row.Path, leave)
		_, no := r.refused[maphash.String(r.seed, row.Path)]
		if !no && row.Type == manifest.Link {
			if err := r.makeLink(row); fatal(err) {
				return err
			} else if err != nil {
				r.notes.refused(row, err)
			}
		}
		r.tree.add(row, !no && row.Type == manifest.Folder)
	}
	r.tree.end(leave)
	return nil
}

func (r *restorer) dressFolder(row *Entry) {
	f, err := r.t.folder(row.Path, true)
	if err != nil {
		r.notes.refused(row, err)
		return
	}
	defer r.t.release(f)
	r.notes.add(func(rep *Report) { rep.Folders++ })
	plain, err := dressFolder(f.Root, row)
	if plain || err != nil {
		r.notes.add(func(rep *Report) { rep.Plain++ })
	}
}

func (r *restorer) makeLink(row *Entry) error {
	above, err := r.t.folder(parentPath(row.Path), true)
	if err != nil {
		return err
	}
	defer r.t.release(above)
	base := path.Base(row.Path)
	err = above.Symlink(row.Target, base)
	if errors.Is(err, fs.ErrExist) {
		info, statErr := above.Lstat(base)
		switch {
		case statErr != nil:
			return statErr
		case r.t.fresh:
			return errClash
		case info.IsDir():
			return errFolder
		}
		if have, err := above.Readlink(base); err == nil && have == row.Target {
			r.notes.add(func(rep *Report) { rep.Skipped++ })
			return nil
		}
		if err := above.Remove(base); err != nil {
			return err
		}
		err = above.Symlink(row.Target, base)
	}
	if errors.Is(err, os.ErrPermission) && runtime.GOOS == "windows" {
		return fmt.Errorf("making links needs developer mode or an administrator: %w", err)
	}
	if err != nil {
		return err
	}
	dressLink(above.Root, base, row)
	r.notes.add(func(rep *Report) { rep.Links++ })
	return nil
}
