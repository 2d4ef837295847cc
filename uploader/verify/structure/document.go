package structure

import (
	"bytes"
	"strconv"
)

// pdfWalk follows what is packed inside a PDF as far as it may, and looks at the end:
// the mark, and the offset that leads from there to the list of the document's parts.
type pdfWalk struct {
	allowed   int64 // bytes of the file that may be followed
	mode      pdfMode
	matched   int // bytes of the word that have come
	first     []byte
	stream    *unpacker
	inflate   inflater
	picture   *jpegWalk
	good, bad int // streams
}

type pdfMode uint8

const (
	pdfSeek  pdfMode = iota // the word is due
	pdfLine                 // the end of its line
	pdfFirst                // the first bytes of a stream
	pdfInside
)

// pdfWord stands before each stream. Its first letter is not in it again.
const pdfWord = "stream"

// pdfTail is how far from its end a PDF's last mark may stand; programs append
// line ends and the like.
const pdfTail = 2048

// pdfFew is up to how many streams one that is damaged counts though none is whole: in
// a locked PDF one in a thousand looks by chance as if it were packed and not locked.
const pdfFew = 4

func (w *pdfWalk) write(off int64, p []byte) {
	if off >= w.allowed {
		return
	}
	p = p[:min(int64(len(p)), w.allowed-off)]
	for len(p) > 0 {
		n := w.step(off, p)
		off += int64(n)
		p = p[n:]
	}
}

func (w *pdfWalk) step(off int64, p []byte) (n int) {
	switch w.mode {
	case pdfSeek:
		return w.seek(p)
	case pdfLine:
		switch p[0] {
		case '\r':
		case '\n':
			w.mode, w.first = pdfFirst, w.first[:0]
		default:
			w.mode = pdfSeek
			return 0
		}
		return 1
	case pdfFirst:
		w.first = append(w.first, p[0])
		if len(w.first) == 3 {
			w.begin(off - 2)
		}
		return 1
	}
	if w.stream != nil {
		n = w.stream.write(p)
		if w.stream.done {
			w.count(w.stream.wrong())
		}
		return n
	}
	w.picture.write(off, p)
	switch {
	case w.picture.broken:
		w.count(true)
	case w.picture.mode == jpegDone:
		n = int(w.picture.end - off)
		w.count(false)
		return n
	}
	return len(p)
}

// seek looks for the word and returns how much of p it is through with.
func (w *pdfWalk) seek(p []byte) int {
	for i, c := range p {
		if w.matched == 0 {
			if n := bytes.Index(p[i:], []byte(pdfWord)); n >= 0 {
				w.mode = pdfLine
				return i + n + len(pdfWord)
			}
			// The last bytes may be the begin of it.
			for w.matched = min(len(p)-i, len(pdfWord)-1); w.matched > 0; w.matched-- {
				if string(p[len(p)-w.matched:]) == pdfWord[:w.matched] {
					break
				}
			}
			return len(p)
		}
		if c != pdfWord[w.matched] {
			w.matched = 0
			return i
		}
		if w.matched++; w.matched == len(pdfWord) {
			w.mode, w.matched = pdfLine, 0
			return i + 1
		}
	}
	return len(p)
}

// begin looks at the first bytes of a stream, which begins at off: is it one that can
// be proved?
func (w *pdfWalk) begin(off int64) {
	b := w.first
	switch {
	case b[0]&15 == 8 && b[0]>>4 < 8 && (int(b[0])<<8|int(b[1]))%31 == 0 && b[1]&0x20 == 0:
		w.stream = newUnpacker(w.inflate.open, w.allowed)
		w.mode = pdfInside
		w.stream.write(b[2:])
	case b[0] == 0xff && b[1] == 0xd8 && b[2] == 0xff:
		w.picture = &jpegWalk{whole: true}
		w.picture.write(off, b)
		w.mode = pdfInside
	default:
		w.mode = pdfSeek
	}
}

// count closes a stream.
func (w *pdfWalk) count(bad bool) {
	if w.stream != nil {
		w.stream.close()
	}
	if w.stream, w.picture, w.mode = nil, nil, pdfSeek; bad {
		w.bad++
	} else {
		w.good++
	}
}

