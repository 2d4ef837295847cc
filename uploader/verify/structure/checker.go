package structure

const (
	// headLen is enough to tell every format.
	headLen = 4096
	// tailLen holds the end of a file where its directory stands: 64 KiB is the
	// longest comment behind the directory of a ZIP, and more than any other needs.
	tailLen = 64<<10 + 22
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
	tail []byte // the last bytes, at most tailLen; empty for formats without a tail
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
	off     int64
	known   bool // the head is complete and the format named
	format  Format
	bad     bool // the bytes are not what the name promises
	walk    walker
	tail    bool
	sample  sampler
}

// New returns a checker for a file of this name and size. inflate is how many
// packed bytes may be unpacked to prove them.
func New(name string, size, inflate int64) *Checker {
	return &Checker{name: name, inflate: inflate, view: view{size: size}}
}

// Write takes the next bytes. It never fails.
func (c *Checker) Write(p []byte) (int, error) {
	n := len(p)
	c.sample.write(c.off, p)
	if room := headLen - len(c.view.head); room > 0 && c.off < headLen {
		c.view.head = append(c.view.head, p[:min(room, len(p))]...)
	}
	if !c.known {
		if int64(len(c.view.head)) < min(headLen, c.view.size) {
			c.off += int64(n)
			return n, nil
		}
		c.begin()
		if from := c.off; from > 0 && c.walk != nil { // the head came in pieces
			c.walk.write(0, c.view.head[:min(from, int64(len(c.view.head)))])
		}
	}
	if c.walk != nil {
		c.walk.write(c.off, p)
	}
	c.off += int64(n)
	if from := c.view.size - tailLen; c.tail && c.off > from {
		skip := max(from-(c.off-int64(n)), 0)
		if c.view.tail == nil {
			c.view.tail = make([]byte, 0, min(tailLen, c.view.size))
		}
		c.view.tail = append(c.view.tail, p[skip:]...)
	}
	return n, nil
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
			c.format, c.bad = want, true
			return
		}
	}
	switch c.format {
	case JPEG:
		c.walk = new(jpegWalk)
	case PNG:
		c.walk = new(pngWalk)
	case TIFF:
		c.walk, c.tail = new(tiffWalk), true
	case DICOM:
		c.walk = newDICOM(c.view.head, c.view.size)
	case PDF:
		c.walk, c.tail = new(pdfWalk), true
	case Zip:
		c.walk, c.tail = &zipWalk{allowed: c.inflate}, true
	case Gzip:
		c.walk = &gzipWalk{allowed: c.inflate, size: c.view.size}
	case SevenZip:
		c.walk = new(sevenZipWalk)
	case SQLite:
		c.walk = newSQLite(c.view.head)
	case InnoDB:
		c.walk = newInnoDB(c.view.head)
	case MyISAMIndex:
		c.walk = new(indexWalk)
	case Tape:
		c.walk, c.tail = new(tapeWalk), true
	case Text:
		c.walk, c.tail = &textWalk{surely: expected(c.name) == Text}, true
	}
}

// Result is called after the last byte.
func (c *Checker) Result() Result {
	if !c.known && c.view.size > 0 {
		// The file ended before its head was complete, which its reader reports.
		c.begin()
	}
	r := Result{Format: c.format, Profile: c.sample.profile(c.view.size)}
	if len(c.view.head) >= headSample {
		r.Profile.Head = distinct(c.view.head[:headSample])
	}
	switch {
	case c.view.size == 0 || c.off != c.view.size:
	case c.bad:
		r.State = Broken
	case c.walk != nil:
		r.State = c.walk.finish(&c.view)
		if i, ok := c.walk.(*indexWalk); ok && r.State == Sound {
			r.DataLength = i.data
		}
	}
	if r.Format == Text && r.State == Unknown {
		r.Format = None
	}
	return r
}
