package verify

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"
	"time"

	"offsite/uploader/statefile"
	"offsite/uploader/verify/structure"
)

// Key turns a name or a hash into a keyed hash. Names and hashes leave the source
// in this form alone: without the key nobody can tell whether a guess is right.
type Key func([]byte) [16]byte

// History is what this PC remembers of earlier sets of one source, so that a set
// can be compared with the last clean one: numbers and keyed hashes, no names. It
// may be lost at any time; the next set is then compared with nothing, and says so.
// It is not safe for concurrent use.
type History struct {
	file  string
	magic string
	key   Key
	head  heads
	clean table // of the last clean set
	last  table // of the last set that was read whole, whatever its verdict
}

// heads are the numbers of sets.
type heads struct {
	Clean *setHead `json:"clean,omitempty"`
	Last  *setHead `json:"last,omitempty"`
	// Sets is how many clean sets were seen.
	Sets int `json:"sets"`
	// Gained and Rewritten are, of the last clean sets, how many images and documents
	// were new, and how many settled files changed; the newest at the end.
	Gained    []int `json:"gained,omitempty"`
	Rewritten []int `json:"rewritten,omitempty"`
	// Acknowledged is the day whose changes a person called legitimate, as long as no
	// clean set has followed.
	Acknowledged string `json:"acknowledged,omitempty"`
}

// setHead is one set.
type setHead struct {
	Day     string    `json:"day"`
	Judged  time.Time `json:"judged"`
	Newest  time.Time `json:"newest"`
	Verdict Verdict   `json:"verdict"`
	Files   int       `json:"files"`
	Bytes   int64     `json:"bytes"`
	New     int       `json:"new"`       // images and documents that the last clean set did not have
	Changed int       `json:"rewritten"` // settled files that changed or vanished since
}

// record is one file. Its form on disk is described in CHECKS.md.
type record struct {
	path, content [16]byte
	line          [8]byte // of the path without its dates; zero where it has none
	kind, folder  [4]byte // of the end of the name, of the folders above
	size, dataEnd int64
	seen, changes uint8 // clean sets that had it; how often it changed in them
	format        structure.Format
	state         structure.State
	noise, mean   uint16 // per mille; in 256ths
	base          uint16 // the noise that is usual for it
	flags, head   uint8  // head: different values in the first bytes
	magic         uint16 // keyed hash of the first four bytes
	bias          uint16 // how far packed bytes are from even, and so those of the first block
	headBias      uint16
	low           uint16  // the least bias that is usual for it
	written       uint32  // seconds of its modification time
	dir           [4]byte // of the folder itself
	counted       uint8   // how many bytes bias is about: the length of the number
}

// The flags of a record.
const (
	flagLooked  = 1 << iota // the bytes were looked at
	flagLost                // it was sound in a clean set and has been damaged since
	flagOnce                // its name promises an image or a document
	flagFixed               // the profile says that it is written once
	flagLine                // it followed another under an earlier date
	flagRaw                 // a picture whose pixels are not packed
	flagSkew                // the first 16 of every 32 of its bytes are another thing than the rest
	flagStriped             // one block in sixteen is locked, the others are packed
)

const (
	recordLen  = 16 + 16 + 8 + 4 + 4 + 8 + 8 + 4 + 6 + 2 + 8 + 4 + 4 + 4 // the last three are reserved
	firstLen   = 80                                                      // in version 1, of which the last four were nothing
	maxHistory = 4 << 30
)

func (r *record) encode(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, r.path[:]...)
	b = append(b, r.content[:]...)
	b = append(b, r.line[:]...)
	b = append(b, r.kind[:]...)
	b = append(b, r.folder[:]...)
	b = le.AppendUint64(b, uint64(r.size))
	b = le.AppendUint64(b, uint64(r.dataEnd))
	b = append(b, r.seen, r.changes, byte(r.format), byte(r.state))
	b = le.AppendUint16(b, r.noise)
	b = le.AppendUint16(b, r.mean)
	b = le.AppendUint16(b, r.base)
	b = append(b, r.flags, r.head)
	for _, v := range [...]uint16{r.magic, r.bias, r.headBias, r.low} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, r.written)
	b = append(b, r.dir[:]...)
	return append(b, r.counted, 0, 0, 0)
}

func decodeRecord(b []byte) (r record) {
	le := binary.LittleEndian
	copy(r.path[:], b)
	copy(r.content[:], b[16:])
	copy(r.line[:], b[32:])
	copy(r.kind[:], b[40:])
	copy(r.folder[:], b[44:])
	r.size, r.dataEnd = int64(le.Uint64(b[48:])), int64(le.Uint64(b[56:]))
	r.seen, r.changes, r.format, r.state = b[64], b[65], structure.Format(b[66]), structure.State(b[67])
	r.noise, r.mean, r.base = le.Uint16(b[68:]), le.Uint16(b[70:]), le.Uint16(b[72:])
	r.flags, r.head = b[74], b[75]
	r.magic, r.bias, r.headBias, r.low = le.Uint16(b[76:]), le.Uint16(b[78:]), le.Uint16(b[80:]), le.Uint16(b[82:])
	r.written = le.Uint32(b[84:])
	copy(r.dir[:], b[88:])
	r.counted = b[92]
	return r
}

// table is records as they stand on disk, sorted by path.
type table []byte

func (t table) len() int { return len(t) / recordLen }

func (t table) at(i int) record { return decodeRecord(t[i*recordLen:]) }

