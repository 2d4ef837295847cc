package uploader_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"offsite/uploader"
)

// most is how much memory a run may take at its peak, in MiB, with two workers and
// one store: spans 32, packs being filled 64, sealed packs 64, encoders and
// scratch 20, the program itself 20, and what the garbage collector leaves lying. It does not
// depend on the size of the set, but for some 500 bytes a file.
const most = 320

// withRace is how many times as much the race detector needs.
const withRace = 4

// TestMemoryStaysBounded makes runs in processes of their own and reads their peak.
func TestMemoryStaysBounded(t *testing.T) {
	for _, what := range []string{"a sparse file of 1 GiB", "20,000 small files", "noise of 200 MiB"} {
		t.Run(what, func(t *testing.T) {
			if thin > 1 && what != "20,000 small files" {
				t.Skip("the race detector is too slow for so many bytes")
			}
			exe, err := os.Executable()
			check(t, err)
			cmd := exec.Command(exe, "-test.run=^TestMemoryOfARun$", "-test.v")
			cmd.Env = append(os.Environ(), "OFFSITE_TEST_MEMORY="+what)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, rest, ok := bytes.Cut(out, []byte("peak "))
			mib, err := strconv.Atoi(strings.Fields(string(rest) + " x")[0])
			if !ok || err != nil {
				t.Fatalf("no peak in: %s", out)
			}
			limit := most
			if thin > 1 {
				limit *= withRace
			}
			t.Logf("peak %d MiB; %s", mib, bytes.TrimSpace(rest))
			if mib > limit {
				t.Errorf("peak of %d MiB, want at most %d", mib, limit)
			}
		})
	}
}

// TestMemoryOfARun is the other process.
func TestMemoryOfARun(t *testing.T) {
	what := os.Getenv("OFFSITE_TEST_MEMORY")
	if what == "" {
		t.Skip("part of TestMemoryStaysBounded")
	}
	p := newPC(t, t.TempDir())
	switch what {
	case "20,000 small files":
		for i := range 20_000 / thin {
			p.write(fmt.Sprintf("%03d/%d.txt", i/100, i), noise(uint64(i), 500+i%1000))
		}
	case "a sparse file of 1 GiB":
		p.write("sparse.img", "")
		check(t, os.Truncate(p.path("sparse.img"), 1<<30))
	default:
		for i := range 50 {
			p.write(fmt.Sprintf("%d.jpg", i), noise(uint64(i), 4<<20))
		}
	}
	d, _ := folder(t)
	p.addStore("folder", d)
	start := time.Now()
	before := peak(t)
	res, err := uploader.Run(t.Context(), p.config(), p.judge())
	if err != nil {
		t.Fatal(describe(res, err))
	}
	fmt.Printf("peak %d MiB, %d before the run, which took %v for %d bytes\n", peak(t), before, time.Since(start).Round(time.Millisecond), res.Bytes)
}

// peak is the largest resident size this process has had, in MiB.
func peak(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	check(t, err)
	_, rest, ok := bytes.Cut(b, []byte("VmHWM:"))
	kib, err := strconv.Atoi(strings.Fields(string(rest))[0])
	if !ok || err != nil {
		t.Fatalf("read peak: %v", err)
	}
	return kib >> 10
}
