package restore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"offsite/manifest"
	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/mem"
)

var (
	now    = time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)
	expiry = now.AddDate(0, 3, 0)
)

const sourceID = "00112233445566ff"

// practice is a store with one PC, and what opens it.
type practice struct {
	mem     *mem.Mem
	store   *providers.Store
	restore *seal.RestoreKey
	upload  *seal.UploadKey
	sealer  *seal.Sealer
	trust   *manifest.Trust
	seq     uint64
	prev    string
	packed  int                       // plain bytes after which a pack is closed
	tabled  int                       // the same for packs of the file table, if not 0
	twice   bool                      // chunks of files stand in two packs
	forge   func(plain []byte) []byte // changes a chunk of the file table before it is stored
	early   time.Duration             // how long before its due a pack lapses
}

func newPractice(t testing.TB) *practice {
	t.Helper()
	m := mem.New(mem.Options{Now: func() time.Time { return now }, Report: func(b string) { t.Error(b) }})
	p := newPracticeOn(t, m)
	p.mem = m
	return p
}

// newPracticeOn is a practice with another store than one in memory.
func newPracticeOn(t testing.TB, d providers.Driver) *practice {
	t.Helper()
	ctx := t.Context()
	p := &practice{store: providers.NewStore(d, providers.Options{}), packed: 1 << 20}
	p.restore = must(seal.NewRestoreKey())(t)
	secrets := must(seal.NewSecrets())(t)
	owner := p.restore.Owner()
	p.upload = must(seal.NewUploadKey(seal.NewID(), seal.NewID(), p.restore.Recipient(), secrets, owner.Public()))(t)
	p.sealer = must(p.upload.Sealer())(t)
	header := manifest.Header{Format: 1, Repository: p.upload.Repository, Created: manifest.At(now), Owner: manifest.Public(owner.Public()),
		Restore: p.upload.Restore, Naming: manifest.NamingV1, Removable: manifest.Removable}
	enrolment := manifest.Enrolment{Format: 1, Repository: p.upload.Repository, PC: p.upload.PC, Label: "front desk",
		Signing: base64.StdEncoding.EncodeToString(p.upload.Public()), Created: manifest.At(now)}
	p.found(t, header, enrolment, owner)
	sealed := must(owner.SealSecrets(secrets, p.upload.Repository, p.upload.Restore))(t)
	must(p.store.Create(ctx, manifest.SecretsKey, sealed, time.Time{}))(t)
	p.trust = must(manifest.LoadTrust(ctx, p.store, must(manifest.OpenHeader(ctx, p.store, owner.Public()))(t)))(t)
	return p
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// content is one entry of a set: bytes of a file, or what else row says.
type content struct {
	data []byte
	row  manifest.Row
}

// set is a set by paths.
type set map[string]content

func file(data []byte) content { return content{data, manifest.Row{Type: manifest.File, Mode: 0o640}} }
func folder(mode uint32) content {
	return content{nil, manifest.Row{Type: manifest.Folder, Mode: mode}}
}
func link(to string) content {
	return content{nil, manifest.Row{Type: manifest.Link, Mode: 0o777, Target: to}}
}

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:n:n]
}

// practiceSet is a set with every kind of entry.
func practiceSet() set {
	s := set{
		"db":                   folder(0o750),
		"db/patients.sqlite":   file(append(noise(1, 800<<10), make([]byte, 700<<10)...)),
		"db/empty":             file(nil),
		"images":               folder(0o755),
		"images/Müller, Zoë":   folder(0o700),
		"images/large.tif":     file(noise(2, 5<<20)),
		"images/latest":        link("large.tif"),
		"images/outside":       link("../../../etc/passwd"),
		"readme.txt":           file([]byte("Thursday's backup\n")),
		"images/copy of large": file(noise(2, 5<<20)),
	}
	for i := range 200 {
		s[fmt.Sprintf("images/Müller, Zoë/%03d.jpg", i)] = file(noise(uint64(100+i), 100+5*i*i))
	}
	return s
}

// writer packs, seals and stores chunks, once each.
type writer struct {
	p     *practice
	ctx   context.Context
	t     testing.TB
	class pack.Class
	enc   *pack.Encoder
	b     *pack.Builder
	seen  map[pack.ChunkID]bool
	packs []manifest.Stored
	rows  []pack.PackEntry
}

func (p *practice) writer(t testing.TB, class pack.Class) *writer {
	return &writer{p: p, ctx: t.Context(), t: t, class: class, enc: must(pack.NewEncoder())(t), b: pack.NewBuilder(class), seen: map[pack.ChunkID]bool{}}
}