func (t table) find(path [16]byte) (record, bool) {
	lo, hi := 0, t.len()
	for lo < hi {
		mid := (lo + hi) / 2
		if bytes.Compare(t[mid*recordLen:][:16], path[:]) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < t.len() && [16]byte(t[lo*recordLen:]) == path {
		return t.at(lo), true
	}
	return record{}, false
}

// newTable sorts records into a table.
func newTable(records []record) table {
	slices.SortFunc(records, func(a, b record) int { return bytes.Compare(a.path[:], b.path[:]) })
	t := make(table, 0, len(records)*recordLen)
	for i := range records {
		t = records[i].encode(t)
	}
	return t
}

const (
	historyMagic = "offsite checks v2 "
	firstMagic   = "offsite checks v1 "
)

// LoadHistory reads the history of the source called owner from file. A missing,
// damaged or foreign one is an empty history.
func LoadHistory(file, owner string, key Key) (*History, error) {
	h := &History{file: file, magic: historyMagic + owner + "\n", key: key}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read history of checks: %w", err)
	}
	h.parse(b)
	return h, nil
}

// parse takes over b if it is whole and of this source.
func (h *History) parse(b []byte) {
	n, magic, length := len(b)-4, h.magic, recordLen
	if first := firstMagic + magic[len(historyMagic):]; bytes.HasPrefix(b, []byte(first)) {
		magic, length = first, firstLen
	}
	if n < len(magic)+12 || len(b) > maxHistory || string(b[:len(magic)]) != magic ||
		crc32.ChecksumIEEE(b[:n]) != binary.LittleEndian.Uint32(b[n:]) {
		return
	}
	b = b[len(magic):n]
	var lens [3]int
	for i := range lens {
		lens[i] = int(binary.LittleEndian.Uint32(b[4*i:]))
	}
	b = b[12:]
	text, clean, last := lens[0], lens[1]*length, lens[2]*length
	if text+clean+last != len(b) {
		return
	}
	var head heads
	if json.Unmarshal(b[:text], &head) != nil {
		return
	}
	h.head, h.clean, h.last = head, widen(b[text:][:clean], length), widen(b[text+clean:], length)
	if head.Clean == nil {
		h.clean = nil
	}
	if head.Last == nil {
		h.last = nil
	}
}

// widen returns records of a length as those of today: what they lack is zero.
func widen(b []byte, length int) table {
	if length == recordLen {
		return table(b)
	}
	t := make(table, 0, len(b)/length*recordLen)
	for ; len(b) >= length; b = b[length:] {
		t = append(t, b[:length]...)
		t = append(t, make([]byte, recordLen-length)...)
	}
	return t
}

// save writes the history so that a crash leaves the old or the new one whole.
func (h *History) save() error {
	if h.file == "" {
		return nil
	}
	text, err := json.Marshal(h.head)
	if err != nil {
		return fmt.Errorf("write history of checks: %w", err)
	}
	le := binary.LittleEndian
	b := make([]byte, 0, len(h.magic)+12+len(text)+len(h.clean)+len(h.last)+4)
	b = append(b, h.magic...)
	for _, n := range []int{len(text), h.clean.len(), h.last.len()} {
		b = le.AppendUint32(b, uint32(n))
	}
	b = append(b, text...)
	b = append(b, h.clean...)
	b = append(b, h.last...)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(b))
	if len(b) > maxHistory {
		return errors.New("write history of checks: more files than it holds")
	}
	if err := statefile.Replace(h.file, b); err != nil {
		return fmt.Errorf("write history of checks: %w", err)
	}
	return nil
}

// Clean returns the day of the last clean set, "" if there was none.
func (h *History) Clean() string {
	if h.head.Clean == nil {
		return ""
	}
	return h.head.Clean.Day
}

// Written returns when the last clean set was written, by its files, and when it was
// judged.
func (h *History) Written() (written, judged time.Time) {
	if h.head.Clean == nil {
		return time.Time{}, time.Time{}
	}
	return h.head.Clean.Newest, h.head.Clean.Judged
}

// Empty returns a history that knows of no set. It can be compared with, and is
// never saved.
func (h *History) Empty() *History { return &History{key: h.key} }

// Last returns the day and the verdict of the last set that was read whole; the
// day is "" if there was none.
func (h *History) Last() (day string, v Verdict) {
	if h.head.Last == nil {
		return "", Incomplete
	}
	return h.head.Last.Day, h.head.Last.Verdict
}

// Errors of acknowledging.
var (
	// ErrNotLast: only the changes of the last set can be acknowledged.
	ErrNotLast = errors.New("only the last set can be acknowledged")
	// ErrClean: nothing about the set needs to be acknowledged.
	ErrClean = errors.New("the set is clean")
)

// Acknowledge takes the last set, which was not clean, for what later sets are
// compared with: a person knows what changed it. Nothing that is stored becomes
// clean by that; the next set does, if nothing else is found.
func (h *History) Acknowledge(day string) error {
	last, verdict := h.Last()
	switch {
	case last == "" || last != day:
		return fmt.Errorf("acknowledge %s: %w, which is that of %s", day, ErrNotLast, orNone(last))
	case verdict == Clean:
		return fmt.Errorf("acknowledge %s: %w", day, ErrClean)
	}
	records := make([]record, h.last.len())
	for i := range records {
		records[i] = h.last.at(i)
		records[i].flags &^= flagLost
		records[i].base, records[i].low = records[i].noise, records[i].bias
	}
	h.last = newTable(records)
	h.clean = h.last
	clean := *h.head.Last
	h.head.Clean, h.head.Acknowledged, h.head.Rewritten = &clean, day, nil
	h.head.Last.Verdict = Clean
	return h.save()
}

func orNone(day string) string {
	if day == "" {
		return "no day"
	}
	return day
}

// push adds v to the newest n values.
func push(list []int, v, n int) []int {
	list = append(list, v)
	return list[max(len(list)-n, 0):]
}
