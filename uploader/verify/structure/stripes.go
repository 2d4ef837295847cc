package structure

import (
	"cmp"
	"math"
	"slices"
)

// stripes finds out whether one block in sixteen of packed bytes is locked: 4 KiB of
// every 64 KiB, which some ransomware leaves it at for speed. Packed bytes are not
// spread as evenly as locked ones are, but one block says too little of that. So each
// block is asked how much more likely its bytes are in this file than in noise, and
// the answers of blocks that stand sixteen apart are put together: where they are
// locked, they are what noise answers, and below all others. Nothing about the format
// needs to be known, nor any file before this one.
type stripes struct {
	weight [256]int32 // of a byte's value: likelihood, as a logarithm times weightUnit
	due    float64    // the answer of a random byte, on average, and its variance
	vary   float64
	blocks int   // that the spread was made of
	next   int   // at so many the weights are made anew
	block  int64 // that is coming
	sum    int64 // of its answer so far
	len    int
	whole  answers // of blocks of which every byte counts
	parts  answers // of samples
}

const (
	stripe = 16
	// learnt is how many blocks must be known before others are asked.
	learnt     = 16
	weightUnit = 1 << 12
	// stripeErrors is how many standard deviations the answers of blocks that stand
	// sixteen apart must be below those of the others, where the file is of one piece.
	stripeErrors = 6
	// rankErrors is the same for their ranks among their neighbours. How ranks spread by
	// chance is known exactly, whatever the file is like: so far apart they are in one
	// of 9,000 files.
	rankErrors = 4.5
	// noiseErrors is how many standard deviations their answers may be from those of
	// noise: a format may well do something every 64 KiB, but not that.
	noiseErrors = 5
	// rankAmong is how many blocks are ranked together: what differs from place to place
	// in a file is much the same there.
	rankAmong = 64
	// stripeLeast is how many blocks there must be sixteen apart.
	stripeLeast = 4
)

// add takes bytes of a block, of which whole ones come in one piece or several.
func (s *stripes) add(block int64, b []byte, whole int, spread *spread) {
	if block != s.block { // of the one before not all came
		s.block, s.sum, s.len = block, 0, 0
	}
	sum := int64(0)
	for _, c := range b {
		sum += int64(s.weight[c])
	}
	s.sum += sum
	if s.len += len(b); s.len < whole {
		return
	}
	if s.blocks >= learnt {
		a := &s.parts
		if whole == BlockSize {
			a = &s.whole
		}
		a.add(block, float64(s.sum)/weightUnit, s.due*float64(whole), s.vary*float64(whole))
	}
	s.sum, s.len = 0, 0
	if s.blocks++; s.blocks >= max(s.next, learnt) {
		s.next = 2 * s.blocks
		sum, square := 0.0, 0.0
		for c, n := range spread.count {
			// One of each value more keeps what was never seen from deciding alone.
			w := math.Log(float64(n+1) * 256 / float64(spread.total+256))
			s.weight[c] = int32(math.Round(weightUnit * w))
			sum, square = sum+w, square+w*w
		}
		s.due, s.vary = sum/256, square/256-sum/256*sum/256
	}
}

func (s *stripes) striped() bool { return s != nil && (s.whole.striped() || s.parts.striped()) }

// answers are those of the blocks so far.
type answers struct {
	near [rankAmong]answer // those that are not ranked yet
	n    int
	by   [stripe]class
}

type answer struct {
	block int64
	value float64
}

// class are the blocks with one number modulo sixteen.
type class struct {
	n           int
	sum, square float64
	due, vary   float64 // what noise would have answered, and its variance
	ranked      int
	rank        float64 // sum of the ranks, each between -1/2 and 1/2
}

func (a *answers) add(block int64, value, due, vary float64) {
	c := &a.by[block%stripe]
	c.n++
	c.due += due
	c.vary += vary
	c.sum += value
	c.square += value * value
	a.near[a.n] = answer{block, value}
	if a.n++; a.n == rankAmong {
		a.rank()
	}
}

// rank ranks the last answers.
func (a *answers) rank() {
	near := a.near[:a.n]
	slices.SortFunc(near, func(x, y answer) int { return cmp.Compare(x.value, y.value) })
	for i, x := range near {
		c := &a.by[x.block%stripe]
		c.ranked++
		c.rank += (float64(i)+0.5)/float64(len(near)) - 0.5
	}
	a.n = 0
}

func (a *answers) striped() bool {
	if a.n >= 2*stripe {
		a.rank()
	}
	var all class
	for _, c := range a.by {
		all.n, all.sum, all.square = all.n+c.n, all.sum+c.sum, all.square+c.square
	}
	for _, c := range a.by {
		rest := float64(all.n - c.n)
		if c.n < stripeLeast || rest < 2*stripe || math.Abs(c.sum-c.due) > noiseErrors*math.Sqrt(c.vary) {
			continue
		}
		mean, here := (all.sum-c.sum)/rest, c.sum/float64(c.n)
		variance := max((all.square-c.square)/rest-mean*mean, 0)
		if mean > 0 && here < 0 && mean-here > stripeErrors*math.Sqrt(variance/float64(c.n)) {
			return true
		}
		if c.ranked >= stripeLeast && -c.rank > rankErrors*math.Sqrt(float64(c.ranked)/12) {
			return true
		}
	}
	return false
}
