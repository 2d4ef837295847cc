package uploader_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"offsite/manifest"
	"offsite/providers"
	"offsite/providers/providertest"
	"offsite/uploader"
)

// canaries are what must be found nowhere but in the source: a patient's name as
// content, as file name, as folder and as the target of a link.
const (
	inContent = "Canary Featherstonehaugh, born 1951-03-07"
	inName    = "canary-featherstonehaugh"
)

// spilled returns which canary stands in b, in any likely spelling.
func spilled(b []byte) string {
	b = bytes.ToLower(b)
	for _, c := range []string{inContent, inName, "featherstonehaugh"} {
		for offset := range 3 { // base64 has three ways to write what stands inside
			enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + c))
			enc = strings.TrimRight(enc, "=")[4*((offset+2)/3):]
			if bytes.Contains(b, bytes.ToLower([]byte(enc[:len(enc)-2]))) {
				return "base64 of " + c
			}
		}
		for _, s := range []string{c, hex.EncodeToString([]byte(c)), spaced(c)} {
			if bytes.Contains(b, []byte(strings.ToLower(s))) {
				return s
			}
		}
	}
	return ""
}

// spaced is s in UTF-16, as Windows may hand it on.
func spaced(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteByte(c)
		b.WriteByte(0)
	}
	return b.String()
}

// leaky is a practice full of canaries, whose log is kept at the finest level, the
// stores' own lines included.
func leaky(t *testing.T) (*practicePC, *box, *bytes.Buffer) {
	t.Helper()
	p := newPC(t, t.TempDir())
	log := new(bytes.Buffer)
	p.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	text := strings.Repeat(inContent+"\n", 500)
	for _, ext := range []string{".txt", ".fs5", ".jpg", ".log", ""} {
		p.write(inName+"/"+inName+ext, text+ext)
		p.write(inName+"/noise"+ext, noise(uint64(len(ext)), 40<<10)+inContent)
	}
	p.write(inName+"/large.jpg", noise(9, 600<<10)+inContent+noise(8, 600<<10))
	check(t, os.Symlink(inName+"/noise.txt", p.path("link-"+inName)))
	b := p.addMem("first")
	p.stores[0].Store = providers.NewStore(b.hook, providers.Options{Log: p.log, Sleep: func(context.Context, time.Duration) error { return nil }})
	return p, b, log
}

// TestNothingOfTheSourceLeavesUnsealed runs through everything that a run may meet
// and then looks everywhere.
func TestNothingOfTheSourceLeavesUnsealed(t *testing.T) {
	p, box, log := leaky(t)
	errs := new(bytes.Buffer)
	note := func(res uploader.Result, err error) {
		fmt.Fprintln(errs, err, res.Verdict, res.Date)
		for _, s := range res.Stores {
			fmt.Fprintln(errs, s.Name, s.Err, s.Ref.Key, s.Ref.Record)
		}
	}
	note(p.run())
	lost := box.keys("r/p/")[0]
	p.nextDay()
	// A source that changes, retries, a store that breaks off, and what a run says of
	// things that are missing or damaged.
	box.during(func() { p.edit(inName+"/noise.fs5", 5, inContent) })
	p.edit(inName+"/noise.fs5", 0, "x")
	note(p.run())
	box.hook.set(nil)
	check(t, os.Remove(p.path(inName+"/noise.log")))
	box.faulty.Set(providertest.Rule{Op: "put", Nth: 2, Outcome: providertest.FailAfter}, providertest.Rule{Op: "put", Nth: 4, Outcome: providertest.Gone})
	note(p.run())
	box.faulty.Set()
	first := box.keys("r/s/")[0]
	p.checker.Break("first", first)
	box.mem.Lose(lost)
	box.mem.Damage(box.keys("r/x/")[0], 4000)
	release := hold(t, p.path(inName+"/noise.txt"))
	note(uploader.Run(t.Context(), p.config(), p.judge()))
	release()
	note(p.run())
	if n := len(box.keys("r/s/")); n != 2 {
		t.Fatalf("%d snapshots, want 2\n%s", n, errs)
	}

	for key, data := range box.mem.Snapshot() {
		if s := spilled(append([]byte(key+"\n"), data...)); s != "" {
			t.Errorf("%s holds %q", key, s)
		}
	}
	check(t, filepath.WalkDir(p.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if s := spilled(append([]byte(d.Name()+"\n"), b...)); s != "" {
			t.Errorf("local state: %s holds %q", d.Name(), s)
		}
		return err
	}))
	if s := spilled(log.Bytes()); s != "" || log.Len() == 0 {
		t.Errorf("the log holds %q:\n%s", s, log)
	}
	if s := spilled(errs.Bytes()); s != "" {
		t.Errorf("errors and records hold %q:\n%s", s, errs)
	}
}

