// Package chunk cuts a stream of bytes into chunks, so that bytes stored once
// are found again in the next backup, also when they have moved.
//
// It promises that a cut depends on nothing but the seed, the kind and the bytes
// from the start of the chunk to the cut: not on buffer sizes, the platform or
// what was cut before. All PCs that hold one seed therefore cut alike. It
// promises the size limits of every Kind, of which only a stream's last chunk may
// fall short. It refuses nothing: every stream can be cut.
//
// The rules are written down in FORMAT.md. Readers do not need them: changing them
// breaks no stored snapshot, but every large file is then stored once more.
package chunk

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"github.com/zeebo/blake3"
)

// A Kind says how a stream's content changes between backups, and so which chunk
// sizes pay. It is no part of any format: each file's kind may change freely.
type Kind uint8

const (
	// WriteOnce is content that is written once and then kept (images, documents,
	// archives). Up to 512 KiB it is one chunk, above that chunks average 1 MiB.
	WriteOnce Kind = iota
	// Volatile is content that grows or has passages rewritten at any offset
	// (logs, mailboxes, text dumps). Chunks average 32 KiB.
	Volatile
	// Paged is content rewritten in place in pages (databases). Chunks are 16 KiB
	// at multiples of 16 KiB, the commonest page size or a multiple of it.
	Paged
)

// String returns the kind's name for logs and reports.
func (k Kind) String() string {
	switch k {
	case WriteOnce:
		return "write-once"
	case Volatile:
		return "volatile"
	case Paged:
		return "paged"
	}
	return "unknown"
}

// Max is the length of the longest chunk of the kind. A caller that offers Next
// this many bytes always gets a chunk.
func (k Kind) Max() int { return k.rule().max }

// MaxLen is the longest chunk of any kind; buffers and decoders may rely on it.
const MaxLen = 4 << 20

// rule holds the sizes of one kind, in bytes. No cut is made before min, few
// before turn, many after it, and one at max at the latest: sizes then lie
// closely around the average, which bounds both waste and what sizes reveal.
type rule struct {
	min, turn, max int
	// strict and easy are the shares of candidates (out of 2^64) that are
	// accepted before and after turn.
	strict, easy uint64
	// span is what the two cursors search at a time: long enough to hide the cost
	// of starting them, short enough that little of the second half is wasted.
	span int
}

// share gives one candidate in n.
func share(n uint64) uint64 { return ^uint64(0)/n + 1 }

func (k Kind) rule() rule {
	switch k {
	case Volatile: // one cut in 128 KiB before turn, one in 8 KiB after: mean 32 KiB
		return rule{min: 8 << 10, turn: 26 << 10, max: 128 << 10, strict: share(128), easy: share(8), span: 8 << 10}
	case Paged:
		return rule{min: 16 << 10, turn: 16 << 10, max: 16 << 10}
	default: // one cut in 4 MiB before turn, one in 256 KiB after: mean 1 MiB
		return rule{min: 512 << 10, turn: 800 << 10, max: MaxLen, strict: share(4096), easy: share(256), span: 64 << 10}
	}
}

const (
	// window is how many bytes decide on a cut: the rolling state is shifted by one
	// bit a byte, so after 64 bytes nothing of the oldest is left.
	window = 64
	// candidateBits must be zero at the top of the rolling state before it is worth
	// asking the accept function: one position in 1024.
	candidateBits = 10
	limit         = 1 << (64 - candidateBits)
)

// Contexts of the two keys derived from the seed. They are part of the rules.
const (
	gearContext   = "offsite 2026 chunk gear table"
	acceptContext = "offsite 2026 chunk accept key"
)

// Cutter cuts with one seed. It is immutable: one Cutter may serve any number of
// goroutines and streams.
type Cutter struct {
	gear   [256]uint64
	accept cipher.Block
}

// New returns the Cutter of a seed. The seed is secret: whoever has it can tell
// from chunk sizes alone whether a known large file was backed up.
func New(seed [32]byte) *Cutter {
	var c Cutter
	var table [len(c.gear) * 8]byte
	blake3.DeriveKey(gearContext, seed[:], table[:])
	for i := range c.gear {
		c.gear[i] = binary.LittleEndian.Uint64(table[i*8:])
	}
	var key [16]byte
	blake3.DeriveKey(acceptContext, seed[:], key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("chunk: make accept cipher: " + err.Error()) // only a wrong key length can fail
	}
	c.accept = block
	return &c
}

