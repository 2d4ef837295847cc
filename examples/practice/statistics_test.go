package practice_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"offsite/examples/practice"
)

// TestCompressesLikeTheRealKinds holds the mix and the ratios (zstd, fastest) that every figure about this folder rests on.
func TestCompressesLikeTheRealKinds(t *testing.T) {
	t.Parallel()
	dir, report := sharedFolder(t)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	plain, packed := map[string]int64{}, map[string]int64{}
	var total int64
	for _, c := range report.Changes {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(c.Path)))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(data)) != c.Size {
			t.Errorf("%s: %d bytes, reported %d", c.Path, len(data), c.Size)
		}
		plain[c.Kind] += c.Size
		packed[c.Kind] += int64(len(enc.EncodeAll(data, nil)))
		total += c.Size
	}
	if total != report.NewBytes || len(report.Changes) != report.NewFiles || total < testSize*95/100 || total > testSize*105/100 {
		t.Errorf("%d bytes in %d files, reported %d and %d, wanted about %d", total, len(report.Changes), report.NewBytes, report.NewFiles, testSize)
	}
	for kind, want := range map[string]struct{ share, shareMost, least, most float64 }{
		"jpeg":       {42, 48, 0.99, 1.03},
		"dicom-jpeg": {18, 22, 0.99, 1.03},
		"dicom-raw":  {3, 5.5, 1.7, 2.3},
		"tiff":       {1.4, 2.6, 1.9, 2.8},
		"png":        {3, 5, 0.99, 1.05},
		"pdf":        {4, 6, 0.99, 1.10},
		"letter":     {0.8, 1.2, 2, 4},
		"e-mail":     {0.6, 1.4, 0.99, 1.5},
		"table":      {16, 18, 2.8, 3.8},
		"sqlite":     {0.7, 1.3, 2, 3.2},
	} {
		share := 100 * float64(plain[kind]) / float64(total)
		ratio := float64(plain[kind]) / float64(packed[kind])
		if share < want.share || share > want.shareMost || ratio < want.least || ratio > want.most {
			t.Errorf("%s: %.1f %% of the bytes, %.2f to 1; want %.1f to %.1f and %.2f to %.2f", kind, share, ratio, want.share, want.shareMost, want.least, want.most)
		}
	}
}

// chiSquare measures how far a histogram is from uniform; about 255 is what cipher text gives.
func chiSquare(b []byte) float64 {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	mean, sum := float64(len(b))/256, 0.0
	for _, n := range count {
		d := float64(n) - mean
		sum += d * d / mean
	}
	return sum
}

// TestNothingLooksEncryptedOrEmpty keeps the folder clear of what detectors of ransomware and of disk-full damage look for.
func TestNothingLooksEncryptedOrEmpty(t *testing.T) {
	t.Parallel()
	dir, _ := sharedFolder(t)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if head := data[:min(len(data), 64<<10)]; len(head) >= 16<<10 {
			if chi := chiSquare(head); chi < 400 {
				t.Errorf("%s: chi-square %.0f looks like cipher text", path, chi)
			}
		}
		if paged := strings.HasSuffix(path, ".FS5") || strings.HasSuffix(path, ".db") || strings.Contains(path, "CEPH"); paged {
			for at := 0; at+4096 <= len(data); at += 4096 {
				if chi := chiSquare(data[at : at+4096]); chi < 340 {
					t.Errorf("%s: block at %d: chi-square %.0f looks like cipher text", path, at, chi)
				}
			}
		}
		run, longest := 0, 0
		for i := 1; i < len(data); i++ {
			if run++; data[i] != data[i-1] {
				run = 0
			}
			longest = max(longest, run)
		}
		if most := map[bool]int{true: 4096, false: 3000}[strings.HasSuffix(path, ".db")]; longest >= most { // SQLite zeroes free space
			t.Errorf("%s: the same byte %d times", path, longest)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoPieceStandsTwice makes sure that deduplication finds only what the days really share.
func TestNoPieceStandsTwice(t *testing.T) {
	t.Parallel()
	dir, report := sharedFolder(t)
	seen := map[[64]byte]string{}
	for _, c := range report.Changes {
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(c.Path)))
		if err != nil {
			t.Fatal(err)
		}
		if c.Kind == "sqlite" { // free space is zero
			continue
		}
		for at := 4096; at+4096 <= len(data); at += 4096 {
			piece := [64]byte(data[at+2000:])
			if other, ok := seen[piece]; ok && strings.Count(string(piece[:]), string(piece[:8])) < 8 {
				t.Errorf("%s at %d: also in %s", c.Path, at, other)
			}
			seen[piece] = c.Path
		}
	}
}

func TestCheckPageFindsDamage(t *testing.T) {
	t.Parallel()
	dir, _ := sharedFolder(t)
	data, err := os.ReadFile(filepath.Join(dir, "UNICONFIG6.FS5"))
	if err != nil {
		t.Fatal(err)
	}
	page := data[practice.PageSize : 2*practice.PageSize]
	if err := practice.CheckPage(page, 1); err != nil {
		t.Fatal(err)
	}
	if practice.CheckPage(page, 2) == nil || practice.CheckPage(page[1:], 1) == nil {
		t.Error("a page in the wrong place is accepted")
	}
	for i := range page {
		page[i] ^= 0x10
		if practice.CheckPage(page, 1) == nil {
			t.Errorf("byte %d damaged and accepted", i)
		}
		page[i] ^= 0x10
	}
}
