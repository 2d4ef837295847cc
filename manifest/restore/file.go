package restore

import (
	"bytes"
	"container/heap"
	"container/list"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
)

// file is one file that is being put together under a temporary name. Its chunks
// arrive in any order and are written at their places. They are hashed in order:
// those that arrive in order from memory, the others when their turn comes, by
// reading them back.
type file struct {
	row    *Entry
	single bool // one chunk: proved and written at once

	mu      sync.Mutex // guards what follows
	left    int        // chunks still to be delivered, and one while the file is planned
	hash    hash.Hash
	hashed  int64
	flushed int64    // taken to the disk, or on its way; only who hashes changes it
	parts   int      // that are on their way to the disk
	closing *os.File // to be closed when they are there
	lost    error    // why the disk did not take one of them
	named   bool
	ahead   spans // written, but not hashed yet
	hashing bool  // a worker is at it
	holes   bool
	done    bool             // it has its name already
	kept    map[int64][]byte // of a dry run: chunks whose turn has not come
	loose   bool             // of a dry run: it cannot be hashed as a whole
	cause   *Problem         // damage that makes it impossible
	local   error            // trouble of the target that does

	opening sync.Mutex // held while it is made or opened again
	folder  *folder    // where it stands; held until it is done with
	temp    string     // its present name; empty: it is not there yet

	// The following are guarded by handles.mu.
	out   *os.File
	users int
	elem  *list.Element
}

type span struct{ at, n int64 }

// spans is a heap, the first one on top.
type spans []span

func (s spans) Len() int           { return len(s) }
func (s spans) Less(i, j int) bool { return s[i].at < s[j].at }
func (s spans) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *spans) Push(x any)        { *s = append(*s, x.(span)) }
func (s *spans) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// run takes the spans that follow each other from an offset on.
func (s *spans) run(from int64) (n int64) {
	for len(*s) > 0 && (*s)[0].at == from+n {
		n += heap.Pop(s).(span).n
	}
	return n
}

func (f *file) expect() {
	f.mu.Lock()
	f.left++
	f.mu.Unlock()
}

func (f *file) fail(key, chunk string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failLocked(key, chunk, err)
}

func (f *file) failLocked(key, chunk string, err error) {
	if f.cause == nil && f.local == nil {
		f.cause = &Problem{Path: f.row.Path, Kind: FileDamaged, Key: key, Chunk: chunk, Err: fmt.Errorf("restore file: %w", damaged(err))}
	}
}

func (f *file) failLocal(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cause == nil && f.local == nil {
		f.local = err
	}
}

func (f *file) hopeless() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause != nil || f.local != nil
}

// handles keeps the unfinished files that workers come back to, some of them open.
// There may be more than a process may have open.
type handles struct {
	mu         sync.Mutex
	unfinished map[*file]struct{}
	idle       list.List // of *file that are open and unused, the last used one first
}

// keptHandles is how many unfinished files stay open while nobody writes to them.
const keptHandles = 48

// acquire opens an unfinished file, and makes it at first. It must be released.
func (r *restorer) acquire(f *file) (*os.File, error) {
	f.opening.Lock()
	defer f.opening.Unlock()
	if out := r.handles.take(f); out != nil {
		return out, nil
	}
	flags, name := os.O_RDWR, f.temp
	if f.folder == nil {
		above, err := r.t.folder(parentPath(f.row.Path), true)
		if err != nil {
			return nil, err
		}
		f.folder = above
	}
	if name == "" {
		flags, name = os.O_RDWR|os.O_CREATE|os.O_EXCL, r.tempName()
	}
	out, err := f.folder.OpenFile(name, flags, fileMode)
	if err != nil {
		return nil, err
	}
	f.temp = name
	r.handles.keep(f, out)
	return out, nil
}

func (r *restorer) tempName() string {
	return partialPrefix + r.token + "-" + strconv.FormatUint(r.serial.Add(1), 10)
}

// take returns the file's handle, if it is open.
func (h *handles) take(f *file) *os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.out == nil {
		return nil
	}
	if f.elem != nil {
		h.idle.Remove(f.elem)
		f.elem = nil
	}
	f.users++
	return f.out
}

