package verify_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// office is a small practice whose sets are judged day by day.
type office struct {
	t       *testing.T
	dir     string
	history string
	day     int
	rng     *rand.Rand
	noise   *rand.ChaCha8
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, dir: t.TempDir(), history: filepath.Join(t.TempDir(), "checks"), rng: rand.New(rand.NewPCG(4, 4)), noise: rand.NewChaCha8([32]byte{4})}
	for i := range 120 {
		o.write(fmt.Sprintf("images/Doe Jane %03d.png", i), o.picture())
	}
	for i := range 25 {
		o.write(fmt.Sprintf("letters/%03d.txt", i), []byte(strings.Repeat(fmt.Sprintf("letter %d to a patient. ", i), 300)))
	}
	o.write("db/patients.dat", o.table(40))
	return o
}

func (o *office) path(name string) string { return filepath.Join(o.dir, filepath.FromSlash(name)) }

func (o *office) write(name string, data []byte) {
	o.t.Helper()
	must(o.t, os.MkdirAll(filepath.Dir(o.path(name)), 0o700))
	must(o.t, os.WriteFile(o.path(name), data, 0o600))
	o.age(name)
}

func (o *office) age(name string) {
	when := time.Date(2026, 1, 5+o.day, 18, 0, 0, 0, time.UTC)
	must(o.t, os.Chtimes(o.path(name), when, when))
}

func (o *office) picture() []byte {
	img := image.NewGray(image.Rect(0, 0, 90, 90))
	for i := range img.Pix {
		img.Pix[i] = byte(o.rng.IntN(256))
	}
	var b bytes.Buffer
	must(o.t, png.Encode(&b, img))
	return b.Bytes()
}

// table is some pages of a database of a format that nobody knows.
func (o *office) table(pages int) []byte {
	b := make([]byte, pages*4096)
	for i := range b {
		b[i] = byte('a' + o.rng.IntN(12))
	}
	return b
}

// work is a usual day.
func (o *office) work() {
	o.day++
	for i := range 3 {
		o.write(fmt.Sprintf("images/new %d-%d.png", o.day, i), o.picture())
	}
	data, err := os.ReadFile(o.path("db/patients.dat"))
	must(o.t, err)
	copy(data[o.rng.IntN(len(data)-4096):], o.table(1))
	o.write("db/patients.dat", data)
}

