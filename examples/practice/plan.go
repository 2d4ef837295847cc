package practice

import (
	"fmt"
	"path"
	"time"
)

// The assumptions about a practice, in per mille of the folder's size unless another unit is named.
const (
	filesShare       = 820 // everything that is written once
	newPerDay        = 12  // write-once bytes that a day adds
	amendedPerDay    = 10  // of the database pages, changed in place
	appendedPerDay   = 1   // of the database pages, added at the end
	bytesPerPatient  = 3400 << 10
	bytesPerVisit    = 1200 << 10
	patientsPerDay   = 1 << 30 // folder bytes for each new patient of a day
	historyDays      = 2900    // how far back the files of day 0 go
	firstMonday      = "2026-01-05"
	catalogName      = "imaging/catalogue.db"
	logName          = "logfiles/backup.log"
	generatorVersion = 2 // part of a data set's identity: another version writes other bytes
)

type fileKind int

const (
	kindJPEG fileKind = iota
	kindDICOM
	kindDICOMRaw
	kindTIFF
	kindPNG
	kindPDF
	kindText
	kindEmail
	kinds
)

// kindSpec gives a kind's share of the folder and its sizes: drawn from octaves doublings above low, all octaves alike.
type kindSpec struct {
	name    string
	share   int64
	low     int
	octaves int
}

var kindSpecs = [kinds]kindSpec{
	kindJPEG:     {"jpeg", 450, 96 << 10, 4},
	kindDICOM:    {"dicom-jpeg", 200, 160 << 10, 4},
	kindDICOMRaw: {"dicom-raw", 40, 1 << 20, 3},
	kindTIFF:     {"tiff", 20, 128 << 10, 3},
	kindPNG:      {"png", 40, 64 << 10, 3},
	kindPDF:      {"pdf", 50, 32 << 10, 4},
	kindText:     {"letter", 10, 5 << 10, 2},
	kindEmail:    {"e-mail", 10, 16 << 10, 4},
}

var patientFolders = []string{"images/photos", "images/xrays", "documents", "letters", "email"}

// plannedFile is a write-once file before it is written.
type plannedFile struct {
	kind    fileKind
	index   int // of its kind, from the first day on
	size    int
	day     int
	when    time.Time
	patient patient
	path    string
}

// dayPlan is all that one day does, a pure function of size, seed and day.
type dayPlan struct {
	day           int
	folders       []string // new ones, parents first
	touched       []string // folders that gain an entry
	files         []plannedFile
	tables        []tableDay
	catalogRows   int64 // before the day
	catalogAdded  int64
	catalogEdited int64
}

// planner walks from day to day.
type planner struct {
	size     int64
	seed     uint64
	day      int // the next one to plan
	patients int
	bucket   string
	count    [kinds]int
	written  [kinds]int64
	pages    []int64
	rows     int64
}

func newPlanner(size int64, seed uint64) *planner { return &planner{size: size, seed: seed} }

// Date is the day's date: day 0 is a Monday, and only Monday to Friday count.
func Date(day int) time.Time {
	t, err := time.Parse(time.DateOnly, firstMonday)
	if err != nil {
		panic("practice: first Monday: " + err.Error())
	}
	return t.AddDate(0, 0, day/5*7+day%5)
}

// Evening is when the copy of that day ends.
func Evening(day int) time.Time { return Date(day).Add(18*time.Hour + 40*time.Minute) }

func (p *planner) catalogBytes() int64 { return min(p.size/100, catalogMax) }

// next plans the next day.
func (p *planner) next() dayPlan {
	d := dayPlan{day: p.day}
	known := p.patients
	p.planPatients(&d)
	p.planFiles(&d, known)
	p.planTables(&d)
	d.catalogRows = p.rows
	if p.day == 0 {
		d.catalogAdded = max(p.catalogBytes()/catalogRow, 40)
	} else {
		r := newRNG(p.seed, 'C', uint64(p.day))
		d.catalogAdded = min(max(p.rows/200, 5), 150+int64(r.below(100)))
		d.catalogEdited = min(max(p.rows/500, 3), 150+int64(r.below(100)))
	}
	p.rows += d.catalogAdded
	p.day++
	return d
}

func (p *planner) planPatients(d *dayPlan) {
	n := max(p.size/bytesPerPatient, 4)
	if p.day == 0 {
		d.folders = append(d.folders, "patients", "imaging", "logfiles")
	} else {
		r := newRNG(p.seed, 'N', uint64(p.day))
		n = r.round(p.size, patientsPerDay)
	}
	for range n {
		who := newPatient(p.seed, p.patients)
		p.patients++
		bucket := path.Join("patients", who.bucket())
		if bucket != p.bucket {
			p.bucket = bucket
			d.folders = append(d.folders, bucket)
			d.touched = append(d.touched, "patients")
		}
		home := path.Join(bucket, who.folder())
		d.folders = append(d.folders, home, path.Join(home, "images"))
		d.touched = append(d.touched, bucket)
		for _, f := range patientFolders {
			d.folders = append(d.folders, path.Join(home, f))
		}
	}
}