func (h *handles) keep(f *file, out *os.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.out, f.users = out, 1
	if h.unfinished == nil {
		h.unfinished = make(map[*file]struct{})
	}
	h.unfinished[f] = struct{}{}
}

// release gives a handle back. Of those that nobody uses the last used stay open.
func (h *handles) release(f *file) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.users--; f.users > 0 || f.out == nil {
		return
	}
	f.elem = h.idle.PushFront(f)
	for h.idle.Len() > keptHandles {
		old := h.idle.Remove(h.idle.Back()).(*file)
		old.elem = nil
		out := old.out
		old.out = nil
		if err := out.Close(); err != nil {
			old.failLocal(err)
		}
	}
}

// detach forgets a file and leaves its handle, if it is open, to the caller.
func (h *handles) detach(f *file) *os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.unfinished, f)
	if f.elem != nil {
		h.idle.Remove(f.elem)
		f.elem = nil
	}
	out := f.out
	f.out = nil
	return out
}

// dropAll removes what a restore that stopped early left unfinished.
func (r *restorer) dropAll() {
	for f := range r.handles.unfinished {
		r.drop(f)
	}
}

// drop closes and removes an unfinished file for good.
func (r *restorer) drop(f *file) {
	if out := r.handles.detach(f); out != nil {
		out.Close()
	}
	if f.temp != "" {
		_ = f.folder.Remove(f.temp)
	}
	if f.folder != nil {
		r.t.release(f.folder)
		f.folder = nil
	}
}

// put writes a chunk at its place and hashes what can be hashed. The error is one
// of the target.
func (w *worker) put(f *file, at int64, b []byte) error {
	out, err := w.r.acquire(f)
	if err != nil {
		return err
	}
	defer w.r.handles.release(f)
	holes, err := writeSparse(out, b, at)
	if err != nil {
		return err
	}
	s := span{at, int64(len(b))}
	if !f.claim(s, holes) {
		return nil
	}
	f.hash.Write(b)
	if err := w.r.flushHashed(f, s.at+s.n); err != nil {
		return err
	}
	for {
		if s = f.advance(s.n); s.n == 0 {
			return nil
		}
		for from, end := s.at, s.at+s.n; from < end; {
			to := min(from+w.r.behind.pace.piece, end)
			if err := w.readBack(f.hash, out, span{from, to - from}); err != nil {
				return err
			}
			if err := w.r.flushHashed(f, to); err != nil {
				return err
			}
			from = to
		}
	}
}

// claim notes a written span and reports whether the caller is the one to hash it
// now. If so, it goes on with advance until that says there is no more.
func (f *file) claim(s span, holes bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holes = f.holes || holes
	if f.hashing || s.at != f.hashed {
		heap.Push(&f.ahead, s)
		return false
	}
	if f.hash == nil {
		f.hash = sha256.New()
	}
	f.hashing = true
	return true
}

// advance notes that n more bytes are hashed and returns what can be hashed next.
func (f *file) advance(n int64) span {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hashed += n
	next := span{f.hashed, f.ahead.run(f.hashed)}
	f.hashing = next.n > 0
	return next
}

// readBackPiece is read at once when written bytes are hashed.
const readBackPiece = 512 << 10