func (o *office) name() string {
	return time.Date(2026, 1, 5+o.day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func (o *office) key(b []byte) (k [16]byte) {
	sum := sha256.Sum256(append([]byte("secret"), b...))
	return [16]byte(sum[:])
}

func (o *office) load() *verify.History {
	o.t.Helper()
	h, err := verify.LoadHistory(o.history, "repository source", o.key)
	must(o.t, err)
	return h
}

// judge reads the whole set, judges it and saves the outcome.
func (o *office) judge() (verify.Verdict, []string, *verify.Pass) {
	o.t.Helper()
	p := builtin(o.t, "generic")
	passed, report := verify.Judge(context.Background(), scan(o.t, p, o.dir), p, verify.Options{})
	if !passed.Valid() {
		return report.Verdict(), checks(report), nil
	}
	pass := verify.NewPass(passed, o.load(), o.name())
	set := passed.Set()
	sums := map[int][32]byte{}
	for i := range set.Len() {
		if set.At(i).Type != source.TypeFile {
			continue
		}
		data, err := os.ReadFile(o.path(set.At(i).Path))
		must(o.t, err)
		sums[i] = sha256.Sum256(data)
		w := pass.File(i)
		w.Write(data)
		must(o.t, w.Close())
	}
	report.Add(pass.Findings(func(i int) [32]byte { return sums[i] })...)
	must(o.t, pass.Save(report.Verdict(), time.Date(2026, 1, 5+o.day, 20, 0, 0, 0, time.UTC)))
	return report.Verdict(), checks(report), pass
}

// settled is an office that was clean for some days.
func settled(t *testing.T) *office {
	t.Helper()
	o := newOffice(t)
	for range 4 {
		if v, found, _ := o.judge(); v != verify.Clean || len(found) > 0 {
			t.Fatalf("day %d: %v, %q", o.day, v, found)
		}
		o.work()
	}
	return o
}

func (o *office) edit(name string, do func([]byte) []byte) {
	o.t.Helper()
	data, err := os.ReadFile(o.path(name))
	must(o.t, err)
	o.write(name, do(data))
}

func (o *office) encrypt(name string) {
	o.edit(name, func(b []byte) []byte { o.noise.Read(b); return b })
}

func TestDamageIsToldApartFromADaysWork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		do    func(o *office)
		check string // of the first finding; empty: clean
	}{
		{"nothing but work", func(*office) {}, ""},
		{"one image saved again", func(o *office) { o.write("images/Doe Jane 001.png", o.picture()) }, ""},
		{"one image deleted", func(o *office) { must(o.t, os.Remove(o.path("images/Doe Jane 001.png"))) }, ""},
		{"a folder renamed", func(o *office) { must(o.t, os.Rename(o.path("images"), o.path("pictures"))) }, ""},
		{"six images encrypted", func(o *office) {
			for i := range 6 {
				o.encrypt(fmt.Sprintf("images/Doe Jane %03d.png", i))
			}
		}, "suspect damaged"},
		{"the database encrypted in part", func(o *office) {
			o.edit("db/patients.dat", func(b []byte) []byte {
				for i := 4096; i < len(b); i += 8192 {
					o.noise.Read(b[i : i+4096])
				}
				return b
			})
		}, "suspect damaged"},
		{"images rewritten soundly", func(o *office) {
			for i := range 8 {
				o.write(fmt.Sprintf("images/Doe Jane %03d.png", i), o.picture())
			}
		}, "suspect rewritten"},
		{"a quarter of the files gone", func(o *office) {
			for i := range 60 {
				must(o.t, os.Remove(o.path(fmt.Sprintf("images/Doe Jane %03d.png", i))))
			}
		}, "incomplete count"},
		{"a folder gone", func(o *office) { must(o.t, os.RemoveAll(o.path("letters"))) }, "incomplete folders"},
		{"new files that are nothing", func(o *office) {
			for i := range 9 {
				data := make([]byte, 9000)
				o.noise.Read(data)
				o.write(fmt.Sprintf("images/strange %d.png", i), data)
			}
		}, "suspect new-broken"},
		{"a note", func(o *office) { o.write("HOW TO DECRYPT FILES.txt", []byte("pay")) }, "suspect ransom-names"},
		{"ends added to names", func(o *office) {
			for i := range 5 {
				name := o.path(fmt.Sprintf("letters/%03d.txt", i))
				must(o.t, os.Rename(name, name+".x7k2"))
			}
		}, "suspect ransom-names"},
		{"the database filled up with zeros", func(o *office) {
			o.edit("db/patients.dat", func(b []byte) []byte { clear(b[len(b)/2:]); return b })
		}, "suspect damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := settled(t)
			c.do(o)
			v, found, pass := o.judge()
			switch {
			case c.check == "" && (v != verify.Clean || len(found) > 0):
				t.Errorf("%v: %q; %q", v, found, pass.Console())
			case c.check != "" && !slices.Contains(found, c.check):
				t.Errorf("%v: %q, want %q", v, found, c.check)
			}
		})
	}
}

func TestSlowDamageAddsUp(t *testing.T) {
	t.Parallel()
	o := settled(t)
	for day := range 3 {
		o.encrypt(fmt.Sprintf("images/Doe Jane %03d.png", day))
		if v, found, _ := o.judge(); v != verify.Clean {
			if !slices.Contains(found, "suspect damaged") {
				t.Errorf("%q", found)
			}
			return
		}
		o.work()
	}
	t.Error("one image a day went unseen for three days")
}

func TestAcknowledgingMakesTheSetTheMeasure(t *testing.T) {
	t.Parallel()
	o := settled(t)
	if err := o.load().Acknowledge(o.name()); !errors.Is(err, verify.ErrNotLast) {
		t.Errorf("a day that was not judged: %v", err)
	}
	v, _, _ := o.judge()
	if err := o.load().Acknowledge(o.name()); v != verify.Clean || !errors.Is(err, verify.ErrClean) {
		t.Errorf("a clean day: %v", err)
	}
	o.work()
	for i := range 40 {
		var b bytes.Buffer
		must(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 30+i, 30)), nil))
		o.write(fmt.Sprintf("images/Doe Jane %03d.png", i), b.Bytes())
	}
	if v, _, _ = o.judge(); v != verify.Suspect {
		t.Fatalf("a mass change is %v", v)
	}
	if v, _, _ = o.judge(); v != verify.Suspect {
		t.Errorf("judged again it is %v", v)
	}
	must(t, o.load().Acknowledge(o.name()))
	v, found, _ := o.judge()
	if v != verify.Clean || !slices.Equal(found, []string{"warning acknowledged"}) {
		t.Errorf("acknowledged: %v, %q", v, found)
	}
	o.work()
	if v, found, _ = o.judge(); v != verify.Clean || len(found) > 0 {
		t.Errorf("the day after: %v, %q", v, found)
	}
}

