package simtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// patch replaces one text of a source file of the module by another. The text must
// stand there exactly once: a patch that no longer fits fails loudly.
type patch struct {
	file     string // from the module's root
	old, new string
}

const moduleRoot = "../.."

// overlay writes patched copies of sources, and whole new ones, into a folder and
// returns the file that `go test -overlay` wants. The sources themselves stay as
// they are.
func overlay(t *testing.T, patches []patch, added map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, p := range patches {
		if _, ok := texts[p.file]; !ok {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.file)))
			if err != nil {
				t.Fatal(err)
			}
			texts[p.file] = string(b)
		}
		if n := strings.Count(texts[p.file], p.old); n != 1 {
			t.Fatalf("%s holds this text %d times, and must hold it once:\n%s", p.file, n, p.old)
		}
		texts[p.file] = strings.Replace(texts[p.file], p.old, p.new, 1)
	}
	for file, text := range added {
		texts[file] = text
	}
	replace := make(map[string]string)
	for file, text := range texts {
		at := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = at
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(at, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// miniature is the program in little: the same code, with packs and chunks small
// enough that a night's buffers cost nothing, and with a cipher, a signature and a
// compressor that are none. What decides about stored data is as it is.
func miniature() ([]patch, map[string]string) {
	return []patch{
			{"manifest/pack/pack.go", "MaxPack = 16 << 20", "MaxPack = 64 << 10"},
			{"manifest/pack/pack.go", "MaxChunk = 4 << 20", "MaxChunk = 16 << 10"},
			{"manifest/pack/pack.go", "frameTarget = 256 << 10", "frameTarget = 2 << 10"},
			{"manifest/pack/pack.go", "minPlain = 4 << 10", "minPlain = 256"},
			{"manifest/pack/encoder.go", "\tenc, err := zstd.NewWriter(nil,", "\tif true {\n\t\treturn &Encoder{group: make([]byte, 0, 2*frameTarget), largeRw: make([]byte, 0, chunkRowSize)}, nil\n\t}\n\tenc, err := zstd.NewWriter(nil,"},
			{"manifest/pack/encoder.go", "\tif !compress {\n", "\tif !compress || e.enc == nil {\n"},
			{"manifest/pack/decoder.go", "\tdec, err := zstd.NewReader(nil,", "\tif true {\n\t\treturn &Decoder{}, nil\n\t}\n\tdec, err := zstd.NewReader(nil,"},
			{"uploader/chunk/chunk.go", "MaxLen = 4 << 20", "MaxLen = 16 << 10"},
			{"uploader/chunk/chunk.go", "rule{min: 8 << 10, turn: 26 << 10, max: 128 << 10,", "rule{min: 256, turn: 800, max: 4 << 10,"},
			{"uploader/chunk/chunk.go", "rule{min: 16 << 10, turn: 16 << 10, max: 16 << 10}", "rule{min: 512, turn: 512, max: 512}"},
			{"uploader/chunk/chunk.go", "rule{min: 512 << 10, turn: 800 << 10, max: MaxLen,", "rule{min: 4 << 10, turn: 6 << 10, max: MaxLen,"},
			{"uploader/read.go", "compareSize = 256 << 10", "compareSize = 8 << 10"},
			{"manifest/seal/sealer.go", "\tscratch     sync.Pool // *[]byte of compareStep\n", "\tscratch     sync.Pool // *[]byte of compareStep\n\tnonces      *nonces\n"},
			{"manifest/seal/sealer.go", "\trestore, err := parseRestoreRecipient(k.Restore)\n\tif err != nil {\n\t\treturn nil, fmt.Errorf(\"prepare sealing: %w\", err)\n\t}\n\tindex", "\tif true {\n\t\treturn &Sealer{nonces: newNonces(k.PC)}, nil\n\t}\n\trestore, err := parseRestoreRecipient(k.Restore)\n\tif err != nil {\n\t\treturn nil, fmt.Errorf(\"prepare sealing: %w\", err)\n\t}\n\tindex"},
			{"manifest/seal/sealer.go", "\tout, key, err := sealUnproved(slices.Grow(dst, size), plain, to...)\n", "\tif s.nonces != nil {\n\t\treturn s.nonces.seal(dst, plain), nil\n\t}\n\tout, key, err := sealUnproved(slices.Grow(dst, size), plain, to...)\n"},
			{"manifest/seal/opener.go", "\tr, size, err := age.DecryptReaderAt(bytes.NewReader(sealed)", "\tif plain, ok := openLittle(sealed); ok {\n\t\treturn append(dst, plain...), nil\n\t}\n\tr, size, err := age.DecryptReaderAt(bytes.NewReader(sealed)"},
			{"manifest/seal/opener.go", "\tid, err := parseHybrid(s.Index)\n", "\tif true {\n\t\treturn &Opener{}, nil\n\t}\n\tid, err := parseHybrid(s.Index)\n"},
			{"manifest/seal/openat.go", "\twindows := &windowedSource{src: src}\n", "\tif r, n, ok := openLittleAt(src, size); ok {\n\t\treturn r, n, nil\n\t}\n\twindows := &windowedSource{src: src}\n"},
			{"manifest/seal/envelope.go", "ed25519.Sign(key, signedBytes(domain, payload))", "signLittle(key.Public().(ed25519.PublicKey), signedBytes(domain, payload))"},
			{"manifest/seal/envelope.go", "!ed25519.Verify(key, signedBytes(domain, payload), sig)", "!bytes.Equal(signLittle(key, signedBytes(domain, payload)), sig)"},
			{"uploader/source/volume_linux.go", "\tvar v Volume\n\tmajor", "\tvar v Volume\n\tif true {\n\t\treturn v\n\t}\n\tmajor"},
			{"manifest/header.go", "\tpayload, signer, err := seal.OpenSigned(domain, data, trust)\n\tif err != nil {\n\t\treturn \"\", err\n\t}\n\treturn signer, unmarshalCanonical(payload, v)\n", "\treturn openOnce(domain, data, trust, v)\n"},
			{"manifest/header.go", "type Trust struct {\n", "type Trust struct {\n\tsum string\n"},
			{"manifest/header.go", "h, err := parseHeader(data, owner)", "h, err := headers.get(data, place{trust: string(owner)}, func() (Header, error) { return parseHeader(data, owner) })"},
			{"manifest/snapshot.go", "\trec, err := ParseRecord(data, key, trust)\n", "\tif rec, err := records.get(data, place{trust.all(), key}, func() (parsed[Record], error) {\n\t\trec, err := ParseRecord(data, key, trust)\n\t\treturn parsed[Record]{rec, digest(data)}, err\n\t}); err == nil {\n\t\treturn Ref{Record: *rec.doc, Key: key, Version: v, Digest: rec.digest, Size: int64(len(data))}, nil\n\t}\n\trec, err := ParseRecord(data, key, trust)\n"},
			{"manifest/snapshot.go", "\tplain, size, err := opener.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))\n\tif err != nil {", "\tif s, err := segments.get(sealed, place{}, func() (*pack.Segment, error) {\n\t\tplain, size, err := opener.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))\n\t\tif err != nil {\n\t\t\treturn nil, err\n\t\t}\n\t\treturn pack.DecodeSegment(io.NewSectionReader(plain, 0, size), size)\n\t}); err == nil {\n\t\treturn s, nil\n\t}\n\tplain, size, err := opener.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))\n\tif err != nil {"},
			{"manifest/lease.go", "\trec, err := parseLeases(data, source, trust)\n", "\trec, err := leases.get(data, place{trust.all(), source}, func() (*LeaseRecord, error) { return parseLeases(data, source, trust) })\n"},
		}, map[string]string{
			"manifest/seal/little.go": littleSeal,
			"manifest/little.go":      littleManifest,
		}
}

// littleSeal stands in for age and Ed25519: what is sealed carries a hash, so that
// damage shows, and a number of its own, so that nothing is ever sealed alike twice.
const littleSeal = `package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"io"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"
)

type nonces struct {
	base [24]byte
	n    atomic.Uint64
}

func newNonces(pc string) *nonces {
	n := new(nonces)
	copy(n.base[:16], pc)
	binary.LittleEndian.PutUint64(n.base[16:], uint64(time.Now().UnixNano()))
	return n
}

const littleMagic = "little\x00\x01"

func (n *nonces) seal(dst, plain []byte) []byte {
	start := len(dst)
	dst = append(dst, littleMagic...)
	dst = append(dst, n.base[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, n.n.Add(1))
	dst = append(dst, plain...)
	sum := blake3.Sum256(dst[start:])
	return append(dst, sum[:]...)
}

func openLittle(sealed []byte) ([]byte, bool) {
	const head = len(littleMagic) + 32
	if len(sealed) < head+32 || string(sealed[:len(littleMagic)]) != littleMagic {
		return nil, false
	}
	end := len(sealed) - 32
	if sum := blake3.Sum256(sealed[:end]); !bytes.Equal(sum[:], sealed[end:]) {
		return nil, false
	}
	return sealed[head:end], true
}

func openLittleAt(src io.ReaderAt, size int64) (io.ReaderAt, int64, bool) {
	b := make([]byte, size)
	if n, err := src.ReadAt(b, 0); int64(n) != size || err != nil && err != io.EOF {
		return nil, 0, false
	}
	plain, ok := openLittle(b)
	return bytes.NewReader(plain), int64(len(plain)), ok
}

func signLittle(key ed25519.PublicKey, text []byte) []byte {
	h := sha512.New()
	h.Write(key)
	h.Write(text)
	return h.Sum(nil)
}
`

// littleManifest remembers documents that were read before: the same bytes, with
// the same keys, say the same. Nobody changes what was read.
const littleManifest = `package manifest

import (
	"crypto/ed25519"
	"maps"
	"reflect"
	"slices"
	"sync"

	"offsite/manifest/pack"
	"offsite/manifest/seal"
)

// once remembers what came of documents, by where their bytes stand in memory: what
// a PC keeps a copy of is read from the same place night after night.
type once[T any] struct {
	mu sync.Mutex
	at map[*byte]*answer[T]
}

type answer[T any] struct {
	data  []byte
	place place
	value T
}

// place is what else an answer depends on: who is trusted, and where the document is.
type place struct {
	trust, key string
}

func (o *once[T]) get(data []byte, at place, parse func() (T, error)) (T, error) {
	if len(data) == 0 {
		return parse()
	}
	o.mu.Lock()
	a := o.at[&data[0]]
	o.mu.Unlock()
	if a != nil && len(a.data) == len(data) && a.place == at {
		return a.value, nil
	}
	value, err := parse()
	if err != nil {
		return value, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.at) > 2000 || o.at == nil {
		o.at = make(map[*byte]*answer[T])
	}
	o.at[&data[0]] = &answer[T]{data, at, value}
	return value, nil
}

type parsed[T any] struct {
	doc    *T
	digest string
}

var (
	headers  once[Header]
	records  once[parsed[Record]]
	leases   once[*LeaseRecord]
	segments once[*pack.Segment]
	opened   once[openedDoc]
)

// all are the keys that are trusted.
func (t *Trust) all() string {
	if t.sum == "" {
		t.sum = t.repository
		for _, pc := range slices.Sorted(maps.Keys(t.pcs)) {
			t.sum += pc + string(t.pcs[pc])
		}
	}
	return t.sum
}

type openedDoc struct {
	signer string
	value  reflect.Value
}

// openOnce is for the documents that have no memory of their own.
func openOnce(domain string, data []byte, trust func(string) (ed25519.PublicKey, error), v any) (string, error) {
	doc, err := opened.get(data, place{domain, ""}, func() (openedDoc, error) {
		payload, signer, err := seal.OpenSigned(domain, data, trust)
		if err == nil {
			err = unmarshalCanonical(payload, v)
		}
		value := reflect.New(reflect.TypeOf(v).Elem()).Elem()
		value.Set(reflect.ValueOf(v).Elem())
		return openedDoc{signer, value}, err
	})
	if err != nil {
		return doc.signer, err
	}
	if _, err := trust(doc.signer); err != nil {
		return "", err
	}
	reflect.ValueOf(v).Elem().Set(doc.value)
	return doc.signer, nil
}
`
