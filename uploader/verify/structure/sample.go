package structure

import (
	"bytes"
	"sync/atomic"
)

const (
	// BlockSize is the block of which one sample is taken. Partial encryption works
	// in runs of some KiB, and pages of databases are multiples of it.
	BlockSize = 4096
	// sampleLen is how much of each block is looked at: few enough bytes to cost a
	// small part of what hashing the block costs, and enough to tell noise from
	// anything else. 128 random bytes hold 101 different values on average, with a
	// standard deviation of 4; text holds 35, tables and raw pixels hold 10 to 75.
	sampleLen = 128
	// noise is from how many different values on a sample counts as noise. Of 10,000
	// samples of random bytes, fewer than ten have less.
	noise = 88
	// allBlocks is up to where every block is sampled; of those behind it one in
	// fewBlocks is, picked so that no regular pattern escapes.
	allBlocks = 64
	fewBlocks = 4
	// allPlain is the same for files of no known format that look like noise: how evenly
	// their bytes are spread is all that tells packed from locked. Of the first allBlocks
	// nearly every byte counts, and of the others here as far as the Budget goes.
	allPlain = 512
	// allHalves is of how many samples of a picture the halves are compared before only
	// those of one in fewBlocks are.
	allHalves = 8
)

// Profile sums up the samples of a file.
type Profile struct {
	Samples int
	Noise   int   // per mille of the samples that look random
	Mean    int   // different byte values in a sample, on average, times 256
	Head    int   // different byte values in the first headSample bytes
	DataEnd int64 // where the zeros begin that the file ends with; its size if there are none
	// Skew is by how much the first 16 of every 32 bytes hold more different values than
	// the others, in a sample on average, times 256. Of pictures alone, else 0.
	Skew int
	// Counted is how many bytes Bias is about.
	Counted int
	// Bias is how far the bytes are from being spread evenly over all values, in
	// units of BiasUnit: 0 for what is locked, 100 and more for what is packed. It is
	// known of files of no known format alone. HeadBias is that of the first block, if
	// that looks like noise.
	Bias, HeadBias int
	// Striped says that of files of no known format one block in sixteen is spread evenly
	// and the others are not.
	Striped bool
}

// Budget is how many bytes may be counted beyond those that every file is worth. Many
// checkers may share one. Nil: none.
type Budget struct{ left atomic.Int64 }

// NewBudget returns a budget of n bytes.
func NewBudget(n int64) *Budget {
	b := new(Budget)
	b.left.Store(n)
	return b
}

func (b *Budget) take(n int64) bool { return b != nil && b.left.Load() > 0 && b.left.Add(-n) >= 0 }

// BiasUnit is one part in so many; a chi-square per byte.
const BiasUnit = 1 << 17

// headSample is how much of the begin of a file Head is about. Random bytes of that
// number hold 221 different values, with a standard deviation of 5.
const headSample = 512

// sampler takes one sample of each block, at a place that differs from block to
// block, so that no regular pattern of damage falls between the samples.
type sampler struct {
	samples, noisy, sum int
	skew, compared      int // of the halves, and in how many samples
	dataEnd             int64
	part                []byte // a sample that began in the write before
	zeros               bool   // nothing is looked at but the zeros at the end
	halves              bool   // the halves of samples are compared
	spread, first       *spread
	stripes             *stripes
	dense               [2]int64 // the blocks of which every byte counts: this one, perhaps, and the next
	budget              *Budget
}

func (s *sampler) write(off int64, p []byte) {
	if len(p) == 0 {
		return
	}
	if end := lastData(p); end > 0 {
		s.dataEnd = off + int64(end)
	}
	if s.zeros {
		return
	}
	if s.first != nil && off < BlockSize {
		s.first.add(p[:min(int64(len(p)), BlockSize-off)])
	}
	end := off + int64(len(p))
	for block := off / BlockSize; block*BlockSize < end; block++ {
		if s.counts(block) && s.spread != nil {
			s.count(block, p[max(block*BlockSize-off, 0):min((block+1)*BlockSize-off, int64(len(p)))], BlockSize)
		}
		// The multiplier spreads neighbours; 31 places of 128 bytes.
		spread := uint32(block) * 2654435761 >> 16
		if block >= allBlocks && spread>>8%fewBlocks != 0 && (block >= allPlain || s.spread == nil || s.noisy == 0) {
			continue
		}
		at := block*BlockSize + int64(spread%31)*sampleLen
		from, to := max(at-off, 0), min(at+sampleLen-off, int64(len(p)))
		switch {
		case from >= to:
		case to-from == sampleLen:
			s.add(block, p[from:to])
		default: // it crosses two writes
			s.part = append(s.part, p[from:to]...)
			if len(s.part) >= sampleLen {
				s.add(block, s.part[:sampleLen])
			}
			if at+sampleLen <= end {
				s.part = s.part[:0]
			}
		}
	}
}

