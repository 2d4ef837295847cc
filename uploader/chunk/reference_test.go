package chunk_test

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/zeebo/blake3"

	"offsite/uploader/chunk"
)

// reference cuts b as FORMAT.md says, position by position and without any of
// the package's haste: the state rolls over the whole file, nothing is skipped.
func reference(seed [32]byte, b []byte, lo, turn, hi int, strict, easy uint64) []int {
	table, key := make([]byte, 2048), make([]byte, 16)
	blake3.DeriveKey("offsite 2026 chunk gear table", seed[:], table)
	blake3.DeriveKey("offsite 2026 chunk accept key", seed[:], key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	states := make([]uint64, len(b)+1)
	for i, x := range b {
		states[i+1] = states[i]<<1 + binary.LittleEndian.Uint64(table[8*int(x):])
	}
	accepted := func(n int, oneIn uint64) bool {
		state := states[n]
		if state>>54 != 0 {
			return false
		}
		var in, out [16]byte
		binary.LittleEndian.PutUint64(in[:], state)
		block.Encrypt(out[:], in[:])
		return binary.LittleEndian.Uint64(out[:]) <= (1<<63-1)/oneIn*2+1 // less than 2^64 / oneIn
	}
	var sizes []int
	for s := 0; s < len(b); {
		n := s + lo
		for n++; n < min(s+hi, len(b)); n++ {
			if n <= s+turn && accepted(n, strict) || n > s+turn && accepted(n, easy) {
				break
			}
		}
		n = min(n, len(b))
		sizes = append(sizes, n-s)
		s = n
	}
	return sizes
}

func TestCutsAreThoseOfTheWrittenRules(t *testing.T) {
	t.Parallel()
	for seed := range byte(3) {
		key := [32]byte{5: seed}
		c := chunk.New(key)
		for name, in := range map[string][]byte{
			"random": random(20+seed, 300<<10+4321),
			"text":   text(uint64(seed), 300<<10+99),
			"period": bytes.Repeat(random(seed, 300), 700),
			"zeros":  make([]byte, 140<<10),
		} {
			want := reference(key, in, 8<<10, 26<<10, 128<<10, 128, 8)
			if got := sizes(t, c, chunk.Volatile, in); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("volatile, seed %d, %s: %v, want %v", seed, name, got, want)
			}
		}
		in := random(30+seed, 4<<20)
		want := reference(key, in, 512<<10, 800<<10, 4<<20, 4096, 256)
		if got := sizes(t, c, chunk.WriteOnce, in); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("write-once, seed %d: %v, want %v", seed, got, want)
		}
	}
}