func TestTheHistoryHoldsNoNameAndMayBeLost(t *testing.T) {
	t.Parallel()
	o := settled(t)
	for i := range 6 {
		o.encrypt(fmt.Sprintf("images/Doe Jane %03d.png", i))
	}
	_, _, pass := o.judge()
	if len(pass.Console()) == 0 || !strings.Contains(strings.Join(pass.Console(), "\n"), "Doe Jane") {
		t.Errorf("the console names no file: %q", pass.Console())
	}
	data, err := os.ReadFile(o.history)
	must(t, err)
	info, err := os.Stat(o.history)
	must(t, err)
	if info.Mode().Perm()&0o077 != 0 && filepath.Separator == '/' {
		t.Errorf("mode %v", info.Mode())
	}
	for _, name := range []string{"Doe", "doe", "images", "patients", "png"} {
		if bytes.Contains(data, []byte(name)) {
			t.Errorf("it holds %q", name)
		}
	}
	if day, v := o.load().Last(); day != o.name() || v != verify.Suspect || o.load().Clean() == o.name() {
		t.Errorf("last %s %v, clean %s", day, v, o.load().Clean())
	}
	for i := range len(data) { // a history that is damaged anywhere is none
		if i > 100 && i < len(data)-20 && i%9973 != 0 {
			continue
		}
		bad := bytes.Clone(data)
		bad[i] ^= 1
		must(t, os.WriteFile(o.history, bad, 0o600))
		if got := o.load().Clean(); got != "" {
			t.Fatalf("byte %d changed, and yet it speaks of %s", i, got)
		}
	}
	must(t, os.WriteFile(o.history, data, 0o600))
	if h, err := verify.LoadHistory(o.history, "repository other", o.key); err != nil || h.Clean() != "" {
		t.Errorf("another source: %v, %s", err, h.Clean())
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte("offsite checks v1 a\n\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(t.TempDir(), "checks")
		must(t, os.WriteFile(file, b, 0o600))
		if _, err := verify.LoadHistory(file, "a", func([]byte) [16]byte { return [16]byte{} }); err != nil {
			t.Error(err)
		}
	})
}

// days lives some more days, each of which must be clean.
func (o *office) days(n int, do func()) {
	o.t.Helper()
	for range n {
		if do(); o.t.Failed() {
			return
		}
		if v, found, pass := o.judge(); v != verify.Clean {
			o.t.Fatalf("day %d: %v, %q; %q", o.day, v, found, pass.Console())
		}
		o.work()
	}
}

// wants judges the day and asks for a finding; none: it must be clean.
func (o *office) wants(check string) {
	o.t.Helper()
	v, found, pass := o.judge()
	if check == "" && v != verify.Clean || check != "" && !slices.Contains(found, check) {
		o.t.Errorf("day %d: %v, %q, want %q; %q", o.day, v, found, check, pass.Console())
	}
}

// packed is what a backup program makes of some text in a format of its own.
func (o *office) packed() []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	must(o.t, err)
	for i := range 12_000 {
		fmt.Fprintf(w, "%d;visit of patient %d;%x\n", i, o.rng.IntN(4000), o.rng.Uint64())
	}
	must(o.t, w.Close())
	return b.Bytes()
}

func TestABackupOfAnUnknownFormatIsHeldAgainstTheOneBefore(t *testing.T) {
	t.Parallel()
	every := func(o *office, b []byte) []byte {
		for i := 4096; i < len(b); i += 32 {
			o.noise.Read(b[i:min(i+16, len(b))])
		}
		return b
	}
	for _, c := range []struct {
		name  string
		do    func(o *office, b []byte) []byte
		check string
	}{
		{"as ever", func(_ *office, b []byte) []byte { return b }, ""},
		{"whole", func(o *office, b []byte) []byte { o.noise.Read(b); return b }, "suspect damaged"},
		{"head", func(o *office, b []byte) []byte { o.noise.Read(b[:4096]); return b }, "suspect damaged"},
		{"every other 16 bytes", every, "suspect damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			name := func() string { return "nightly/full-" + o.name() + ".pak" }
			o.days(3, func() { o.write(name(), o.packed()) })
			o.write(name(), c.do(o, o.packed()))
			o.wants(c.check)
		})
	}
}

