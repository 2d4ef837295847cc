package structure_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"

	"offsite/uploader/verify/structure"
)

// packers make bytes of formats that the package does not know.
var packers = map[string]func(t *testing.T, plain []byte) []byte{
	"deflate": func(t *testing.T, plain []byte) []byte {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, flate.BestSpeed)
		must(t, err)
		w.Write(plain)
		must(t, w.Close())
		return b.Bytes()
	},
	"zstd": func(t *testing.T, plain []byte) []byte {
		w, err := zstd.NewWriter(nil)
		must(t, err)
		return append([]byte("own head"), w.EncodeAll(plain, nil)...)
	},
}

// TestOneBlockInSixteenShowsWithoutComparison: and no sound file looks like it,
// whatever stands in it.
func TestOneBlockInSixteenShowsWithoutComparison(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{11})
	random := make([]byte, 200<<10)
	noise.Read(random)
	for name, pack := range packers {
		same := pack(t, visits(100_000))
		for kind, data := range map[string][]byte{
			"of one piece":                   same,
			"of several":                     bytes.Join([][]byte{same, pack(t, bytes.Repeat(tables(40), 3)), random, pack(t, visits(60_000))}, nil),
			"behind a head that is no noise": append(bytes.Repeat([]byte("a head of tables \x00"), 9000), same...),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				if len(data) < 1<<20 {
					t.Fatalf("%d bytes are too few for what is promised", len(data))
				}
				for _, at := range []int{0, 9} {
					bad := bytes.Clone(data)
					for i := at * structure.BlockSize; i < len(bad); i += 64 << 10 {
						noise.Read(bad[i:min(i+structure.BlockSize, len(bad))])
					}
					for _, step := range []int{1000, len(bad)} {
						if r := look("a.vbk", bad, step); !r.Profile.Striped {
							t.Errorf("noise in block %d of 16, in writes of %d: %+v", at, step, r)
						}
					}
				}
				for _, step := range []int{1000, len(data)} {
					if r := look("a.vbk", data, step); r.Profile.Striped || r.Format != structure.None {
						t.Errorf("sound, in writes of %d: %+v", step, r)
					}
				}
			})
		}
	}
	if r := look("a.vbk", random, len(random)); r.Profile.Striped {
		t.Errorf("noise alone: %+v", r)
	}
}

// TestSlotsOf64KiBAreNoStripes: a format may begin anew every 64 KiB.
func TestSlotsOf64KiBAreNoStripes(t *testing.T) {
	t.Parallel()
	plain := visits(120_000)
	for name, pack := range packers {
		var slots []byte
		for i := 0; i+150_000 < len(plain); i += 150_000 {
			slots = append(slots, append(pack(t, plain[i:i+150_000]), make([]byte, 64<<10)...)[:64<<10]...)
		}
		slots = bytes.Repeat(slots, 8)
		if r := look("a.vbk", slots, 1<<20); r.Profile.Striped || r.Format != structure.None {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestChanceMakesNoStripes: of many sound files none looks striped.
func TestChanceMakesNoStripes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	plain := visits(60_000)
	for n := range 20 {
		from := rng.IntN(len(plain) / 2)
		part := plain[from : from+len(plain)/6+rng.IntN(len(plain)/6)]
		for name, pack := range packers {
			if r := look("a.vbk", pack(t, part), 1<<20); r.Profile.Striped {
				t.Errorf("file %d, %s: %+v", n, name, r)
			}
		}
	}
}

// TestTheBudgetOfCountingIsShared: when it is used up, the usual samples are left.
func TestTheBudgetOfCountingIsShared(t *testing.T) {
	t.Parallel()
	data := packers["deflate"](t, visits(100_000))
	budget := structure.NewBudget(2 << 20)
	var got []int
	for range 3 {
		c := structure.New("a.vbk", int64(len(data)), 0, budget)
		c.Write(data)
		got = append(got, c.Result().Profile.Counted)
	}
	if got[0] < 1<<20 || got[2] > 512<<10 || got[1] < got[2] {
		t.Errorf("counted %v of %d", got, len(data))
	}
}

// tables are rows of numbers that pack less well.
func tables(rows int) []byte {
	var b bytes.Buffer
	rng := rand.New(rand.NewPCG(2, 3))
	for i := range rows * 1000 {
		fmt.Fprintf(&b, "%06d;%x;%d\n", i, rng.Uint32(), rng.IntN(50))
	}
	return b.Bytes()
}