func (s *sampler) add(block int64, b []byte) {
	n := distinct(b)
	s.samples++
	s.sum += n
	if n >= noise {
		s.noisy++
	}
	if s.halves && (s.samples <= allHalves || s.samples%fewBlocks == 0) {
		s.skew += halves(b)
		s.compared++
	}
	if s.spread == nil || n < noise {
		return
	}
	if !s.counts(block) {
		s.count(block, b, sampleLen)
	}
	if block+1 < allBlocks || block+1 < allPlain && s.budget.take(BlockSize) {
		s.dense = [2]int64{s.dense[1], block + 1}
	}
}

// counts says whether every byte of a block counts.
func (s *sampler) counts(block int64) bool { return block == s.dense[0] || block == s.dense[1] }

// count counts bytes of a block, of which whole ones will come in one piece or several.
func (s *sampler) count(block int64, b []byte, whole int) {
	s.spread.add(b)
	s.stripes.add(block, b, whole, s.spread)
}

func (s *sampler) profile(size int64) Profile {
	p := Profile{Samples: s.samples, DataEnd: s.dataEnd, Bias: s.spread.bias(), HeadBias: s.first.bias()}
	if s.samples > 0 {
		if s.spread != nil {
			p.Counted, p.Striped = s.spread.total, s.stripes.striped()
		}
		p.Noise, p.Mean = s.noisy*1000/s.samples, s.sum*256/s.samples
	}
	if s.compared > 0 {
		p.Skew = s.skew * 256 / s.compared
	}
	return p
}

// halves compares the bytes of a sample that would be written over if every other 16
// bytes were with the rest.
func halves(b []byte) int {
	var seen [256]uint8
	even, odd := 0, 0
	for i := 0; i+32 <= len(b); i += 32 {
		for _, c := range b[i : i+16] {
			even += int(1 - seen[c]&1)
			seen[c] |= 1
		}
		for _, c := range b[i+16 : i+32] {
			odd += int(1 - seen[c]>>1)
			seen[c] |= 2
		}
	}
	return even - odd
}

// spread counts byte values.
type spread struct {
	count [256]uint32
	total int
}

func (s *spread) add(b []byte) {
	for _, c := range b {
		s.count[c]++
	}
	s.total += len(b)
}

// bias is the chi-square beyond that of random bytes, per byte.
func (s *spread) bias() int {
	if s == nil || s.total == 0 {
		return 0
	}
	sum, due := 0.0, float64(s.total)/256
	for _, n := range s.count {
		sum += (float64(n) - due) * (float64(n) - due) / due
	}
	return int(max(sum-255, 0) / float64(s.total) * BiasUnit)
}

// BiasError is the standard deviation of the bias of so many random bytes.
func BiasError(counted int) int { return biasError / max(counted, 1) }

// biasError is that of one byte: chi-square of 256 values has a deviation of 22.6.
const biasError = BiasUnit * 226 / 10

// distinct counts the different values in b.
func distinct(b []byte) (n int) {
	var seen [256]uint8
	for _, c := range b {
		n += int(1 - seen[c])
		seen[c] = 1
	}
	return n
}

// zeroRun is compared with what may be zeros.
const zeroRun = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// lastData returns where the zeros begin that p ends with.
func lastData(p []byte) int {
	for len(p) >= len(zeroRun) && string(p[len(p)-len(zeroRun):]) == zeroRun {
		p = p[:len(p)-len(zeroRun)]
	}
	return len(bytes.TrimRight(p[:], "\x00"))
}
