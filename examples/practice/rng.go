package practice

import "encoding/binary"

// rng is splitmix64: a counter and a mixer, so that a stream is found again from its key alone and every word costs
// about a nanosecond. It is no cipher and needs to be none.
type rng struct{ s uint64 }

const golden = 0x9e3779b97f4a7c15

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// newRNG derives an independent stream from a seed and the names of what it is for.
func newRNG(seed uint64, parts ...uint64) rng {
	h := mix(seed + golden)
	for _, p := range parts {
		h = mix(h ^ mix(p+golden)*3)
	}
	return rng{s: h}
}

func (r *rng) next() uint64 {
	r.s += golden
	return mix(r.s)
}

// below returns a number in [0, n); the bias is far below what any test here could see.
func (r *rng) below(n int) int {
	if n <= 1 {
		return 0
	}
	return int((r.next() >> 33) % uint64(n))
}

// fill writes random bytes.
func (r *rng) fill(b []byte) {
	s := r.s
	for len(b) >= 8 {
		s += golden
		binary.LittleEndian.PutUint64(b, mix(s))
		b = b[8:]
	}
	r.s = s
	if len(b) > 0 {
		var last [8]byte
		binary.LittleEndian.PutUint64(last[:], r.next())
		copy(b, last[:])
	}
}

// round splits n/d into a whole number and a chance, so that small tables see their share over many days.
func (r *rng) round(n, d int64) int64 {
	q, rest := n/d, n%d
	if rest > 0 && int64(r.next()>>1)%d < rest {
		q++
	}
	return q
}
