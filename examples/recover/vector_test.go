//go:build unix

package recover_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// read hands golden files to the functions of recover.py.
func read(t *testing.T, args ...string) map[string]struct {
	OK      *[][]any
	Damaged string
} {
	t.Helper()
	r := run(t, "", append([]string{"testdata/vectors.py", "."}, args...)...)
	r.want(t, 0)
	var found map[string]struct {
		OK      *[][]any
		Damaged string
	}
	check(t, json.Unmarshal([]byte(r.stdout), &found))
	return found
}

// recover.py takes what a strict reader refuses if all checksums hold. These it
// has to refuse, as what would come out may be wrong.
var mustRefuse = []string{
	"pack-checksum", "pack-chunk-long", "pack-chunk-short", "pack-directory-size", "pack-empty", "pack-end-magic", "pack-frame-codec", "pack-frame-crc",
	"pack-frame-plain-huge", "pack-frame-raw-bit", "pack-frame-stored-long", "pack-magic", "pack-trailing", "pack-truncated", "pack-version",
	"pack-zstd-cut-block", "pack-zstd-dictionary", "pack-zstd-garbage", "pack-zstd-short",
	"segment-checksum", "segment-counts-huge", "segment-empty", "segment-entry-frame", "segment-frame-pack", "segment-magic", "segment-trailing",
	"segment-truncated", "segment-version",
}

func TestGoldenPacksAndSegments(t *testing.T) {
	files, err := filepath.Glob("../../manifest/pack/testdata/v1/*")
	check(t, err)
	found := read(t, append([]string{"pack"}, files...)...)
	refused := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		check(t, err)
		head, _, _ := bytes.Cut(data, []byte("\n\n"))
		got := found[f]
		refused[filepath.Base(f)] = got.OK == nil
		if !bytes.Contains(head, []byte("expect: ok")) {
			continue
		}
		if got.OK == nil {
			t.Errorf("%s: %s", f, got.Damaged)
			continue
		}
		var want, have []string
		for line := range strings.Lines(string(head)) {
			w := strings.Fields(line)
			switch w[0] {
			case "chunk:": // id, SHA-256
				want = append(want, w[1]+" "+w[2])
			case "entry:": // id, pack, ..., length
				want = append(want, w[1]+" "+w[2]+" "+w[len(w)-1])
			}
		}
		for _, row := range *got.OK {
			id, other, length := row[0].(string), row[1].(string), row[2].(float64)
			if bytes.Contains(head, []byte("kind: segment")) {
				have = append(have, id+" "+other+" "+json.Number(itoa(length)).String())
			} else {
				have = append(have, id+" "+other)
			}
		}
		slices.Sort(want)
		slices.Sort(have)
		if want = slices.Compact(want); !slices.Equal(want, slices.Compact(have)) {
			t.Errorf("%s: want\n%q\nhave\n%q", f, want, have)
		}
	}
	for _, name := range mustRefuse {
		if !refused[name] {
			t.Errorf("%s is not refused", name)
		}
	}
}

func itoa(f float64) string {
	b, _ := json.Marshal(f)
	return string(b)
}

// The page prints a reader of packs and the padding; both have to be right.
func TestTheCodeInTheFormatPageWorks(t *testing.T) {
	page, err := os.ReadFile("../../manifest/pack/FORMAT.md")
	check(t, err)
	var code strings.Builder
	for line := range strings.Lines(string(page)) {
		if indented, ok := strings.CutPrefix(line, "    "); ok && !strings.HasPrefix(line, "    age ") || line == "\n" {
			code.WriteString(indented)
		}
	}
	code.WriteString(`
import hashlib, sys
for path in sys.argv[1:]:
    head, _, plain = open(path, "rb").read().partition(b"\n\n")
    assert padded(len(plain)) == len(plain)
    found = sorted(b"chunk: %s %s" % (i.hex().encode(), hashlib.sha256(b).hexdigest().encode()) for i, b in chunks(plain))
    assert found == sorted(line for line in head.split(b"\n") if line.startswith(b"chunk: ")), path
    print("good")
`)
	files, err := filepath.Glob("../../manifest/pack/testdata/v1/pack-good*")
	check(t, err)
	r := run(t, "", append([]string{"-c", code.String()}, files...)...)
	r.want(t, 0)
	if n := strings.Count(r.stdout, "good"); n != len(files) || n == 0 {
		t.Errorf("%d of %d packs were read", n, len(files))
	}
}

func TestGoldenRows(t *testing.T) {
	f := "../../manifest/testdata/v1/table-rows"
	got := read(t, "rows", f)[f]
	if got.OK == nil {
		t.Fatal(got.Damaged)
	}
	type row struct {
		kind        float64
		path        string
		mode, mtime float64
		size        float64
	}
	want := []row{
		{2, "images", 0o755, 1790000000123456789, 0},
		{1, "images/Zoë O'Neil 01.jpg", 0o640, -1, 5},
		{1, "images/bad\xff\xfename", 0o755, 0, 1 << 40},
		{1, "images/empty", 0o600, 0, 0}, // from Windows,
		{3, "images/link", 0o777, 0, 0},
	}
	var have []row
	for _, r := range *got.OK {
		path, err := hex.DecodeString(r[1].(string))
		check(t, err)
		have = append(have, row{r[0].(float64), string(path), r[2].(float64), r[3].(float64), r[4].(float64)})
	}
	if !slices.Equal(have, want) {
		t.Errorf("rows\n%v\nwant\n%v", have, want)
	}
}

func TestGoldenRecord(t *testing.T) {
	f := "../../manifest/testdata/v1/record"
	r := run(t, "", "testdata/vectors.py", ".", "record", f)
	data, err := os.ReadFile(f)
	check(t, err)
	sum := sha256.Sum256(data)
	r.want(t, 0, `["2026-11-20", "clean", "abababababababababababababababab", 3, 3, [["r/p/5a/5accbb52`, hex.EncodeToString(sum[:]))
}

func TestNamesThatLeadOutAreRefused(t *testing.T) {
	outer := t.TempDir()
	to := filepath.Join(outer, "target")
	check(t, os.Mkdir(to, 0o700))
	args := []string{"testdata/vectors.py", ".", "put", to}
	for _, name := range []string{"", ".", "..", "../a", "a/../../a", "/a", to + "x", "a//b", "a/", "./a", "a/./b", "a\x00b", "a/.."} {
		args = append(args, hex.EncodeToString([]byte(name)))
	}
	var got struct {
		Made               []bool
		Problems, Failures int
	}
	r := run(t, "", append(args, hex.EncodeToString([]byte("good/...")), hex.EncodeToString([]byte("good/...")))...)
	check(t, json.Unmarshal([]byte(r.stdout), &got))
	n := len(args) - 4
	if got.Problems != n || got.Failures != 1 || slices.Index(got.Made, true) != n || got.Made[n+1] {
		t.Errorf("%d refused of %d, %d failed, made %v", got.Problems, n, got.Failures, got.Made)
	}
	left, err := os.ReadDir(outer)
	check(t, err)
	if len(left) != 1 {
		t.Errorf("something was made outside the target: %v", left)
	}
}