// Next returns the length of the first chunk in b. final says that the stream
// ends with b. It returns 0 when b is too short to tell, which never happens
// with final or with len(b) >= k.Max(), and when b is empty.
func (c *Cutter) Next(k Kind, b []byte, final bool) int {
	r := k.rule()
	if len(b) > r.min && k != Paged {
		if n := c.find(b[:min(len(b), r.max)], r); n > 0 {
			return n
		}
	}
	switch {
	case len(b) >= r.max:
		return r.max
	case final:
		return len(b)
	}
	return 0
}

// find searches b, which is longer than r.min and no longer than r.max.
func (c *Cutter) find(b []byte, r rule) int {
	s := search{c: c}
	if n := s.scan(b, r.min, min(r.turn, len(b)), r.strict, r.span); n > 0 {
		return n
	}
	return s.scan(b, r.turn, len(b), r.easy, r.span)
}

// search is the state of one call: the two blocks would otherwise be allocated
// for each candidate, since they are handed to an interface.
type search struct {
	c       *Cutter
	in, out [aes.BlockSize]byte
	asked   uint64 // the last state that accepts was asked about, 0 at first
	answer  uint64
}

// accepts says whether a candidate is a cut. AES is what makes the decision
// unpredictable: the rolling state alone is linear in the table, and tables were
// recovered from chunk sizes in published attacks on other programs.
func (s *search) accepts(state, share uint64) bool {
	if state != s.asked || s.asked == 0 {
		binary.LittleEndian.PutUint64(s.in[:], state)
		s.c.accept.Encrypt(s.out[:], s.in[:])
		s.asked, s.answer = state, binary.LittleEndian.Uint64(s.out[:])
	}
	return s.answer < share
}

// warm returns the rolling state after the window that ends before b[at].
func (c *Cutter) warm(b []byte, at int) (state uint64) {
	for _, x := range b[at-window : at] {
		state = state<<1 + c.gear[x]
	}
	return state
}

// scan returns the first cut n with from < n <= to, or 0. It works in spans, with
// a cursor at the start and one in the middle of each: two independent chains of
// additions keep the processor busy where one would wait for itself. The second
// cursor's find counts only if the first finds nothing, so cuts are those of a
// plain loop.
func (s *search) scan(b []byte, from, to int, share uint64, span int) int {
	for from < to {
		half := min(span, to-from) / 2
		if half < window {
			return s.single(b[:to], from, s.c.warm(b, from), share)
		}
		if n := s.double(b, from, half, share); n > 0 {
			return n
		}
		from += 2 * half
	}
	return 0
}

// double searches b[from:from+half] and b[from+half:from+2*half] side by side.
func (s *search) double(b []byte, from, half int, share uint64) int {
	gear := &s.c.gear
	middle, end := from+half, from+2*half
	x, y := s.c.warm(b, from), s.c.warm(b, middle)
	for i := from; i < middle; {
		var n int
		n, x, y = advance(gear, b[i:middle], b[i+half:end], x, y)
		i += n
		if x < limit && s.accepts(x, share) {
			return i
		}
		if y < limit && s.accepts(y, share) {
			if n := s.single(b[:middle], i, x, share); n > 0 {
				return n
			}
			return i + half
		}
	}
	return 0
}

// single searches b[from:], beginning with the state before b[from].
func (s *search) single(b []byte, from int, state, share uint64) int {
	for i := from; i < len(b); i++ {
		state = state<<1 + s.c.gear[b[i]]
		if state < limit && s.accepts(state, share) {
			return i + 1
		}
	}
	return 0
}

// advance moves both cursors until one stands behind a candidate or a ends, and
// returns how far. It calls nothing, so that all it uses stays in registers: with
// the accept function inside this loop the package is half as fast.
func advance(gear *[256]uint64, a, b []byte, x, y uint64) (int, uint64, uint64) {
	b = b[:len(a)]
	for i, p := range a {
		x = x<<1 + gear[p]
		y = y<<1 + gear[b[i]]
		if x < limit || y < limit {
			return i + 1, x, y
		}
	}
	return len(a), x, y
}