func (w *pdfWalk) finish(v *view) State {
	if w.stream != nil {
		w.stream.close()
	}
	locked := bytes.Contains(v.tail, []byte("/Encrypt")) || bytes.Contains(v.head, []byte("/Encrypt"))
	if w.bad > 0 && !locked && (w.good > 0 || w.bad <= pdfFew) {
		return Broken
	}
	tail := v.tail[max(len(v.tail)-pdfTail, 0):]
	end := bytes.LastIndex(tail, []byte("%%EOF"))
	if end < 0 {
		return Short
	}
	start := bytes.LastIndex(tail[:end], []byte("startxref"))
	if start < 0 {
		return Broken
	}
	number := bytes.TrimSpace(tail[start+len("startxref") : end])
	at, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || at < 0 || at >= v.size {
		return Broken
	}
	// The offset counts from the mark at the begin, which may stand a little further
	// in; some programs count from the file's first byte all the same.
	skip := int64(max(bytes.Index(v.head, []byte("%PDF-")), 0))
	for _, off := range []int64{at, at + skip} {
		list := bytes.TrimLeft(v.at(off), " \t\r\n\x00")
		if list == nil && v.at(off) == nil {
			return Sound // out of sight
		}
		if bytes.HasPrefix(list, []byte("xref")) || len(list) > 0 && list[0] >= '0' && list[0] <= '9' {
			return Sound
		}
	}
	if at == 0 {
		return Sound // written so where the list is elsewhere
	}
	return Broken
}

// textWalk samples the text of each block, and knows the ends that some kinds of
// text must have.
type textWalk struct {
	surely      bool // by its name
	wide        bool // UTF-16
	blocks, bad int
}

// textSample is how much of each block must be free of control codes. 64 random
// bytes have none with a probability of one in a thousand.
const textSample = 64

func (t *textWalk) write(off int64, p []byte) {
	if off == 0 && len(p) > 1 {
		t.wide = p[0] == 0xff && p[1] == 0xfe || p[0] == 0xfe && p[1] == 0xff
	}
	if t.wide {
		return
	}
	end := off + int64(len(p))
	for block := off / BlockSize; block*BlockSize < end; block++ {
		at := block*BlockSize + int64(uint32(block)*2654435761>>16%31)*2*textSample
		from, to := max(at-off, 0), min(at+textSample-off, int64(len(p)))
		if from >= to {
			continue
		}
		t.blocks++
		if controls(p[from:to]) {
			t.bad++
		}
	}
}

func (t *textWalk) finish(v *view) State {
	if t.bad*50 > t.blocks { // one block in fifty: a stray page feed is not damage
		if t.surely {
			return Broken
		}
		return Unknown
	}
	tail := bytes.TrimRight(v.tail, " \t\r\n\x00")
	last := tail[max(len(tail)-512, 0):]
	head := v.head[:min(len(v.head), 512)]
	for _, k := range [...]struct{ begin, end string }{
		{"-- MySQL dump", "-- Dump completed"},
		{"-- MariaDB dump", "-- Dump completed"},
		{"-- PostgreSQL database dump", "-- PostgreSQL database dump complete"},
		{"{\\rtf", "}"},
	} {
		if bytes.Contains(head, []byte(k.begin)) && !bytes.Contains(last, []byte(k.end)) {
			return Short
		}
	}
	if bytes.Contains(head, []byte("<?xml")) && !bytes.Contains(last, []byte(rootEnd(v.head))) {
		return Short
	}
	return Sound
}

// rootEnd is how a document of XML that begins with head ends.
func rootEnd(head []byte) string {
	for i := 0; i+1 < len(head); i++ {
		if head[i] != '<' || head[i+1] == '?' || head[i+1] == '!' {
			continue
		}
		name, _, whole := bytes.Cut(head[i+1:], []byte(">"))
		empty := bytes.HasSuffix(name, []byte("/"))
		if space := bytes.IndexAny(name, " \t\r\n/"); space >= 0 {
			name, whole = name[:space], true
		}
		if whole && !empty {
			return "</" + string(name)
		}
		break
	}
	return ">"
}

// controls says whether b holds a byte that no text holds.
func controls(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b {
			return true
		}
	}
	return false
}

// plainText says whether a file that begins with head is text.
func plainText(head []byte) bool {
	if len(head) < textSample {
		return false
	}
	if head[0] == 0xff && head[1] == 0xfe || head[0] == 0xfe && head[1] == 0xff {
		return true
	}
	return !controls(head)
}
