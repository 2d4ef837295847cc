package structure_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offsite/examples/practice"
	"offsite/uploader/verify/structure"
)

// look checks bytes in writes of the given length, with all that may be counted.
func look(name string, b []byte, step int) structure.Result {
	return feed(structure.New(name, int64(len(b)), 1<<20, structure.NewBudget(4<<20)), b, step)
}

func feed(c *structure.Checker, b []byte, step int) structure.Result {
	for len(b) > 0 {
		n := min(step, len(b))
		c.Write(b[:n])
		b = b[n:]
	}
	return c.Result()
}

// sample is a sound file.
type sample struct {
	name   string
	format structure.Format
	data   []byte
}

// samples are sound files of every kind that the practice of the examples keeps,
// and of some that it does not.
func samples(t testing.TB) []sample {
	t.Helper()
	dir := t.TempDir()
	if _, err := practice.Generate(context.Background(), practice.Options{Dir: dir, Size: 8 << 20, Seed: 3}); err != nil {
		t.Fatal(err)
	}
	want := map[string]structure.Format{".jpg": structure.JPEG, ".png": structure.PNG, ".tif": structure.TIFF, ".dcm": structure.DICOM, ".pdf": structure.PDF,
		".db": structure.SQLite, ".rtf": structure.Text, ".eml": structure.Text}
	var out []sample
	seen := map[string]int{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		ext := filepath.Ext(path)
		if err != nil || want[ext] == structure.None || seen[ext] == 3 {
			return err
		}
		data, err := os.ReadFile(path)
		if len(data) > 24<<10 {
			seen[ext]++
			out = append(out, sample{fmt.Sprintf("%d%s", seen[ext], ext), want[ext], data})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(out, made(t)...)
}

// made are files that Go's library writes, and the formats that it does not.
func made(t testing.TB) []sample {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	img := image.NewRGBA(image.Rect(0, 0, 400, 300))
	for i := range img.Pix {
		img.Pix[i] = byte(i/97) + byte(r.IntN(9))
	}
	img.Set(1, 1, color.White)
	var j, p, z, d, g bytes.Buffer
	must(t, jpeg.Encode(&j, img, nil))
	must(t, png.Encode(&p, img))
	text := strings.Repeat("a line of text, and another one; ", 3000)
	archive := zip.NewWriter(&z)
	for i, method := range []uint16{zip.Deflate, zip.Store} {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i), Method: method})
		must(t, err)
		for range 2000 {
			fmt.Fprintf(w, "%d %s", r.Uint64(), text[:40])
		}
	}
	must(t, archive.Close())
	archive = zip.NewWriter(&d)
	for i := range 5 { // with lengths behind the entries
		w, err := archive.Create(fmt.Sprint(i))
		must(t, err)
		for range 1000 {
			fmt.Fprintf(w, "%d %s", r.Uint64(), text[:40])
		}
	}
	must(t, archive.Close())
	gz := gzip.NewWriter(&g)
	for range 3000 {
		fmt.Fprintf(gz, "%d %s", r.Uint64(), text[:40])
	}
	must(t, gz.Close())
	return []sample{
		{"made.jpg", structure.JPEG, j.Bytes()}, {"made.png", structure.PNG, p.Bytes()}, {"made.zip", structure.Zip, z.Bytes()},
		{"streamed.zip", structure.Zip, d.Bytes()},
		{"made.sql.gz", structure.Gzip, g.Bytes()}, {"made.txt", structure.Text, []byte(text)},
		{"dump.sql", structure.Text, []byte("-- MySQL dump 10\n" + text + "\n-- Dump completed on 2026-11-20\n")},
		{"made.bak", structure.Tape, tape()}, {"made.ibd", structure.InnoDB, innoDB()}, {"made.MYI", structure.MyISAMIndex, index()},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSoundFilesAreSoundHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		want := look(s.name, s.data, len(s.data))
		if want.Format != s.format || want.State != structure.Sound {
			t.Errorf("%s: got %v, state %d, want a sound %v", s.name, want.Format, want.State, s.format)
		}
		for _, step := range []int{1, 7, 4096, 65537} {
			if step == 1 && len(s.data) > 100<<10 {
				continue
			}
			if got := look(s.name, s.data, step); got != want {
				t.Errorf("%s in writes of %d: got %+v, want %+v", s.name, step, got, want)
			}
		}
	}
}