func (w *writer) put(plain []byte) pack.ChunkID {
	id := pack.ChunkID(w.p.upload.Namer().Chunk(plain))
	if w.seen[id] {
		return id
	}
	w.seen[id] = true
	if err := w.enc.Add(id, plain); err != nil {
		w.t.Fatal(err)
	}
	for w.enc.Full() || w.class == pack.Table && w.p.tabled > 0 {
		if !w.append() {
			break
		}
	}
	return id
}

func (w *writer) append() bool {
	f, ok := w.enc.Flush()
	if !ok {
		return false
	}
	limit := w.p.packed
	if w.class == pack.Table && w.p.tabled > 0 {
		limit = w.p.tabled
	}
	if !w.b.Fits(f) || w.b.Len() > limit {
		w.close()
	}
	if err := w.b.Append(f); err != nil {
		w.t.Fatal(err)
	}
	return true
}

func (w *writer) close() {
	if w.b.Empty() {
		return
	}
	sealed := must(w.p.sealer.Pack(nil, w.b.Plain()))(w.t)
	name := pack.NameOf(sealed)
	w.packs = append(w.packs, must(manifest.SavePack(w.ctx, w.p.store, name, sealed, expiry.Add(-w.p.early)))(w.t).Leased(expiry))
	w.rows = append(w.rows, pack.PackEntry{Name: name, Size: uint32(len(sealed)), Directory: w.b.Directory()})
	w.b.Reset(w.b.Class())
}

func (w *writer) finish() {
	for w.append() {
	}
	w.close()
}

// commit stores a set as a snapshot: databases in chunks of 16 KiB, all else in
// chunks of 1 MiB.
func (p *practice) commit(t testing.TB, s set, change func(*manifest.Row)) manifest.Ref {
	t.Helper()
	once, pages, table := p.writer(t, pack.WriteOnce), p.writer(t, pack.Volatile), p.writer(t, pack.Table)
	second := p.writer(t, pack.WriteOnce)
	b := &manifest.TableBuilder{
		Put: func(plain []byte) (pack.ChunkID, error) {
			plain = bytes.Clone(plain)
			if p.forge != nil {
				plain = p.forge(plain)
			}
			return table.put(plain), nil
		},
		Cut: func(path string) bool { return len(path)%16 == 0 },
	}
	var counts manifest.Counts
	for _, path := range slices.Sorted(maps.Keys(s)) {
		c := s[path]
		row := c.row
		row.Path, row.Mtime = path, now.Add(-time.Duration(len(path))*time.Hour).UnixNano()
		if row.Type == manifest.File {
			w, step := once, 1<<20
			if strings.HasSuffix(path, ".sqlite") {
				w, step = pages, 16<<10
			}
			row.Size, row.SHA256 = int64(len(c.data)), sha256.Sum256(c.data)
			for part := range slices.Chunk(c.data, step) {
				row.Chunks = append(row.Chunks, w.put(part))
				if p.twice {
					second.put(part)
				}
			}
			counts.Files++
			counts.Bytes += row.Size
		}
		if change != nil {
			change(&row)
		}
		if err := b.Add(row); err != nil {
			t.Fatal(err)
		}
	}
	done := must(b.Finish())(t)
	var packs []manifest.Stored
	var entries []pack.PackEntry
	for _, w := range []*writer{once, pages, table, second} {
		w.finish()
		packs, entries = append(packs, w.packs...), append(entries, w.rows...)
	}
	var segments []manifest.Stored
	for _, part := range [][]pack.PackEntry{entries[:len(entries)/2], entries[len(entries)/2:]} {
		for _, plain := range must(pack.EncodeSegments(part))(t) {
			segments = append(segments, must(manifest.SaveSegment(t.Context(), p.store, must(p.sealer.Index(nil, plain))(t), expiry))(t))
		}
	}
	p.seq++
	rec := manifest.Record{Format: 1, Repository: p.upload.Repository, Source: sourceID, PC: p.upload.PC, Seq: p.seq, Prev: p.prev,
		Time: manifest.At(now), Date: "2026-11-20", Revision: int(p.seq), Zone: "Europe/London", Profile: "generic", Verdict: manifest.Clean,
		Counts: counts, Table: done, Expiry: manifest.At(expiry)}
	ref := must(manifest.Commit(t.Context(), p.store, rec, packs, segments, p.upload.Signing, expiry))(t)
	p.prev = ref.Digest
	return ref
}

// found writes the header and the PC's enrolment as FORMAT.md says.
func (p *practice) found(t testing.TB, h manifest.Header, e manifest.Enrolment, owner *seal.Owner) {
	t.Helper()
	for key, doc := range map[string]struct {
		domain string
		v      any
	}{
		manifest.HeaderKey:   {"offsite header v1", h},
		manifest.PCKey(e.PC): {"offsite enrolment v1", e},
	} {
		payload := must(json.Marshal(doc.v))(t)
		data := must(owner.Sign(doc.domain, payload))(t)
		if _, err := p.store.Create(t.Context(), key, data, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
}
