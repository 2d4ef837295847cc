package practice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

const (
	tableBuffer = 64 * PageSize  // a worker's buffer for pages: small enough for the processor's cache
	tableJob    = 512 * PageSize // what one job of building a table writes
)

// worker holds the buffers of one goroutine.
type worker struct {
	file, scratch, spare, pages []byte
}

// job is one independent piece of a day. It may write to its own entry of the changes only.
type job func(context.Context, *worker) error

// writeDay does one day: folders, then everything inside them in parallel, then times, and last the configuration table
// that closes the day.
func writeDay(ctx context.Context, o Options, plan dayPlan) (Report, error) {
	for _, folder := range append([]string{"."}, plan.folders...) {
		if err := os.MkdirAll(filepath.Join(o.Dir, filepath.FromSlash(folder)), 0o755); err != nil {
			return Report{}, fmt.Errorf("make folder: %w", err)
		}
	}
	changes := make([]Change, len(plan.files)+len(plan.tables)+2)
	files := changes[:len(plan.files)]
	tableChanges := changes[len(plan.files) : len(plan.files)+len(plan.tables)]
	jobs := []job{catalogJob(o, plan, &changes[len(changes)-2]), logJob(o, plan, &changes[len(changes)-1])}
	var closing []job
	for i, t := range plan.tables {
		if tables[t.table].name == configName {
			closing = append(closing, tableJobs(o, plan.day, t, &tableChanges[i])...)
			continue
		}
		jobs = append(jobs, tableJobs(o, plan.day, t, &tableChanges[i])...)
	}
	for i := range plan.files {
		jobs = append(jobs, fileJob(o, plan.files[i], &files[i]))
	}
	if err := run(ctx, o.Workers, jobs); err != nil {
		return Report{}, err
	}
	if err := run(ctx, 1, closing); err != nil {
		return Report{}, err
	}
	if err := stamp(o, plan); err != nil {
		return Report{}, err
	}
	return newReport(plan.day, changes), nil
}

