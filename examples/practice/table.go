package practice

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// The layout of real .FS5 tables is not public; this one is an invention that behaves like a paged table file. A page
// starts with 32 bytes, little-endian:
//
//	0  "FS5P"   4 table u16   6 kind u8 (0 header, 1 records)   7 version u8   8 page number u32
//	12 records u16   14 record size u16   16 LSN u64 (day << 32 | change of that day)   24 CRC-32C of all but itself
//	28 u32 zero
//
// and goes on with records of fixed size.
const (
	// PageSize is the page size of the .FS5 tables.
	PageSize = 8192

	pageHead    = 32
	kindHeader  = 0
	kindRecords = 1
	maxRecord   = 1024
	configName  = "UNICONFIG6.FS5"
)

type fieldKind int

const (
	fieldKey fieldKind = iota
	fieldPatient
	fieldDate
	fieldAmount
	fieldCode
	fieldName
	fieldFirst
	fieldText
	fieldGUID
	fieldFlags
	fieldUser
	fieldPhone
)

type field struct {
	kind fieldKind
	size int
}

type tableSpec struct {
	name   string
	share  int64 // per mille of the bytes of all tables
	fields []field
}

var (
	col = struct{ key, person, date, amount, code, name, first, guid, flags, user, phone field }{
		field{fieldKey, 4}, field{fieldPatient, 4}, field{fieldDate, 4}, field{fieldAmount, 4}, field{fieldCode, 8}, field{fieldName, 28},
		field{fieldFirst, 20}, field{fieldGUID, 16}, field{fieldFlags, 4}, field{fieldUser, 8}, field{fieldPhone, 12},
	}
	tables = []tableSpec{
		{configName, 3, []field{col.key, col.code, col.flags, text(96)}},
		{"PATIENT.FS5", 80, []field{col.key, col.name, col.first, col.date, col.phone, col.phone, text(60), text(60), col.flags, col.user, col.amount, col.guid}},
		{"TRANSACT.FS5", 200, []field{col.key, col.person, col.date, col.code, col.amount, col.amount, col.amount, col.user, col.flags, col.flags, text(40)}},
		{"APPOINT.FS5", 90, []field{col.key, col.person, col.date, col.date, col.user, col.code, col.flags, text(48)}},
		{"CHART.FS5", 170, []field{col.key, col.person, col.date, col.code, col.flags, col.flags, col.user, col.amount, col.guid, text(32)}},
		{"NOTES.FS5", 200, []field{col.key, col.person, col.date, col.user, col.guid, text(440)}},
		{"RECALL.FS5", 40, []field{col.key, col.person, col.date, col.date, col.flags, col.code}},
		{"ESTIMATE.FS5", 60, []field{col.key, col.person, col.date, col.code, col.amount, col.amount, col.flags, text(36)}},
		{"CORRESP.FS5", 60, []field{col.key, col.person, col.date, col.user, text(160), col.guid}},
		{"AUDIT.FS5", 70, []field{col.key, col.person, col.date, col.user, col.guid, text(56)}},
		{"LABWORK.FS5", 20, []field{col.key, col.person, col.date, col.date, col.code, col.amount, text(100)}},
		{"FEES.FS5", 5, []field{col.key, col.code, col.amount, col.amount, text(64)}},
		{"USERS.FS5", 2, []field{col.key, col.name, col.first, col.user, col.flags, col.guid}},
	}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func text(n int) field { return field{fieldText, n} }

func (t *tableSpec) recordSize() int {
	n := 0
	for _, f := range t.fields {
		n += f.size
	}
	return n
}

// tablePages is how many pages a table has on day 0.
func (t *tableSpec) firstPages(budget int64) int64 { return max(budget*t.share/1000/PageSize, 3) }

// visit is what the records of one sitting share: whose they are, the day, who typed them, and what was done most.
type visit struct {
	owner uint32
	date  uint32
	user  int
	code  int
}

func newVisit(r *rng, owner, date uint32) visit {
	// A handful of treatments make up most of the work.
	return visit{owner: owner, date: date, user: int(r.next() >> 61), code: r.below(1 + r.below(len(codes)))}
}

// putRecord writes one record; room behind it may be overwritten.
func (t *tableSpec) putRecord(b []byte, r *rng, id uint32, v visit) {
	at := 0
	for _, f := range t.fields {
		p := b[at:]
		switch f.kind {
		case fieldKey:
			binary.LittleEndian.PutUint32(p, id)
		case fieldPatient:
			binary.LittleEndian.PutUint32(p, v.owner)
		case fieldDate:
			binary.LittleEndian.PutUint32(p, v.date+uint32(r.next()>>63)*uint32(r.below(180)))
		case fieldAmount:
			amount := uint32(v.code+1) * 1235 // the fee of the code
			if r.next()&3 == 0 {
				amount = uint32(r.next()>>50) * 5
			}
			binary.LittleEndian.PutUint32(p, amount)
		case fieldCode:
			copy(p[:8], "        ")
			copy(p, codes[v.code])
		case fieldName:
			putPadded(p[:f.size], surnames[r.below(len(surnames))])
		case fieldFirst:
			putPadded(p[:f.size], firstNames[r.below(len(firstNames))])
		case fieldText:
			n := 1 + r.below(f.size)
			if f.size < 100 {
				n = 1 + r.below(n) // most remarks are short; the rest of the field is blank
			}
			putWords(p, n, r)
			for i := n; i < f.size; i++ {
				p[i] = ' '
			}
		case fieldGUID:
			binary.LittleEndian.PutUint64(p, r.next())
			binary.LittleEndian.PutUint64(p[8:], r.next())
		case fieldFlags:
			z := r.next()
			binary.LittleEndian.PutUint32(p, uint32(z&(z>>20)&(z>>40))&0x01010307)
		case fieldUser:
			copy(p[:8], [8]string{"jpatel  ", "sobrien ", "mwood   ", "admin   ", "zm      ", "ahughes ", "rkhan   ", "locum1  "}[v.user])
		case fieldPhone:
			z := r.next() >> 1
			copy(p, "07")
			for i := 2; i < f.size; i++ {
				p[i] = '0' + byte(z%10)
				z /= 10
			}
		}
		at += f.size
	}
}

func putPadded(p []byte, s string) {
	for i := copy(p, s); i < len(p); i++ {
		p[i] = ' '
	}
}

// putPage writes records page no as it is when it is new on a day; page has maxRecord bytes of room behind it.
func (t *tableSpec) putPage(page []byte, seed uint64, table int, no int64, day int, seq uint32) {
	r := newRNG(seed, 'T', uint64(table), uint64(no))
	size := t.recordSize()
	n := (PageSize - pageHead) / size
	// Records stand in the order in which they were written: a page is a day or two.
	date := uint32(46000 + day - r.below(400))
	var v visit
	for i := range n {
		if i == 0 || r.next()&3 == 0 {
			v = newVisit(&r, uint32(20011+r.below(5000)*13), date)
		}
		t.putRecord(page[pageHead+i*size:], &r, uint32(no)*uint32(n)+uint32(i), v)
	}
	clear(page[pageHead+n*size : PageSize])
	sealPage(page[:PageSize], table, kindRecords, no, n, size, lsn(day, seq))
}

// putHeader writes page 0: what the table is and how far it goes, and for the configuration table which data set this
// is and the last day that was closed.
func (t *tableSpec) putHeader(page []byte, seed uint64, table int, pages int64, day int, dataset uint64) {
	r := newRNG(seed, 'H', uint64(table))
	clear(page[:PageSize])
	p := page[pageHead:]
	binary.LittleEndian.PutUint64(p, dataset)
	binary.LittleEndian.PutUint32(p[8:], uint32(day))
	binary.LittleEndian.PutUint64(p[16:], uint64(pages))
	copy(p[24:56], t.name)
	at := 64
	for i, f := range t.fields {
		at += copy(p[at:], fmt.Sprintf("FIELD%02d,%d,%d;", i+1, f.kind, f.size))
	}
	putWords(p[at+8:], 7000+r.below(800), &r)
	sealPage(page[:PageSize], table, kindHeader, 0, 0, t.recordSize(), lsn(day, 0))
}

// amendPage changes one to three records of a page read from the table.
func (t *tableSpec) amendPage(page []byte, seed uint64, table int, no int64, day int, seq uint32) {
	r := newRNG(seed, 'A', uint64(table), uint64(no), uint64(day))
	size := t.recordSize()
	n := (PageSize - pageHead) / size
	var record [maxRecord]byte
	for range 1 + r.below(3) {
		slot := page[pageHead+r.below(n)*size:][:size]
		v := newVisit(&r, binary.LittleEndian.Uint32(slot[4:]), uint32(46000+day))
		t.putRecord(record[:], &r, binary.LittleEndian.Uint32(slot), v)
		copy(slot, record[:size])
	}
	sealPage(page, table, kindRecords, no, n, size, lsn(day, seq))
}

func lsn(day int, seq uint32) uint64 { return uint64(day)<<32 | uint64(seq) }

func sealPage(page []byte, table, kind int, no int64, records, size int, number uint64) {
	copy(page, "FS5P")
	binary.LittleEndian.PutUint16(page[4:], uint16(table))
	page[6], page[7] = byte(kind), 1
	binary.LittleEndian.PutUint32(page[8:], uint32(no))
	binary.LittleEndian.PutUint16(page[12:], uint16(records))
	binary.LittleEndian.PutUint16(page[14:], uint16(size))
	binary.LittleEndian.PutUint64(page[16:], number)
	binary.LittleEndian.PutUint32(page[28:], 0)
	binary.LittleEndian.PutUint32(page[24:], pageSum(page))
}

func pageSum(page []byte) uint32 {
	return crc32.Update(crc32.Checksum(page[:24], castagnoli), castagnoli, page[28:])
}

// CheckPage says whether page is page number no of a table and whole.
func CheckPage(page []byte, no int64) error {
	switch {
	case len(page) != PageSize:
		return fmt.Errorf("check page %d: %d bytes, want %d", no, len(page), PageSize)
	case string(page[:4]) != "FS5P" || page[7] != 1:
		return fmt.Errorf("check page %d: not a table page", no)
	case int64(binary.LittleEndian.Uint32(page[8:])) != no:
		return fmt.Errorf("check page %d: is page %d", no, binary.LittleEndian.Uint32(page[8:]))
	case binary.LittleEndian.Uint32(page[24:]) != pageSum(page):
		return fmt.Errorf("check page %d: wrong checksum", no)
	}
	return nil
}

func pageDay(page []byte) int { return int(binary.LittleEndian.Uint64(page[16:]) >> 32) }

// writeRange writes pages [from, to) as they are when new on the given day.
func (t *tableSpec) writeRange(f io.WriterAt, buf []byte, seed uint64, table int, from, to int64, day int) error {
	per := int64((cap(buf) - maxRecord) / PageSize)
	for from < to {
		n := min(per, to-from)
		b := buf[:n*PageSize+maxRecord]
		for i := range n {
			t.putPage(b[i*PageSize:], seed, table, from+i, day, uint32(from+i))
		}
		if _, err := f.WriteAt(b[:n*PageSize], from*PageSize); err != nil {
			return fmt.Errorf("write table %s: %w", t.name, err)
		}
		from += n
	}
	return nil
}

// tableDay is what one day does to one table.
type tableDay struct {
	table       int
	before      int64   // pages before the day
	after       int64   // and after it
	amended     []int64 // record pages changed in place, ascending
	wholeHeader bool    // page 0 changes as well
}

// amend brings a table from one day to the next. A page that already carries the day is left alone, so that a run that
// was killed can be done again.
func (t *tableSpec) amend(path string, buf []byte, seed uint64, d tableDay, day int, dataset uint64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open table %s: %w", t.name, err)
	}
	defer f.Close()
	page := buf[:PageSize+maxRecord]
	for seq, no := range d.amended {
		if _, err := f.ReadAt(page[:PageSize], no*PageSize); err != nil {
			return fmt.Errorf("read table %s: %w", t.name, err)
		}
		if err := CheckPage(page[:PageSize], no); err != nil {
			return fmt.Errorf("read table %s: %w", t.name, err)
		}
		if pageDay(page) == day {
			continue
		}
		t.amendPage(page[:PageSize], seed, d.table, no, day, uint32(seq+1))
		if _, err := f.WriteAt(page[:PageSize], no*PageSize); err != nil {
			return fmt.Errorf("write table %s: %w", t.name, err)
		}
	}
	if err := t.writeRange(f, buf, seed, d.table, d.before, d.after, day); err != nil {
		return err
	}
	if d.wholeHeader {
		t.putHeader(page, seed, d.table, d.after, day, dataset)
		if _, err := f.WriteAt(page[:PageSize], 0); err != nil {
			return fmt.Errorf("write table %s: %w", t.name, err)
		}
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close table %s: %w", t.name, err)
	}
	return nil
}
