package structure

import (
	"bytes"
	"strconv"
)

// pdfWalk looks at the end of a PDF: the mark, and the offset that leads from
// there to the list of the document's parts.
type pdfWalk struct{}

// pdfTail is how far from its end a PDF's last mark may stand; programs append
// line ends and the like.
const pdfTail = 2048

func (pdfWalk) write(int64, []byte) {}

func (pdfWalk) finish(v *view) State {
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
	for _, k := range []struct{ begin, end string }{
		{"-- MySQL dump", "-- Dump completed"},
		{"-- MariaDB dump", "-- Dump completed"},
		{"-- PostgreSQL database dump", "-- PostgreSQL database dump complete"},
		{"{\\rtf", "}"},
		{"<?xml", rootEnd(v.head)},
	} {
		if bytes.Contains(v.head[:min(len(v.head), 512)], []byte(k.begin)) && !bytes.Contains(last, []byte(k.end)) {
			return Short
		}
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
