// Package practice writes a made-up dental practice's databackup folder and lives its days: size, seed and day decide
// every byte and every time, so that benchmarks, tests and demonstrations can speak of the same folder without shipping
// it.
//
// A folder at day N is the folder at day N-1 edited in place: some new images and documents, about one per cent of the
// database pages changed here and there, a few pages more, some rows in an SQLite file, some lines in a log. Building a
// folder at day N replays the days and gives the same bytes, the catalogue (SQLite, edited by SQL alone) included as
// long as the version of the driver is the same.
//
// What it promises: valid JPEG, DICOM, TIFF, PNG, PDF, RTF, XML, e-mail and SQLite files, table pages with right
// checksums, and compression and byte statistics close to the real kinds. What it refuses: a folder that it did not
// write, or that stands at a later day.
//
// The last closed day is kept where a practice keeps it, in the configuration table UNICONFIG6.FS5, which is written
// last: a run that was killed is done again by the next (its report then lists no SQLite pages if that edit was already
// committed). A folder whose day 0 was never finished is refused and has to be removed.
//
// Taken from public descriptions: the folder's name, UNICONFIG6.FS5 and *.FS5 as table files, logfiles/backup.log and
// what it tells, images and documents making up three quarters and
// more. Assumptions, all of them named constants or
// tables in plan.go, table.go and sqlite.go: the mix by kind (45 % JPEG, 20 % DICOM with JPEG, 4 % raw DICOM, 2 % TIFF,
// 4 % PNG, 5 % PDF, 1 % letters and forms, 1 % e-mail, 18 % databases; so a quarter of the bytes compresses), their sizes, about 2,500 files per GiB, 1.2 %
// new bytes, 1 % changed and 0.1 % added pages a day, the layout of a table page, the shape of the log. The pictures
// are noise inside real structure; nothing shows or names a person.
package practice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// MinSize is the smallest folder that still holds some of every kind.
const MinSize = 1 << 20

// Options say which folder.
type Options struct {
	Dir     string // the databackup folder itself; made when missing
	Size    int64  // of day 0, about, in bytes
	Seed    uint64
	Day     int // for Generate: the day to reach
	Workers int // 0 means one for each processor
}

// Report is what one day did.
type Report struct {
	Day           int
	Date          time.Time
	NewFiles      int
	NewBytes      int64
	ChangedPages  int64 // in place
	AppendedPages int64
	PageBytes     int64 // bytes of the changed and appended pages
	LogBytes      int64 // appended to the log
	Changes       []Change
}

// Change is one file that a day made or edited. A file that only got a new time is not listed.
type Change struct {
	Path     string // below the folder, with slashes
	Kind     string // "jpeg", "dicom-jpeg", "dicom-raw", "tiff", "png", "pdf", "letter", "e-mail", "table", "sqlite" or "log"
	New      bool
	Size     int64   // after the day
	PageSize int     // of a paged file
	Pages    []int64 // changed in place, ascending
	Appended int64   // bytes added at the end of a file that was there before
}

// Day reads which day the folder stands at. It wraps fs.ErrNotExist when the folder is not there or empty.
func Day(dir string) (int, error) {
	day, _, err := readConfig(dir)
	return day, err
}

func readConfig(dir string) (day int, dataset uint64, err error) {
	page := make([]byte, PageSize)
	f, err := os.Open(filepath.Join(dir, configName))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, dirErr := os.ReadDir(dir); dirErr == nil && len(entries) > 0 {
			return 0, 0, fmt.Errorf("read day: folder %s holds no finished day; remove it first", dir)
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read day: %w", err)
	}
	defer f.Close()
	if _, err := f.ReadAt(page, 0); err != nil {
		return 0, 0, fmt.Errorf("read day: %w", err)
	}
	if err := CheckPage(page, 0); err != nil {
		return 0, 0, fmt.Errorf("read day: %w", err)
	}
	return int(binary.LittleEndian.Uint32(page[pageHead+8:])), binary.LittleEndian.Uint64(page[pageHead:]), nil
}

func (o Options) dataset() uint64 {
	r := newRNG(o.Seed, 'I', uint64(o.Size), generatorVersion)
	return r.next()
}

func (o Options) validate() error {
	switch {
	case o.Dir == "":
		return errors.New("check options: no folder")
	case o.Size < MinSize:
		return fmt.Errorf("check options: size %d is below %d", o.Size, int64(MinSize))
	case o.Day < 0:
		return fmt.Errorf("check options: day %d", o.Day)
	case o.Workers < 0:
		return fmt.Errorf("check options: %d workers", o.Workers)
	}
	return nil
}

// Generate brings the folder to day o.Day, from nothing or from an earlier day, and reports every day it wrote.
func Generate(ctx context.Context, o Options) ([]Report, error) {
	have, err := current(o)
	if err != nil {
		return nil, err
	}
	if have > o.Day {
		return nil, fmt.Errorf("generate practice: folder stands at day %d, after day %d", have, o.Day)
	}
	return replay(ctx, o, have, o.Day)
}

// Advance takes the folder one day further; o.Day is not used.
func Advance(ctx context.Context, o Options) (Report, error) {
	have, err := current(o)
	if err != nil {
		return Report{}, err
	}
	if have < 0 {
		return Report{}, fmt.Errorf("advance practice: %w", fs.ErrNotExist)
	}
	reports, err := replay(ctx, o, have, have+1)
	if err != nil {
		return Report{}, err
	}
	return reports[0], nil
}

// current is the day that the folder stands at, -1 when there is none yet.
func current(o Options) (int, error) {
	if err := o.validate(); err != nil {
		return 0, err
	}
	day, dataset, err := readConfig(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	if dataset != o.dataset() {
		return 0, fmt.Errorf("check folder %s: written with another size, seed or version", o.Dir)
	}
	return day, nil
}

func replay(ctx context.Context, o Options, have, want int) ([]Report, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	p := newPlanner(o.Size, o.Seed)
	var reports []Report
	for day := 0; day <= want; day++ {
		plan := p.next()
		if day <= have {
			continue
		}
		report, err := writeDay(ctx, o, plan)
		if err != nil {
			return reports, fmt.Errorf("write day %d: %w", day, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// Touch gives every file below dir a new modification time and leaves content and folders alone.
func Touch(dir string, t time.Time) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Chtimes(path, t, t)
		}
		if err != nil {
			return fmt.Errorf("touch files: %w", err)
		}
		return nil
	})
}