// TestOneBlockOfSixteenIsSeenInTheFirstOfItsKind: nothing like it stood in a set before.
func TestOneBlockOfSixteenIsSeenInTheFirstOfItsKind(t *testing.T) {
	t.Parallel()
	for check, damage := range map[string]bool{"": false, "suspect new-broken": true} {
		o := newOffice(t)
		o.days(2, func() {})
		b := bytes.Repeat(o.packed(), 6)
		for i := 0; damage && i < len(b); i += 64 << 10 {
			o.noise.Read(b[i:min(i+4096, len(b))])
		}
		o.write("server/full.vbk", b)
		o.wants(check)
		o.wants(check) // also when it is not read again
	}
}

// TestATextThatBecomesAFewBytesIsDamaged, however few.
func TestATextThatBecomesAFewBytesIsDamaged(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	index := []byte("<?xml version=\"1.0\"?><BackupMeta>" + strings.Repeat("<Point/>", 4000) + "</BackupMeta>")
	o.write("server/index.vbm", index)
	o.days(6, func() {
		o.write("server/index.vbm", append(index[:len(index)-13:len(index)-13], fmt.Sprintf("<Day>%d</Day></BackupMeta>", o.day)...))
	})
	o.write("server/index.vbm", index[:40])
	o.wants("suspect damaged")
}

// TestShortTextsAreNoDamage: logs begin anew, and what says how things are may say it in
// two bytes.
func TestShortTextsAreNoDamage(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	log := ""
	o.days(6, func() {
		log += strings.Repeat(o.name()+" all is well\n", 30)
		o.write("db/server.log", []byte(log))
		o.write("db/status", []byte(strings.Repeat(fmt.Sprintf("%d visits. ", o.day), 200)))
	})
	o.write("db/server.log", nil)
	o.write("db/status", []byte("1234\n"))
	o.wants("")
	o.work()
	o.write("db/server.log", []byte(log[:40]))
	o.wants("")
}

func TestNewFilesAreHeldAgainstTheirKind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		do    func(o *office, b []byte) []byte
		check string
	}{
		{"as ever", func(_ *office, b []byte) []byte { return b }, ""},
		{"their begin", func(o *office, b []byte) []byte { o.noise.Read(b[:4096]); return b }, "suspect new-broken"},
		{"one block in four", func(o *office, b []byte) []byte {
			for i := 4096; i < len(b); i += 16 << 10 {
				o.noise.Read(b[i : i+4096])
			}
			return b
		}, "suspect new-broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			scan := func() []byte { return append([]byte("SCN\x01"), o.table(20)...) }
			for i := range 30 {
				o.write(fmt.Sprintf("scans/%03d.scn", i), scan())
			}
			o.days(2, func() {})
			for i := range 5 {
				o.write(fmt.Sprintf("scans/new %03d.scn", i), c.do(o, scan()))
			}
			o.wants(c.check)
		})
	}
}

func TestImagesThatStopToArriveAreMissed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		catalog bool     // rests with the images
		days    []string // the findings of the days without
	}{
		{"the images alone", false, []string{"", "suspect no-new-files"}},
		{"and what changes with them", true, []string{"suspect no-new-files"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.days(10, func() {
				for i := range 4 { // beside the three of every day
					o.write(fmt.Sprintf("images/more %d-%d.png", o.day, i), o.picture())
				}
				if c.catalog {
					o.write("images/catalog.dat", o.table(10))
				}
			})
			for _, want := range c.days {
				for i := range 3 {
					must(t, os.Remove(o.path(fmt.Sprintf("images/new %d-%d.png", o.day, i))))
				}
				o.wants(want)
				o.work()
			}
		})
	}
}

// TestAnOlderHistoryIsRead: version 1 had shorter records.
func TestAnOlderHistoryIsRead(t *testing.T) {
	t.Parallel()
	o := settled(t)
	b, err := os.ReadFile(o.history)
	must(t, err)
	end := bytes.IndexByte(b, '\n') + 1
	old := append([]byte("offsite checks v1"), b[len("offsite checks v1"):end+12]...)
	le := binary.LittleEndian
	text, records := int(le.Uint32(b[end:])), int(le.Uint32(b[end+4:])+le.Uint32(b[end+8:]))
	b = b[end+12 : len(b)-4]
	old = append(old, b[:text]...)
	b = b[text:]
	length := len(b) / records
	for ; len(b) > 0; b = b[length:] {
		old = append(append(old, b[:76]...), 0, 0, 0, 0)
	}
	must(t, os.WriteFile(o.history, le.AppendUint32(old, crc32.ChecksumIEEE(old)), 0o600))
	if o.load().Clean() == "" {
		t.Fatal("it is taken for none")
	}
	o.encrypt("db/patients.dat")
	o.wants("suspect damaged")
}