func (p *planner) planFiles(d *dayPlan, known int) {
	daily := p.size * newPerDay / 1000
	visits := int(max(daily/bytesPerVisit, 3))
	for k := range kinds {
		spec := kindSpecs[k]
		target := p.size*spec.share/1000 + int64(p.day)*daily*spec.share/filesShare
		low := p.smallest(spec)
		for {
			r := newRNG(p.seed, 'F', uint64(k), uint64(p.count[k]))
			base := low << r.below(spec.octaves)
			size := base + r.below(base)
			quiet := k == kindText && p.day > 0 && len(d.files) == 0 // somebody writes at least one letter
			if p.written[k]+int64(size)/2 > target && !quiet {
				break
			}
			f := plannedFile{kind: k, index: p.count[k], size: size, day: p.day}
			f.patient = newPatient(p.seed, p.visitor(r.below(visits), r.next(), known))
			f.when = Evening(p.day).Add(-time.Duration(r.below(9*3600)) * time.Second)
			if p.day == 0 {
				f.when = f.when.AddDate(0, 0, -r.below(historyDays))
			}
			f.path = f.place()
			d.files = append(d.files, f)
			d.touched = append(d.touched, path.Dir(f.path))
			p.count[k]++
			p.written[k] += int64(size)
		}
	}
}

// smallest is the lower bound of a kind's sizes, halved in small folders until a file is no larger than half of what the
// kind has there, nor than sixteen days' worth of it.
func (p *planner) smallest(spec kindSpec) int {
	have := p.size * spec.share / 1000
	limit := max(min(have/2, have*16*newPerDay/filesShare), 4<<10)
	low := spec.low
	for int64(low)<<spec.octaves > limit {
		low >>= 1
	}
	return low
}

// visitor says who a file belongs to: on day 0 anybody, later one of that day's visitors, the new patients first.
func (p *planner) visitor(visit int, any uint64, known int) int {
	if p.day == 0 {
		return int(any>>1) % p.patients
	}
	if known+visit < p.patients {
		return known + visit
	}
	r := newRNG(p.seed, 'V', uint64(p.day), uint64(visit))
	return r.below(p.patients)
}

func (f plannedFile) place() string {
	day := f.when.Format(time.DateOnly)
	var name string
	switch f.kind {
	case kindJPEG:
		name = fmt.Sprintf("images/photos/IMG_%s_%06d.jpg", day, f.index)
		if f.index%3 == 0 {
			name = fmt.Sprintf("images/xrays/BW %s %06d.jpg", day, f.index)
		}
	case kindDICOM:
		name = fmt.Sprintf("images/xrays/IO_%s_%06d.dcm", day, f.index)
	case kindDICOMRaw:
		name = fmt.Sprintf("images/xrays/CEPH_%s_%06d.dcm", day, f.index)
	case kindTIFF:
		name = fmt.Sprintf("documents/scan %s %06d.tif", day, f.index)
	case kindPNG:
		name = fmt.Sprintf("images/photos/screen_%s_%06d.png", day, f.index)
	case kindPDF:
		name = fmt.Sprintf("documents/%s_report_%06d.pdf", day, f.index)
	case kindText:
		name = fmt.Sprintf("letters/%s letter %06d.rtf", day, f.index)
		if f.index%4 == 0 {
			name = fmt.Sprintf("documents/history_%s_%06d.xml", day, f.index)
		}
	case kindEmail:
		name = fmt.Sprintf("email/%s_%06d.eml", day, f.index)
	}
	return path.Join("patients", f.patient.bucket(), f.patient.folder(), name)
}

func (p *planner) planTables(d *dayPlan) {
	if p.day == 0 {
		budget := p.size*(1000-filesShare)/1000 - p.catalogBytes()
		for i := range tables {
			n := tables[i].firstPages(budget)
			p.pages = append(p.pages, n)
			d.tables = append(d.tables, tableDay{table: i, after: n, wholeHeader: true})
		}
		return
	}
	for i := range tables {
		r := newRNG(p.seed, 'D', uint64(i), uint64(p.day))
		before := p.pages[i]
		t := tableDay{table: i, before: before, after: before + r.round(before*appendedPerDay, 1000)}
		records := before - 1
		n := min(r.round(before*amendedPerDay, 1000), records)
		// One page in each of n equal stretches: scattered, ascending and never the same one twice.
		for j := range n {
			from, to := 1+j*records/n, 1+(j+1)*records/n
			t.amended = append(t.amended, from+int64(r.below(int(to-from))))
		}
		t.wholeHeader = t.after != before || tables[i].name == configName
		p.pages[i] = t.after
		d.tables = append(d.tables, t)
	}
}
