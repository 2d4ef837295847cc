package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"offsite/manifest"
	"offsite/manifest/pack"
)

// rows is a table with every kind of row and every flag; it is also the golden one.
func rows() []manifest.Row {
	owner := &manifest.Owner{UID: 1000, GID: 4294967295}
	return []manifest.Row{
		{Type: manifest.Folder, Path: "images", Mode: 0o755, Mtime: 1790000000_123456789, Owner: owner},
		{Type: manifest.File, Path: "images/Zoë O'Neil 01.jpg", Mode: 0o640, Mtime: -1, Owner: owner, Size: 5, SHA256: sha256.Sum256([]byte("hello")), Chunks: ids(1)},
		{Type: manifest.File, Path: "images/bad\xff\xfename", Mode: 0o4755, Size: 1 << 40, Attrs: 0x23, Chunks: ids(64)},
		{Type: manifest.File, Path: "images/empty", SHA256: sha256.Sum256(nil)},
		{Type: manifest.Link, Path: "images/link", Mode: 0o777, Target: "../../outside \xfe"},
	}
}

func ids(n int) []pack.ChunkID {
	out := make([]pack.ChunkID, n)
	for i := range out {
		out[i] = pack.ChunkID(sha256.New().Sum([]byte{byte(i), byte(i >> 8)})[:16])
	}
	return out
}

func TestRowsSurviveEncoding(t *testing.T) {
	var b []byte
	for _, want := range rows() {
		var err error
		if b, err = manifest.AppendRow(b, &want); err != nil {
			t.Fatalf("%q: %v", want.Path, err)
		}
	}
	golden(t, "table-rows", b)
	for _, want := range rows() {
		got, rest, err := manifest.ReadRow(b)
		if err != nil {
			t.Fatalf("%q: %v", want.Path, err)
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v\nwant %+v", *got, want)
		}
		b = rest
	}
	if len(b) != 0 {
		t.Errorf("%d bytes left", len(b))
	}
}

// golden compares with a file of testdata/v1, which is written once and never changed.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "v1", name)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && os.Getenv("OFFSITE_GOLDEN") == "create" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what version 1 wrote:\n%q\n%q", name, got, want)
	}
}

func TestRowsThatMustBeRefused(t *testing.T) {
	file := func(change func(*manifest.Row)) manifest.Row {
		r := manifest.Row{Type: manifest.File, Path: "a", Size: 1, Chunks: ids(1)}
		change(&r)
		return r
	}
	for name, r := range map[string]manifest.Row{
		"no type":               {Path: "a"},
		"unknown type":          {Type: 9, Path: "a"},
		"empty path":            file(func(r *manifest.Row) { r.Path = "" }),
		"absolute path":         file(func(r *manifest.Row) { r.Path = "/a" }),
		"parent":                file(func(r *manifest.Row) { r.Path = "a/../../b" }),
		"dot":                   file(func(r *manifest.Row) { r.Path = "./a" }),
		"double slash":          file(func(r *manifest.Row) { r.Path = "a//b" }),
		"slash at the end":      file(func(r *manifest.Row) { r.Path = "a/" }),
		"NUL":                   file(func(r *manifest.Row) { r.Path = "a\x00b" }),
		"long path":             file(func(r *manifest.Row) { r.Path = strings.Repeat("a", manifest.MaxPath+1) }),
		"negative size":         file(func(r *manifest.Row) { r.Size = -1 }),
		"bytes without chunks":  file(func(r *manifest.Row) { r.Chunks = nil }),
		"chunks without bytes":  file(func(r *manifest.Row) { r.Size = 0 }),
		"too many chunks":       file(func(r *manifest.Row) { r.Chunks = ids(65) }),
		"file with a target":    file(func(r *manifest.Row) { r.Target = "x" }),
		"folder with a size":    {Type: manifest.Folder, Path: "a", Size: 1},
		"link without a target": {Type: manifest.Link, Path: "a"},
		"target with NUL":       {Type: manifest.Link, Path: "a", Target: "x\x00"},
	} {
		if _, err := manifest.AppendRow(nil, &r); err == nil {
			t.Errorf("%s: written without an error", name)
		}
	}
}

