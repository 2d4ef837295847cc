package structure

import "encoding/binary"

const (
	// headLen is enough to tell every format; a PDF may begin so far behind.
	headLen = 1024
	// The lengths of the end of a file that are kept. 64 KiB is the longest comment
	// behind the directory of a ZIP; 8 KiB hold the list of a PDF with some hundred
	// parts, and any directory of a TIFF. Keeping more costs more than hashing a small
	// file does.
	zipTail  = 64<<10 + 22
	longTail = 8 << 10
	textTail = 1 << 10
	// packedHead is how many different values the first headSample bytes of packed data
	// hold at least.
	packedHead = 160
)

// walker follows the structure of one format. off is where p stands in the file.
type walker interface {
	write(off int64, p []byte)
	// finish is called once, after the last byte.
	finish(v *view) State
}

// view is what is kept of a file that has passed by.
type view struct {
	size int64
	head []byte // the first bytes, at most headLen
	tail []byte // the last bytes, as many as the format wants; empty for formats without a tail
}

// at returns what is kept from off on, nil where nothing is.
func (v *view) at(off int64) []byte {
	if from := v.size - int64(len(v.tail)); len(v.tail) > 0 && off >= from && off < v.size {
		return v.tail[off-from:]
	}
	if off >= 0 && off < int64(len(v.head)) {
		return v.head[off:]
	}
	return nil
}

// Checker takes the bytes of one file. It is not safe for concurrent use.
type Checker struct {
	name    string
	inflate int64
	view    view
	begun   [headLen]byte // what view.head stands in
	off     int64
	known   bool // the head is complete and the format named
	format  Format
	blocks  bool // the blocks are sampled
	bad     bool // the bytes are not what the name promises
	walk    walker
	tail    int64 // how much of the end is kept
	sample  sampler
}

// New returns a checker for a file of this name and size. inflate is how many
// packed bytes may be unpacked to prove them, count how many bytes of no known format
// may be counted.
func New(name string, size, inflate int64, count *Budget) *Checker {
	c := &Checker{name: name, inflate: inflate, view: view{size: size}, sample: sampler{budget: count}}
	c.view.head = c.begun[:0]
	return c
}

// Write takes the next bytes. It never fails.
func (c *Checker) Write(p []byte) (int, error) {
	n := len(p)
	if room := headLen - len(c.view.head); room > 0 && c.off < headLen {
		c.view.head = append(c.view.head, p[:min(room, len(p))]...)
	}
	if !c.known {
		if int64(len(c.view.head)) < min(headLen, c.view.size) {
			c.off += int64(n)
			return n, nil
		}
		c.begin()
		c.again(c.view.head[:min(c.off, int64(len(c.view.head)))])
	}
	if c.walk != nil {
		c.walk.write(c.off, p)
	}
	if c.blocks {
		c.sample.write(c.off, p)
	}
	c.off += int64(n)
	if from := c.view.size - c.tail; c.tail > 0 && c.off > from {
		skip := max(from-(c.off-int64(n)), 0)
		if c.view.tail == nil {
			c.view.tail = make([]byte, 0, min(c.tail, c.view.size))
		}
		c.view.tail = append(c.view.tail, p[skip:]...)
	}
	return n, nil
}

// again gives what came before the format was known to those who look at it.
func (c *Checker) again(head []byte) {
	if len(head) == 0 {
		return
	}
	if c.walk != nil {
		c.walk.write(0, head)
	}
	if c.blocks {
		c.sample.write(0, head)
	}
}

// packed says whether the blocks of sound files of this format are noise anyway, so
// that they tell nothing.
func packed(f Format) bool {
	switch f {
	case JPEG, PNG, PDF, Zip, Gzip, SevenZip:
		return true
	}
	return false
}

// begin names the format and chooses the walker.
func (c *Checker) begin() {
	c.known = true
	var sure bool
	c.format, sure = detect(c.view.head, c.name)
	if !sure {
		want := expected(c.name)
		switch {
		case want == Text || want == None && plainText(c.view.head):
			c.format = Text
		case want != None:
			c.format, c.bad, c.blocks = want, true, true
			return
		}
	}
	c.blocks = !packed(c.format)
	c.sample.halves = c.format == DICOM || c.format == TIFF
	if c.format == None {
		c.sample.spread, c.sample.stripes, c.sample.dense = new(spread), new(stripes), [2]int64{-1, -1}
		if h := c.view.head; len(h) >= headSample && distinct(h[:headSample]) >= packedHead {
			c.sample.first = new(spread)
		}
	}
	switch c.format {
	case JPEG:
		c.walk = &jpegWalk{until: c.view.size}
	case PNG:
		c.walk = new(pngWalk)
	case TIFF:
		c.walk, c.tail = new(tiffWalk), longTail
	case DICOM:
		c.walk = newDICOM(c.view.head, c.view.size)
	case PDF:
		c.walk, c.tail = &pdfWalk{allowed: min(c.inflate, c.view.size)}, longTail
	case Zip:
		c.walk, c.tail = &zipWalk{allowed: c.inflate}, zipTail
	case Gzip:
		c.walk = newGzip(c.view.size, c.inflate)
	case SevenZip:
		c.walk = new(sevenZipWalk)
	case SQLite:
		c.walk = newSQLite(c.view.head)
	case InnoDB:
		c.walk = newInnoDB(c.view.head)
	case MyISAMIndex:
		c.walk = new(indexWalk)
	case Tape:
		c.walk, c.tail = new(tapeWalk), longTail
	case Text:
		t := &textWalk{surely: expected(c.name) == Text}
		c.walk, c.tail = t, textTail
		c.sample.zeros = t.surely // noise shows in the text itself
	}
}

// Whole says whether every byte has come.
func (c *Checker) Whole() bool { return c.off == c.view.size }

// Result is called once, after the last byte, or when no more will come: some
// checkers hold what must be given back.
func (c *Checker) Result() Result {
	if !c.known && c.view.size > 0 {
		// The file ended before its head was complete, which its reader reports.
		c.begin()
		c.again(c.view.head)
	}
	r := Result{Format: c.format, Profile: c.sample.profile(c.view.size)}
	if !c.blocks {
		r.Profile.DataEnd = c.view.size
	}
	if len(c.view.head) >= 4 {
		r.Magic = binary.LittleEndian.Uint32(c.view.head)
	}
	if len(c.view.head) >= headSample {
		r.Profile.Head = distinct(c.view.head[:headSample])
	}
	if c.walk != nil && !c.Whole() {
		c.walk.finish(&c.view)
	}
	switch {
	case c.view.size == 0 || !c.Whole():
	case c.bad:
		r.State = Broken
	case c.walk != nil:
		r.State = c.walk.finish(&c.view)
		switch w := c.walk.(type) {
		case *indexWalk:
			if r.State == Sound {
				r.DataLength = w.data
			}
		case *dicomWalk:
			r.Raw = w.raw*2 > c.view.size
		case *tiffWalk:
			r.Raw = w.raw
		}
	}
	if r.Format == Text && r.State == Unknown {
		r.Format = None
	}
	return r
}