func TestDamageShowsInStructureOrNoise(t *testing.T) {
	t.Parallel()
	noise := rand.NewChaCha8([32]byte{9})
	for _, d := range []struct {
		name string
		do   func(b []byte) []byte
	}{
		{"whole", func(b []byte) []byte { noise.Read(b); return b }},
		{"head", func(b []byte) []byte { noise.Read(b[:4096]); return b }},
		{"every other 16 bytes", func(b []byte) []byte {
			for i := 0; i < len(b); i += 32 {
				noise.Read(b[i:min(i+16, len(b))])
			}
			return b
		}},
		{"every other 16 bytes after the head", func(b []byte) []byte {
			for i := 4096; i < len(b); i += 32 {
				noise.Read(b[i:min(i+16, len(b))])
			}
			return b
		}},
		{"a block in the midst", func(b []byte) []byte { noise.Read(b[len(b)/2:][:4096]); return b }},
		{"cut", func(b []byte) []byte { return b[:len(b)*6/10] }},
		{"zeros at the end", func(b []byte) []byte { clear(b[len(b)*6/10:]); return b }},
	} {
		for _, s := range samples(t) {
			if len(s.data) < 24<<10 || strings.Contains(d.name, "midst") && s.name != "streamed.zip" && s.format != structure.PNG && s.format != structure.Gzip {
				continue
			}
			was := look(s.name, s.data, 1<<20)
			is := look(s.name, d.do(bytes.Clone(s.data)), 1<<20)
			structured := is.State != structure.Sound
			noisy := is.Profile.Mean-was.Profile.Mean > 12*256 || is.Profile.Noise > was.Profile.Noise+30
			shorter := is.Profile.DataEnd < was.Profile.DataEnd*9/10
			if !structured && !noisy && !shorter {
				t.Errorf("%s of %s: nothing shows: %+v, was %+v", d.name, s.name, is, was)
			}
		}
	}
}

func TestWrongBytesUnderAGoodNameAreBroken(t *testing.T) {
	t.Parallel()
	junk := make([]byte, 10_000)
	rand.NewChaCha8([32]byte{5}).Read(junk)
	for _, name := range []string{"a.jpg", "a.png", "a.tif", "a.dcm", "a.pdf", "a.zip", "a.docx", "a.gz", "a.7z", "a.sqlite", "a.ibd", "a.MYI", "a.txt"} {
		if r := look(name, junk, 4096); r.State != structure.Broken {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for _, name := range []string{"a", "a.FS5", "a.vbk", "a.MYD"} {
		if r := look(name, junk, 4096); r.State != structure.Unknown || r.Profile.Noise < 900 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := look("a.jpg", nil, 1); r.State != structure.Unknown {
		t.Errorf("an empty file: %+v", r)
	}
}

// FuzzChecker shows that no bytes make a checker fail, and that how they are
// written makes no difference.
func FuzzChecker(f *testing.F) {
	for i, s := range made(f) {
		f.Add(s.name, s.data[:min(len(s.data), 4096+i*500)], 512)
	}
	f.Fuzz(func(t *testing.T, name string, b []byte, step int) {
		if step < 1 {
			step = 1
		}
		if a, b := look(name, b, step), look(name, b, len(b)+1); a != b {
			t.Errorf("in pieces %+v, whole %+v", a, b)
		}
	})
}

// BenchmarkHash and BenchmarkHashAndCheck are to be compared: the second may take a
// tenth more processor time than the first.
func BenchmarkHash(b *testing.B) {
	bench(b, func(string, int64) []io.Writer { return []io.Writer{sha256.New()} })
}

func BenchmarkHashAndCheck(b *testing.B) {
	n := 0
	bench(b, func(name string, size int64) []io.Writer {
		allowed := int64(0)
		if n++; n%200 == 0 { // as in a set that is much larger than what may be unpacked
			allowed = size
		}
		return []io.Writer{sha256.New(), structure.New(name, size, allowed, nil)}
	})
}

// bench gives every file of a practice to what begin returns, in pieces as the
// uploader does.
func bench(b *testing.B, begin func(name string, size int64) []io.Writer) {
	dir := b.TempDir()
	_, err := practice.Generate(context.Background(), practice.Options{Dir: dir, Size: 96 << 20, Seed: 3})
	must(b, err)
	var names []string
	var files [][]byte
	var total int64
	must(b, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		names, files = append(names, path), append(files, data)
		total += int64(len(data))
		return err
	}))
	b.SetBytes(total)
	for b.Loop() {
		for i, data := range files {
			writers := begin(names[i], int64(len(data)))
			for p := data; len(p) > 0; {
				n := min(len(p), 64<<10)
				for _, w := range writers {
					w.Write(p[:n])
				}
				p = p[n:]
			}
			for _, w := range writers {
				if c, ok := w.(*structure.Checker); ok {
					c.Result()
				}
			}
		}
	}
}