// TestAThiefOfThePCReadsNothing: with the upload key, the local state and the whole
// store, no pack opens, and what does open holds no name and no hash of content that
// could be compared with known files.
func TestAThiefOfThePCReadsNothing(t *testing.T) {
	p, box, _ := leaky(t)
	p.commit()
	opener, err := p.key.IndexOpener()
	check(t, err)
	packs, segments := 0, 0
	var visible []byte
	for key, data := range box.mem.Snapshot() {
		visible = append(visible, key...)
		plain, err := opener.Open(data)
		switch {
		case strings.HasPrefix(key, manifest.PackPrefix):
			packs++
			if err == nil || recipients(data) != 1 {
				t.Errorf("%s: error %v, %d recipients; only the restore key may open it", key, err, recipients(data))
			}
		case strings.HasPrefix(key, manifest.SegmentPrefix):
			segments++
			if err != nil || recipients(data) != 2 {
				t.Errorf("%s: %v, %d recipients; the PC and the restore key open it", key, err, recipients(data))
			}
			visible = append(visible, plain...)
		default:
			visible = append(visible, data...)
		}
	}
	if packs < 3 || segments != 1 {
		t.Errorf("%d packs, %d segments", packs, segments)
	}
	if s := spilled(visible); s != "" {
		t.Errorf("without the restore key one reads %q", s)
	}
	check(t, filepath.WalkDir(p.source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		sha, b3 := sha256.Sum256(b), blake3.Sum256(b)
		for _, sum := range [][]byte{sha[:16], b3[:16]} {
			if bytes.Contains(visible, sum) || bytes.Contains(visible, []byte(hex.EncodeToString(sum))) {
				t.Errorf("a hash of known content is found in the store")
			}
		}
		return err
	}))
}

// recipients counts the recipients in the header of an age file.
func recipients(sealed []byte) int {
	head, _, _ := bytes.Cut(sealed, []byte("\n---"))
	return bytes.Count(head, []byte("\n-> "))
}

// TestSizesAndKeysSayLittle: two practices with other names and contents of the same
// lengths have objects of the same sizes, and no key depends on a name.
func TestSizesAndKeysSayLittle(t *testing.T) {
	var sizes [2][]int64
	for i := range sizes {
		p := newPC(t, t.TempDir())
		box := p.addMem("first")
		for k := range 10 {
			p.write(fmt.Sprintf("%c%c/%d.jpg", 'a'+i, 'k'-i, k), noise(uint64(100*i+k), 9000+k))
		}
		p.commit()
		for _, o := range box.mem.Objects() {
			if strings.HasPrefix(o.Key, "r/p/") || strings.HasPrefix(o.Key, "r/x/") {
				sizes[i] = append(sizes[i], o.Size)
			}
		}
		slices.Sort(sizes[i])
	}
	if !slices.Equal(sizes[0], sizes[1]) {
		t.Errorf("sizes %v and %v", sizes[0], sizes[1])
	}
}

func TestACanaryIsFoundInEverySpelling(t *testing.T) {
	for _, lead := range []string{"", "a", "ab", "abc"} {
		for name, s := range map[string]string{
			"plain": inContent, "capitals": strings.ToUpper(inName), "hexadecimal": hex.EncodeToString([]byte(inName)), "UTF-16": spaced(inName),
			"base64": base64.StdEncoding.EncodeToString([]byte(lead + inContent + "...")), "URL": base64.RawURLEncoding.EncodeToString([]byte(lead + inName)),
		} {
			if spilled([]byte(lead+s+"!")) == "" {
				t.Errorf("%s behind %q is not found", name, lead)
			}
		}
	}
	if s := spilled([]byte(noise(1, 100<<10))); s != "" {
		t.Errorf("%q found in noise", s)
	}
}
