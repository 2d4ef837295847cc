package structure

import "bytes"

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
)

// Profile sums up the samples of a file.
type Profile struct {
	Samples int
	Noise   int   // per mille of the samples that look random
	Mean    int   // different byte values in a sample, on average, times 256
	Head    int   // different byte values in the first headSample bytes
	DataEnd int64 // where the zeros begin that the file ends with; its size if there are none
}

// headSample is how much of the begin of a file Head is about. Random bytes of that
// number hold 221 different values, with a standard deviation of 5.
const headSample = 512

// sampler takes one sample of each block, at a place that differs from block to
// block, so that no regular pattern of damage falls between the samples.
type sampler struct {
	samples, noisy, sum int
	dataEnd             int64
	part                []byte // a sample that began in the write before
}

func (s *sampler) write(off int64, p []byte) {
	if len(p) == 0 {
		return
	}
	if end := lastData(p); end > 0 {
		s.dataEnd = off + int64(end)
	}
	end := off + int64(len(p))
	for block := off / BlockSize; block*BlockSize < end; block++ {
		// The multiplier spreads neighbours; 31 places of 128 bytes.
		spread := uint32(block) * 2654435761 >> 16
		if block >= allBlocks && spread>>8%fewBlocks != 0 {
			continue
		}
		at := block*BlockSize + int64(spread%31)*sampleLen
		from, to := max(at-off, 0), min(at+sampleLen-off, int64(len(p)))
		switch {
		case from >= to:
		case to-from == sampleLen:
			s.add(p[from:to])
		default: // it crosses two writes
			s.part = append(s.part, p[from:to]...)
			if len(s.part) >= sampleLen {
				s.add(s.part[:sampleLen])
			}
			if at+sampleLen <= end {
				s.part = s.part[:0]
			}
		}
	}
}

func (s *sampler) add(b []byte) {
	n := distinct(b)
	s.samples++
	s.sum += n
	if n >= noise {
		s.noisy++
	}
}

func (s *sampler) profile(size int64) Profile {
	p := Profile{Samples: s.samples, DataEnd: s.dataEnd}
	if s.samples > 0 {
		p.Noise, p.Mean = s.noisy*1000/s.samples, s.sum*256/s.samples
	}
	return p
}

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
