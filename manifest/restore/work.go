package restore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"offsite/manifest"
	"offsite/manifest/pack"
)

// job is one chunk of one file.
type job struct {
	file           *file
	at             int64  // where it stands in the file
	pack           int32  // number in restorer.packs, or standing
	frame          uint32 // where the frame starts in the pack
	stored         uint32 // the frame's stored length
	offset, length uint32 // of the chunk in the frame
	n              uint32 // which chunk of the file
	place          uint32 // which of the chunk's places
}

// standing is the pack of a job that proves a file which is there already.
const standing = -1

// failure is a job whose place turned out to be damaged.
type failure struct {
	job  // its pack is the number in the index
	err  error
	shut bool // the pack could not be opened at all
}

// place fills in where a chunk is read: at its place number nth, counted from 0.
func (r *restorer) place(ctx context.Context, j *job, id pack.ChunkID, nth uint32) error {
	var l pack.Location
	var err error
	if nth == 0 {
		if l, err = r.s.locate(id); err != nil {
			return err
		}
	} else {
		found := false
		k := uint32(0)
		first, err := r.s.locate(id)
		if err != nil {
			return err
		}
		for other := range r.s.places(id) {
			if other.PackNo == first.PackNo && other.Frame == first.Frame && other.Offset == first.Offset {
				continue
			}
			if k++; k == nth {
				l, found = other, true
				break
			}
		}
		if !found || l.Length != j.length {
			return fmt.Errorf("%w: chunk %s stands nowhere else", ErrDamaged, id)
		}
	}
	no, ok := r.packNo[int32(l.PackNo)]
	if !ok {
		// Packs are worked off in the order in which paths need them, so that a file
		// of several packs mostly arrives in order.
		no = int32(len(r.packs))
		r.packs = append(r.packs, int32(l.PackNo))
		r.packNo[int32(l.PackNo)] = no
	}
	j.pack, j.frame, j.stored, j.offset, j.length, j.place = no, l.Frame, l.Stored, l.Offset, l.Length, nth
	return nil
}

// work does the planned jobs, pack by pack and each pack's frames in order, and then
// again, from other places, those that failed.
func (r *restorer) work(ctx context.Context) error {
	for len(r.jobs) > 0 {
		if err := r.workOnce(ctx); err != nil {
			return err
		}
		failed, stale := r.failed, r.stale
		r.failed, r.stale, r.jobs = nil, nil, r.jobs[:0]
		r.packs, r.files, r.paths = r.packs[:0], 0, 0
		clear(r.packNo)
		for _, f := range failed {
			if err := r.again(ctx, f); err != nil {
				return err
			}
		}
		for _, row := range stale {
			if err := r.planChunks(ctx, row); err != nil {
				return err
			}
		}
	}
	r.files, r.paths = 0, 0
	return nil
}

// again plans a failed job from another place. Without one, what can be saved of the
// pack is tried, and then the file is lost.
func (r *restorer) again(ctx context.Context, f failure) error {
	id, err := r.s.chunkNumber(ctx, r.chunks, f.file.row, int(f.n))
	if err == nil {
		j := f.job
		if err = r.place(ctx, &j, id, f.place+1); err == nil {
			r.jobs = append(r.jobs, j)
			return nil
		}
		if isDamage(err) {
			saved, saveErr := r.rescue(ctx, f, id)
			if saved || saveErr != nil {
				return saveErr
			}
		}
	}
	if !isDamage(err) {
		return err
	}
	key := manifest.PackKey(r.s.index.Packs()[f.pack].Name)
	f.file.fail(key, id.String(), f.err)
	return r.delivered(f.file)
}

