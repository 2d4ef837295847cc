package verify

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/bits"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"offsite/uploader/source"
	"offsite/uploader/verify/structure"
)

const (
	// inflateShare and inflateLeast bound what may be unpacked to prove archives: one
	// in so many bytes of the set, but at least so many bytes of each run. Unpacking
	// takes ten times as long as hashing.
	inflateShare = 200
	inflateLeast = 64 << 20
	// inflateWhole is up to which size a file is unpacked whole or not at all: of many
	// files some that are proved whole tell more than the begin of each.
	inflateWhole = 4 << 20
	// inflateAgain is how much of a file is unpacked that was proved before and looks the
	// same: what was written over it behind its date shows in that much.
	inflateAgain = 256 << 10

	// countShare and countLeast bound the bytes of files of no known format that are
	// counted beyond the usual samples: one in so many of the set, but at least so many
	// of each run. Counting takes twice as long as hashing.
	countShare = 128
	countLeast = 32 << 20
)

// Pass looks at the bytes of a judged set while they are read to be stored, and
// then compares the set with the last clean one. A file that was not read again is
// taken to be what it was. Wants and File may be called from several goroutines,
// the rest from one.
type Pass struct {
	set     source.Set
	history *History
	now     []record // of the entries that are files, by their number in the set
	inflate float64  // share of an archive that may be unpacked
	count   *structure.Budget

	mu      sync.Mutex
	lengths map[int]int64 // of MyISAM data, by the number of the index

	day    string
	report Report
	sum    *comparison // nil: not judged yet
}

// NewPass begins a pass over a set that belongs to the business day called day.
// The history is not changed before Save.
func NewPass(passed Passed, h *History, day string) *Pass {
	set := passed.set
	p := &Pass{set: set, history: h, day: day, now: make([]record, set.Len()), lengths: make(map[int]int64)}
	var packed int64
	for i := range p.now {
		e := set.At(i)
		if e.Type != source.TypeFile {
			continue
		}
		name := strings.ToLower(e.Path)
		r := record{path: h.key([]byte(e.Path)), size: e.Size}
		copy(r.kind[:], h.hash("kind", path.Ext(name)))
		copy(r.folder[:], h.hash("folder", folderOf(name)))
		copy(r.dir[:], h.hash("dir", path.Dir(name)))
		if line := lineOf(name); line != name {
			copy(r.line[:], h.hash("line", line))
		}
		if structure.WriteOnceName(name) {
			r.flags |= flagOnce
		}
		if slices.ContainsFunc(passed.fixed, func(m source.Pattern) bool { return m.Match(set.Within(e), false) }) {
			r.flags |= flagFixed
		}
		r.written = uint32(e.ModTime / int64(time.Second))
		if structure.Inflates(name) && !p.proved(&r) {
			packed += e.Size
		}
		p.now[i] = r
	}
	p.count = structure.NewBudget(max(set.Totals().Bytes/countShare, countLeast))
	if packed > 0 {
		p.inflate = min(1, float64(max(set.Totals().Bytes/inflateShare, inflateLeast))/float64(packed))
	}
	return p
}

// proved says whether a file looks as it did when it was proved, so that reading it
// again need not prove it once more.
func (p *Pass) proved(r *record) bool {
	old, ok := p.history.last.find(r.path)
	return ok && old.flags&flagLooked != 0 && old.state == structure.Sound && old.size == r.size && old.written == r.written
}

func (h *History) hash(what, text string) []byte {
	k := h.key([]byte(what + "\x00" + text))
	return k[:]
}

// folderOf is the part of a path that stands for its folder in numbers by folder:
// two names, for the first is often the same for all.
func folderOf(name string) string {
	dir := path.Dir(name)
	if first, rest, ok := strings.Cut(dir, "/"); ok {
		second, _, _ := strings.Cut(rest, "/")
		return first + "/" + second
	}
	return dir
}

// lineOf is a path without its dates and times: backups that are written under a
// new date every day are of one line.
func lineOf(name string) string {
	var b strings.Builder
	for _, day := range [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"} {
		name = strings.ReplaceAll(name, day, "000000")
	}
	for i := 0; i < len(name); {
		end, digits := i, 0
		for j := i; j < len(name) && strings.IndexByte("0123456789-_.:", name[j]) >= 0; j++ {
			if name[j] >= '0' && name[j] <= '9' {
				digits++
				end = j + 1
			}
		}
		if name[i] >= '0' && name[i] <= '9' && digits >= 6 { // 201127, or 2026-11-20
			b.WriteByte('#')
			i = end
			continue
		}
		b.WriteByte(name[i])
		i++
	}
	return b.String()
}

// Wants says whether a file must be read although nothing about it has changed:
// nobody ever looked at its bytes.
func (p *Pass) Wants(entry int) bool {
	old, ok := p.history.last.find(p.now[entry].path)
	return !ok || old.flags&flagLooked == 0
}