func TestTableBuilderCutsListsAndKeepsOrder(t *testing.T) {
	stored := make(map[pack.ChunkID][]byte)
	build := func(rows ...manifest.Row) (manifest.Table, error) {
		b := manifest.TableBuilder{
			Put: func(plain []byte) (pack.ChunkID, error) {
				sum := sha256.Sum256(plain)
				id := pack.ChunkID(sum[:16])
				stored[id] = bytes.Clone(plain)
				return id, nil
			},
			Cut: func(path string) bool { return path == "b" },
		}
		for _, r := range rows {
			if err := b.Add(r); err != nil {
				return manifest.Table{}, err
			}
		}
		return b.Finish()
	}
	big := manifest.Row{Type: manifest.File, Path: "a", Size: 1, Chunks: ids(2500)}
	last := manifest.Row{Type: manifest.Folder, Path: "c"}
	table, err := build(big, manifest.Row{Type: manifest.Folder, Path: "b"}, last)
	if err != nil {
		t.Fatal(err)
	}
	if table.Rows != 3 || table.Chunks != 2 {
		t.Errorf("got %+v, want 3 rows in 2 chunks", table)
	}
	rec := manifest.Record{Table: table}
	id, err := rec.TableRoot()
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := manifest.ParseRoot(stored[id])
	if err != nil || len(chunks) != 2 {
		t.Fatalf("root: %v, %d chunks", err, len(chunks))
	}
	row, _, err := manifest.ReadRow(stored[chunks[0]])
	if err != nil || !row.Lists || len(row.Chunks) != 3 {
		t.Fatalf("row of a large file: %v, %+v", err, row)
	}
	var got []pack.ChunkID
	for _, l := range row.Chunks {
		ids, err := manifest.ParseList(stored[l])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids...)
	}
	if !reflect.DeepEqual(got, big.Chunks) {
		t.Error("chunk lists do not join to the file's chunks")
	}
	if _, err := build(last, big); err == nil {
		t.Error("rows out of order were taken")
	}
}

func TestRootsAndListsThatMustBeRefused(t *testing.T) {
	root, err := manifest.AppendRoot(nil, ids(3))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root {
		if _, err := manifest.ParseRoot(root[:n]); err == nil {
			t.Errorf("root cut to %d bytes was taken", n)
		}
	}
	if _, err := manifest.ParseRoot(append(bytes.Clone(root), 0)); err == nil {
		t.Error("root with a byte behind it was taken")
	}
	for _, n := range []int{0, 1, 17, 16 * 1025} {
		if _, err := manifest.ParseList(make([]byte, n)); err == nil {
			t.Errorf("chunk list of %d bytes was taken", n)
		}
	}
}

func FuzzReadRow(f *testing.F) {
	var all []byte
	for _, r := range rows() {
		b, err := manifest.AppendRow(nil, &r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		all = append(all, b...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			row, rest, err := manifest.ReadRow(b)
			if err != nil {
				return
			}
			again, err := manifest.AppendRow(nil, row)
			if err != nil {
				t.Fatalf("a row that was read cannot be written: %v", err)
			}
			if !bytes.Equal(again, b[:len(b)-len(rest)]) {
				t.Fatalf("a row has two encodings")
			}
			b = rest
		}
	})
}

func FuzzParseRoot(f *testing.F) {
	root, _ := manifest.AppendRoot(nil, ids(2))
	f.Add(root)
	f.Fuzz(func(t *testing.T, b []byte) {
		ids, err := manifest.ParseRoot(b)
		if err != nil {
			return
		}
		if again, _ := manifest.AppendRoot(nil, ids); !bytes.Equal(again, b) {
			t.Fatal("a root has two encodings")
		}
	})
}