func (w *worker) readBack(h hash.Hash, out *os.File, s span) error {
	if w.back == nil {
		w.back = make([]byte, readBackPiece)
	}
	for s.n > 0 {
		piece := w.back[:min(s.n, readBackPiece)]
		m, err := out.ReadAt(piece, s.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(piece[m:]) // a hole at the end is not there yet
		h.Write(piece)
		s.at, s.n = s.at+int64(len(piece)), s.n-int64(len(piece))
	}
	return nil
}

// putSingle writes a file of one chunk, or of none, that is proved already.
func (r *restorer) putSingle(f *file, b []byte) error {
	above, err := r.t.folder(parentPath(f.row.Path), true)
	if err != nil {
		return err
	}
	defer r.t.release(above)
	temp := r.tempName()
	out, err := above.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	holes, err := writeSparse(out, b, 0)
	if err == nil {
		err = r.dress(out, f.row, holes)
	}
	if err = r.publish(f, out, err, above, temp); err != nil {
		_ = above.Remove(temp)
		return err
	}
	f.mu.Lock()
	f.done = true
	f.mu.Unlock()
	r.restored(f.row)
	return nil
}

func (r *restorer) restored(row *Entry) {
	r.notes.add(func(rep *Report) {
		rep.Files++
		rep.Bytes += row.Size
	})
}

var errNotTheFile = fmt.Errorf("%w: its bytes are not those that were stored", ErrDamaged)

// delivered notes one chunk less to come, and completes the file after the last.
// The error ends the restore.
func (r *restorer) delivered(f *file) error {
	cause, local, complete := f.deliver()
	if !complete {
		return nil
	}
	if r.dry != nil {
		if cause != nil {
			r.dry.fail(cause)
		} else {
			r.dry.done(f)
		}
		return nil
	}
	if cause == nil && local == nil {
		if f.single {
			local = r.putSingle(f, nil)
		} else {
			local = r.complete(f)
		}
		if local == nil {
			return nil
		}
	}
	r.drop(f)
	if cause != nil {
		r.notes.problem(*cause)
		r.opt.Log.Error("a file cannot be restored", "pack", cause.Key, "chunk", cause.Chunk, "err", cause.Err)
		return nil
	}
	if ends(local) {
		return local
	}
	r.notes.refused(f.row, local)
	return nil
}

// ends says whether trouble of the target ends the restore.
func ends(err error) bool { return fatal(err) || errors.Is(err, errDisk) }

// deliver reports whether that was the last chunk of a file that still needs its
// name, and what stands in its way.
func (f *file) deliver() (cause *Problem, local error, complete bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left--; f.left > 0 || f.done {
		return nil, nil, false
	}
	if f.cause == nil && f.local == nil && !f.single && !f.loose &&
		(f.hashed != f.row.Size || !bytes.Equal(f.hash.Sum(nil), f.row.SHA256[:])) {
		f.failLocked("", "", errNotTheFile)
	}
	return f.cause, f.local, true
}

// complete gives a proved file what belongs to it, and its name last of all.
func (r *restorer) complete(f *file) error {
	out, err := r.acquire(f)
	if err != nil {
		return err
	}
	err = r.dress(out, f.row, f.holes)
	if err = r.publish(f, r.handles.detach(f), err, f.folder, f.temp); err != nil {
		return err
	}
	r.t.release(f.folder)
	f.folder = nil
	r.restored(f.row)
	return nil
}

// dress gives a file whose bytes are all there its length, owner and mode.
func (r *restorer) dress(out *os.File, row *Entry, holes bool) error {
	if holes {
		if err := out.Truncate(row.Size); err != nil {
			return err
		}
	}
	plain, err := dressFile(out, row)
	if err != nil {
		return err
	}
	if plain {
		r.notes.add(func(rep *Report) { rep.Plain++ })
	}
	if r.opt.Sync {
		return syncFile(out)
	}
	return nil
}

// giveName sets a file's time and renames it. In a fresh target nothing can have
// the name, unless the system takes two names for one. In another, what has it is
// replaced.
func (r *restorer) giveName(in *folder, temp string, row *Entry) error {
	if err := setTime(in.Root, temp, row); err != nil {
		return err
	}
	name := path.Base(row.Path)
	if r.t.fresh && (r.t.folds || r.rules != unixNames) {
		r.t.naming.Lock()
		defer r.t.naming.Unlock()
		if _, err := in.Lstat(name); err == nil {
			return errClash
		}
	}
	err := in.Rename(temp, name)
	if err != nil && !r.t.fresh && errors.Is(err, fs.ErrPermission) {
		if in.Chmod(name, fileMode) == nil { // read-only files of Windows
			err = in.Rename(temp, name)
		}
	}
	return err
}

// parentPath returns the folder that a path stands in; empty: the target itself.
func parentPath(p string) string {
	if dir := path.Dir(p); dir != "." {
		return dir
	}
	return ""
}