// File returns what takes the bytes of one file in order, and is closed after the
// last. It never fails.
func (p *Pass) File(entry int) io.WriteCloser {
	e := p.set.At(entry)
	r := &p.now[entry]
	allowed := int64(p.inflate * float64(e.Size))
	switch {
	case p.proved(r):
		allowed = min(allowed, inflateAgain)
	case e.Size > inflateWhole:
	case float64(binary.LittleEndian.Uint32(r.path[:])) < p.inflate*(1<<32): // nobody outside can tell which
		allowed = e.Size
	default:
		allowed = 0
	}
	return &look{p, entry, structure.New(e.Path, e.Size, allowed, p.count)}
}

// look is a file on its way by.
type look struct {
	pass  *Pass
	entry int
	*structure.Checker
}

// Close takes note of what was seen, if that was the whole file.
func (l *look) Close() error {
	res := l.Result()
	if !l.Whole() {
		return nil
	}
	r := &l.pass.now[l.entry]
	r.format, r.state = res.Format, res.State
	r.noise, r.mean, r.dataEnd = uint16(res.Profile.Noise), uint16(res.Profile.Mean), res.Profile.DataEnd
	r.base, r.head = r.noise, uint8(min(res.Profile.Head, 255))
	r.bias, r.headBias = uint16(min(res.Profile.Bias, math.MaxUint16)), uint16(min(res.Profile.HeadBias, math.MaxUint16))
	r.magic, r.low = binary.LittleEndian.Uint16(l.pass.history.hash("magic", strconv.Itoa(int(res.Magic)))), r.bias
	r.counted = uint8(bits.Len(uint(res.Profile.Counted)))
	r.flags |= flagLooked
	if res.Raw {
		r.flags |= flagRaw
		if skew := res.Profile.Skew / 256; max(skew, -skew) >= skewLeast {
			r.flags |= flagSkew
		}
	}
	if res.Profile.Striped {
		r.flags |= flagStriped
	}
	if res.DataLength > 0 {
		l.pass.mu.Lock()
		l.pass.lengths[l.entry] = res.DataLength
		l.pass.mu.Unlock()
	}
	return nil
}

// Findings compares the set with the last clean one, when all files have been
// read. sum gives the SHA-256 of every file.
func (p *Pass) Findings(sum func(entry int) [32]byte) []Finding {
	var order []int
	for i := range p.now {
		if p.set.At(i).Type != source.TypeFile {
			continue
		}
		r, digest := &p.now[i], sum(i)
		r.content = p.history.key(append([]byte("content\x00"), digest[:]...))
		p.carry(r)
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(p.now[a].path[:], p.now[b].path[:]) })
	p.sum = &comparison{pass: p, order: order}
	p.report = Report{judged: true}
	p.sum.run(&p.report)
	return p.report.Findings()
}

// Console returns lines that name files, as Report.Console does.
func (p *Pass) Console() []string { return p.report.Console() }

// Save remembers the set under the verdict that it got, so that the next one is
// compared with it if it was clean. It does nothing before Findings.
func (p *Pass) Save(verdict Verdict, judged time.Time) error {
	if p.sum == nil {
		return nil
	}
	h := p.history
	records := make([]record, 0, len(p.sum.order))
	for _, i := range p.sum.order {
		records = append(records, p.now[i])
	}
	t := p.set.Totals()
	head := &setHead{Day: p.day, Judged: judged.UTC(), Newest: written(p.set).UTC(), Verdict: verdict, Files: t.Files, Bytes: t.Bytes,
		New: p.sum.gained, Changed: p.sum.rewritten}
	h.last, h.head.Last = newTable(records), head
	if verdict == Clean {
		h.clean = h.last
		if p.sum.again { // a second set of one day adds to the first
			head.New, head.Changed = head.New+h.head.Clean.New, head.Changed+h.head.Clean.Changed
			h.head.Gained = h.head.Gained[:max(len(h.head.Gained)-1, 0)]
			h.head.Rewritten = h.head.Rewritten[:max(len(h.head.Rewritten)-1, 0)]
		}
		if h.head.Clean != nil { // in the first set everything is new
			h.head.Gained = push(h.head.Gained, head.New, gainSets)
			h.head.Rewritten = push(h.head.Rewritten, head.Changed, rewrittenDays-1)
			if !p.sum.again {
				h.head.Sets++
			}
		}
		h.head.Clean, h.head.Acknowledged = head, ""
	}
	return h.save()
}

// carry takes over what was seen of a file that was not read this time, or is what it
// was: then less of it may have been proved now than when it came.
func (p *Pass) carry(r *record) {
	old, ok := p.history.last.find(r.path)
	if !ok || old.content != r.content || old.flags&flagLooked == 0 {
		return
	}
	if r.flags&flagLooked != 0 {
		if r.state <= structure.Sound {
			r.state = old.state
		}
		return
	}
	r.format, r.state, r.noise, r.mean, r.dataEnd = old.format, old.state, old.noise, old.mean, old.dataEnd
	r.magic, r.bias, r.headBias, r.low, r.counted = old.magic, old.bias, old.headBias, old.bias, old.counted
	r.base, r.head = old.noise, old.head
	r.flags |= old.flags & (flagLooked | flagRaw | flagSkew | flagStriped)
}