func (r *restorer) workOnce(ctx context.Context) error {
	jobs := r.jobs
	slices.SortFunc(jobs, func(a, b job) int {
		return cmp.Or(cmp.Compare(a.pack, b.pack), cmp.Compare(a.frame, b.frame),
			cmp.Compare(a.offset, b.offset), cmp.Compare(a.file.row.Path, b.file.row.Path), cmp.Compare(a.at, b.at))
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan []job)
	var wg sync.WaitGroup
	for range r.opt.Workers {
		wg.Go(func() {
			w := &worker{r: r}
			for jobs := range queue {
				if ctx.Err() != nil {
					continue
				}
				if err := w.do(ctx, jobs); err != nil {
					cancel(err)
				}
			}
		})
	}
	for len(jobs) > 0 && ctx.Err() == nil {
		n := 1
		for n < len(jobs) && jobs[n].pack == jobs[0].pack && jobs[0].pack != standing {
			n++
		}
		queue <- jobs[:n]
		jobs = jobs[n:]
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

// waitingWorkers is how many more packs than there are processors are at work: while
// some are computed, others are on their way.
const waitingWorkers = 2

func workers(wanted int) int {
	if wanted > 0 {
		return wanted
	}
	return runtime.GOMAXPROCS(0) + waitingWorkers
}

// worker restores one pack after the other. It belongs to one goroutine.
type worker struct {
	r    *restorer
	room rooms
	back []byte // for reading back
}

// rooms is memory that is used again for one pack after the other.
type rooms struct {
	pack  []byte
	frame []byte
}

func (w *worker) do(ctx context.Context, jobs []job) error {
	if jobs[0].pack == standing {
		return w.proveStanding(jobs[0].file)
	}
	return w.pack(ctx, jobs)
}

// proveStanding compares the bytes of a file that is there already. One that is
// different, or that cannot be read, is restored.
func (w *worker) proveStanding(f *file) error {
	sum, err := w.sumStanding(f.row.Path)
	if err == nil && sum == f.row.SHA256 {
		w.r.skip(f.row)
		return nil
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.stale = append(w.r.stale, f.row)
	return nil
}

func (w *worker) sumStanding(p string) (sum [sha256.Size]byte, err error) {
	above, base, err := w.r.t.parent(p)
	if err != nil {
		return sum, err
	}
	defer w.r.t.release(above)
	in, err := above.Open(base)
	if err != nil {
		return sum, err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return sum, errors.Join(errNotTheFile, err)
	}
	if w.back == nil {
		w.back = make([]byte, readBackPiece)
	}
	h := sha256.New()
	for {
		n, err := in.Read(w.back)
		h.Write(w.back[:n])
		if errors.Is(err, io.EOF) {
			return [sha256.Size]byte(h.Sum(nil)), nil
		}
		if err != nil {
			return sum, err
		}
	}
}

// pack writes the wanted chunks of one pack. What is damaged comes back as failures;
// the error is one that ends the restore.
func (w *worker) pack(ctx context.Context, jobs []job) error {
	pin := w.r.s.source.pins[w.r.s.index.Packs()[w.r.packs[jobs[0].pack]].Name]
	p, err := w.open(ctx, pin, jobs)
	if err != nil {
		if !isDamage(err) {
			return err
		}
		for _, j := range jobs {
			w.failed(j, err, true)
		}
		return nil
	}
	aheadTo := int64(0)
	for len(jobs) > 0 {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := 1
		for n < len(jobs) && jobs[n].frame == jobs[0].frame {
			n++
		}
		if p.ahead != nil && int64(jobs[0].frame) >= aheadTo {
			aheadTo = p.readRun(jobs)
		}
		if err := w.frame(p, jobs[:n]); err != nil {
			return err
		}
		jobs = jobs[n:]
	}
	return nil
}

const (
	// smallPack is fetched whole whatever is wanted of it: opening it at its place
	// takes two requests before the first frame.
	smallPack = 256 << 10
	// runLimit bounds what is fetched ahead with one request.
	runLimit = 4 << 20
	// runGap is fetched along rather than asked around: about what arrives in the
	// time of one request.
	runGap = 128 << 10
)

// open opens a pack: whole if most of it is wanted, else at its place. Where one
// way fails for damage the others may save more.
func (w *worker) open(ctx context.Context, pin manifest.Pin, jobs []job) (*opened, error) {
	if w.r.dry != nil {
		return w.r.dry.open(ctx, pin, &w.room)
	}
	wanted := int64(0)
	for i, j := range jobs {
		if i == 0 || j.frame != jobs[i-1].frame {
			wanted += int64(j.stored)
		}
	}
	source := w.r.s.source
	if pin.Size <= smallPack || wanted >= pin.Size/2 {
		p, err := source.whole(ctx, pin, false, &w.room.pack)
		if err == nil || !isDamage(err) {
			return p, err
		}
		w.note(pin, err)
	}
	p, err := source.part(ctx, pin)
	if err == nil || !isDamage(err) {
		return p, err
	}
	w.note(pin, err)
	return nil, err
}

func (w *worker) note(pin manifest.Pin, err error) {
	if w.r.dry != nil {
		return // said already
	}
	key := manifest.PackKey(pin.Name)
	if w.r.notes.object(Damage{key, err}) {
		w.r.opt.Log.Error("a pack is damaged or missing", "pack", key, "err", err)
	}
}

// readRun fetches the frames of the first jobs with one request, as far as they
// stand together, and returns where the run ends.
func (p *opened) readRun(jobs []job) int64 {
	from := int64(jobs[0].frame)
	to := from + int64(jobs[0].stored)
	for _, j := range jobs[1:] {
		end := int64(j.frame) + int64(j.stored)
		if int64(j.frame) > to+runGap || end-from > runLimit {
			break
		}
		to = max(to, end)
	}
	p.ahead.want(from, to-from)
	return to
}

// frame writes the chunks of one frame.
func (w *worker) frame(p *opened, jobs []job) error {
	i, err := p.frameAt(jobs[0].frame)
	var data []byte
	if err == nil {
		data, w.room.frame, err = p.frame(w.room.frame, i)
	}
	if err != nil {
		if !isDamage(err) {
			return err
		}
		w.note(manifest.Pin{Name: w.r.s.index.Packs()[w.r.packs[jobs[0].pack]].Name}, err)
		for _, j := range jobs {
			w.failed(j, err, false)
		}
		return nil
	}
	for _, j := range jobs {
		if err := w.deliver(j, data); err != nil {
			return err
		}
	}
	return nil
}

// deliver writes one chunk into its file.
func (w *worker) deliver(j job, frame []byte) error {
	b, err := cut(frame, j.offset, j.length)
	if err != nil {
		w.failed(j, err, false)
		return nil
	}
	return w.deliverChunk(j, b)
}

func (w *worker) deliverChunk(j job, b []byte) error {
	f := j.file
	if !f.hopeless() {
		var err error
		if f.single {
			if sha256.Sum256(b) != f.row.SHA256 {
				w.failed(j, errNotTheFile, false)
				return nil
			}
		}
		switch {
		case w.r.dry != nil && !f.single:
			w.r.dry.take(f, j.at, b)
		case w.r.dry != nil:
		case f.single:
			err = w.r.putSingle(f, b)
		default:
			err = w.put(f, j.at, b)
		}
		if ends(err) {
			return err
		}
		if err != nil {
			f.failLocal(err)
		}
		w.r.opt.Progress.done(int64(len(b)))
	}
	return w.r.delivered(f)
}

// failed puts a job aside that could not be done from this place.
func (w *worker) failed(j job, err error, shut bool) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	j.pack = w.r.packs[j.pack]
	w.r.failed = append(w.r.failed, failure{j, err, shut})
}