// run does all jobs with a few workers and returns the first error.
func run(ctx context.Context, workers int, jobs []job) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan job)
	var wg sync.WaitGroup
	for range min(workers, len(jobs)) {
		wg.Go(func() {
			w := worker{pages: make([]byte, 0, tableBuffer+maxRecord)}
			for j := range queue {
				if ctx.Err() != nil {
					continue
				}
				if err := j(ctx, &w); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	wg.Wait()
	return context.Cause(ctx)
}

func fileJob(o Options, f plannedFile, change *Change) job {
	return func(_ context.Context, w *worker) error {
		if err := w.render(o.Seed, f); err != nil {
			return err
		}
		name := filepath.Join(o.Dir, filepath.FromSlash(f.path))
		if err := os.WriteFile(name, w.file, 0o644); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		if err := os.Chtimes(name, f.when, f.when); err != nil {
			return fmt.Errorf("set time: %w", err)
		}
		*change = Change{Path: f.path, Kind: kindSpecs[f.kind].name, New: true, Size: int64(len(w.file))}
		return nil
	}
}

// render makes the bytes of a file in w.file.
func (w *worker) render(seed uint64, f plannedFile) (err error) {
	r := newRNG(seed, 'B', uint64(f.kind), uint64(f.index))
	info := fileInfo{patient: f.patient, when: f.when, index: f.index}
	image := dicomInfo{patient: f.patient, date: info.compact()[:8], modality: "IO", series: r.next()}
	w.file = w.file[:0]
	switch f.kind {
	case kindJPEG:
		w.file, _, _ = appendJPEG(w.file, &r, f.size, f.index%3 != 0, info.exif())
	case kindDICOM:
		w.file, w.scratch = appendDICOMJPEG(w.file, &r, f.size, image, w.scratch)
	case kindDICOMRaw:
		image.modality = "DX"
		w.file = appendDICOMRaw(w.file, &r, f.size, image)
	case kindTIFF:
		w.file = appendTIFF(w.file, &r, f.size)
	case kindPNG:
		w.file, w.scratch = appendPNG(w.file, &r, f.size, w.scratch)
	case kindPDF:
		w.file, w.scratch, err = appendPDF(w.file, &r, f.size, info, w.scratch)
	case kindText:
		if f.index%4 == 0 {
			w.file = appendForm(w.file, &r, f.size, info)
		} else {
			w.file = appendRTF(w.file, &r, f.size, info)
		}
	case kindEmail:
		w.file, w.scratch, w.spare, err = appendEmail(w.file, &r, f.size, info, w.scratch, w.spare)
	default:
		panic("practice: no such kind of file")
	}
	return err
}

// tableJobs builds a table on day 0 in several jobs, and amends it in one on any other.
func tableJobs(o Options, day int, t tableDay, change *Change) []job {
	spec := &tables[t.table]
	name := filepath.Join(o.Dir, spec.name)
	*change = Change{Path: spec.name, Kind: "table", New: day == 0, Size: t.after * PageSize, PageSize: PageSize}
	if day > 0 {
		change.Appended = (t.after - t.before) * PageSize
		if t.wholeHeader {
			change.Pages = append(change.Pages, 0)
		}
		change.Pages = append(change.Pages, t.amended...)
		return []job{func(_ context.Context, w *worker) error {
			return spec.amend(name, w.pages, o.Seed, t, day, o.dataset())
		}}
	}
	var jobs []job
	for from := int64(0); from < t.after; from += tableJob / PageSize {
		to := min(from+tableJob/PageSize, t.after)
		jobs = append(jobs, func(_ context.Context, w *worker) (err error) {
			f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
			if err != nil {
				return fmt.Errorf("create table: %w", err)
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			first := from
			if first == 0 {
				page := w.pages[:PageSize+maxRecord]
				spec.putHeader(page, o.Seed, t.table, t.after, day, o.dataset())
				if _, err := f.WriteAt(page[:PageSize], 0); err != nil {
					return fmt.Errorf("write table: %w", err)
				}
				first = 1
			}
			return spec.writeRange(f, w.pages, o.Seed, t.table, first, to, day)
		})
	}
	return jobs
}

func catalogJob(o Options, plan dayPlan, change *Change) job {
	return func(ctx context.Context, _ *worker) error {
		c := catalog{path: filepath.Join(o.Dir, filepath.FromSlash(catalogName)), seed: o.Seed}
		*change = Change{Path: catalogName, Kind: "sqlite", New: plan.day == 0, PageSize: catalogPage}
		var err error
		var before [][32]byte
		if plan.day == 0 {
			err = c.create(ctx, plan.catalogAdded)
		} else if before, err = pageSums(c.path, catalogPage); err == nil {
			err = c.edit(ctx, plan.day, plan.catalogRows, plan.catalogAdded, plan.catalogEdited)
		}
		if err != nil {
			return err
		}
		after, err := pageSums(c.path, catalogPage)
		if err != nil {
			return err
		}
		change.Size = int64(len(after)) * catalogPage
		if plan.day == 0 {
			return nil
		}
		for i := range min(len(before), len(after)) {
			if before[i] != after[i] {
				change.Pages = append(change.Pages, int64(i))
			}
		}
		change.Appended = int64(max(len(after)-len(before), 0)) * catalogPage
		return nil
	}
}

// logJob writes the log anew: it is small, and its earlier lines come out the same but for the last.
func logJob(o Options, plan dayPlan, change *Change) job {
	return func(context.Context, *worker) error {
		data := backupLog(o.Seed, plan.day)
		*change = Change{Path: logName, Kind: "log", New: plan.day == 0, Size: int64(len(data))}
		if plan.day > 0 {
			old := backupLog(o.Seed, plan.day-1)
			if !bytes.HasPrefix(data, old) {
				panic("practice: the log lost lines")
			}
			change.Appended = int64(len(data) - len(old))
		}
		if err := os.WriteFile(filepath.Join(o.Dir, filepath.FromSlash(logName)), data, 0o644); err != nil {
			return fmt.Errorf("write log: %w", err)
		}
		return nil
	}
}

// stamp sets the times that the day leaves behind: the copied database files and the log carry the evening, a folder the
// evening of the last day on which an entry was made in it.
func stamp(o Options, plan dayPlan) error {
	set := func(name string, t time.Time) error {
		if err := os.Chtimes(filepath.Join(o.Dir, filepath.FromSlash(name)), t, t); err != nil {
			return fmt.Errorf("set time: %w", err)
		}
		return nil
	}
	evening := Evening(plan.day)
	for _, t := range plan.tables {
		if err := set(tables[t.table].name, evening); err != nil {
			return err
		}
	}
	for _, name := range []string{catalogName, logName} {
		if err := set(name, evening); err != nil {
			return err
		}
		if err := set(path.Dir(name), Evening(0)); err != nil { // a journal came and went
			return err
		}
	}
	folders := append(append([]string{}, plan.folders...), plan.touched...)
	if plan.day == 0 {
		folders = append(folders, ".")
	}
	sort.Strings(folders)
	last := ""
	for _, folder := range folders {
		if folder == last {
			continue
		}
		last = folder
		if err := set(folder, evening); err != nil {
			return err
		}
	}
	return nil
}

func newReport(day int, changes []Change) Report {
	report := Report{Day: day, Date: Date(day)}
	for _, c := range changes {
		switch {
		case c.New:
			report.NewFiles++
			report.NewBytes += c.Size
		case c.Kind == "log":
			report.LogBytes += c.Appended
		default:
			size := int64(c.PageSize)
			report.ChangedPages += int64(len(c.Pages))
			report.AppendedPages += c.Appended / size
			report.PageBytes += int64(len(c.Pages))*size + c.Appended
			if len(c.Pages) == 0 && c.Appended == 0 {
				continue
			}
		}
		report.Changes = append(report.Changes, c)
	}
	return report
}
