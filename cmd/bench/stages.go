package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/dir"
	"offsite/uploader/chunk"
)

// sampleBytes is how much of the practice the stages are measured on.
const sampleBytes = 256 << 20

// largeFile is from when on only a part of a file is taken.
const largeFile = 4 << 20

// stages are the speeds of the parts of a run, each alone on one core.
type stages struct {
	Total  int64 // bytes of the practice
	Sample int64
	Files  int
	List   []stage
	Disk   stage // not a matter of cores
}

type stage struct {
	Name  string
	Bytes int64         // that went through this stage, of the sample
	Took  time.Duration // of the processor, where the system tells; so other programs count little
}

func (s *stage) add(n int, f func()) {
	start, cpu := time.Now(), processorTime()
	f()
	wall, used := time.Since(start), processorTime()-cpu
	if used == 0 {
		used = wall
	}
	s.Took += used
	s.Bytes += int64(n)
}

// wait is add for what waits for the disk.
func (s *stage) wait(n int, f func()) {
	start := time.Now()
	f()
	s.Took += time.Since(start)
	s.Bytes += int64(n)
}

// limit is how long the whole practice takes at least on the cores there are, if
// every stage ran at its own speed and nothing ever waited. What the disk takes
// longer than that is waited for.
func (s *stages) limit() time.Duration {
	var sum time.Duration
	for _, st := range s.List {
		sum += st.Took
	}
	scale := float64(s.Total) / float64(s.Sample)
	cpu := time.Duration(scale * float64(sum) / float64(runtime.GOMAXPROCS(0)))
	return max(cpu, time.Duration(scale*float64(s.Disk.Took)))
}

func (s *stages) print(w io.Writer) {
	fmt.Fprintf(w, "stages, one core, on %d MB of the practice in %d files:\n", s.Sample/1e6, s.Files)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t MB/s\t s per GB of input\t")
	for _, st := range append(s.List, s.Disk) {
		fmt.Fprintf(t, "%s\t %.0f\t %.3f\t\n", st.Name, float64(st.Bytes)/1e6/st.Took.Seconds(), st.Took.Seconds()/(float64(s.Sample)/1e9))
	}
	t.Flush()
	fmt.Fprintf(w, "limit for the whole practice on %d cores: %.2f s\n\n", runtime.GOMAXPROCS(0), s.limit().Seconds())
}

// measureStages takes every n-th small file and the n-th part of each large one, so
// that the sample is mixed as the whole is.
func measureStages(ctx context.Context, data, scratch string) (*stages, error) {
	m, err := newStageMeter(scratch)
	if err != nil {
		return nil, err
	}
	total, _, err := folderSize(data)
	if err != nil {
		return nil, err
	}
	m.Total = total
	every := max(1, total/sampleBytes)
	var n int64
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() >= largeFile {
			return m.file(ctx, path, info.Size()/every)
		}
		if n++; n%every != 0 {
			return ctx.Err()
		}
		return m.file(ctx, path, info.Size())
	})
	if err == nil {
		err = m.flush(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("measure stages: %w", err)
	}
	m.List = []stage{m.read, m.cut, m.name, m.hash, m.encode, m.seal, m.nameSealed, m.write}
	return &m.stages, os.RemoveAll(scratch)
}

// stageMeter runs files through the stages one after the other.
type stageMeter struct {
	stages
	read, cut, name, hash, encode, seal, nameSealed, write stage

	cutter  *chunk.Cutter
	namer   *seal.Namer
	sealer  *seal.Sealer
	encoder *pack.Encoder
	builder *pack.Builder
	store   *providers.Store
	sealed  []byte
	buf     []byte
}

func newStageMeter(scratch string) (*stageMeter, error) {
	secrets, err := seal.NewSecrets()
	if err != nil {
		return nil, err
	}
	restore, err := seal.NewRestoreKey()
	if err != nil {
		return nil, err
	}
	owner, err := seal.NewOwner()
	if err != nil {
		return nil, err
	}
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	if err != nil {
		return nil, err
	}
	d, err := dir.Create(scratch)
	if err != nil {
		return nil, err
	}
	m := &stageMeter{namer: key.Namer(), builder: pack.NewBuilder(pack.WriteOnce), store: providers.NewStore(d, providers.Options{})}
	m.cutter = chunk.New(m.namer.Cut())
	if m.sealer, err = key.Sealer(); err != nil {
		return nil, err
	}
	m.encoder, err = pack.NewEncoder()
	for _, s := range []struct {
		s    *stage
		name string
	}{{&m.read, "read"}, {&m.cut, "cut"}, {&m.name, "name chunks"}, {&m.hash, "SHA-256 of files"}, {&m.encode, "compress"},
		{&m.seal, "seal and prove"}, {&m.nameSealed, "name packs"}, {&m.write, "write (processor)"}, {&m.Disk, "write (disk)"}} {
		s.s.Name = s.name
	}
	return m, err
}

// file runs size bytes from the start of a file through the stages.
func (m *stageMeter) file(ctx context.Context, path string, size int64) error {
	n := int(size)
	if n == 0 {
		return nil
	}
	var err error
	if cap(m.buf) < n {
		m.buf = make([]byte, n)
	}
	b := m.buf[:n]
	m.read.add(n, func() {
		var f *os.File
		if f, err = os.Open(path); err == nil {
			_, err = io.ReadFull(f, b)
			f.Close()
		}
	})
	if err != nil {
		return err
	}
	m.Sample += int64(n)
	m.Files++
	m.hash.add(n, func() { sha256.Sum256(b) })
	kind := chunk.Detect(filepath.Ext(path), b[:min(n, chunk.HeadLen)])
	for len(b) > 0 {
		var size int
		m.cut.add(0, func() { size = m.cutter.Next(kind, b[:min(len(b), chunk.MaxLen)], len(b) <= chunk.MaxLen) })
		m.cut.Bytes += int64(size)
		if err := m.chunk(ctx, b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return m.frames(ctx, false)
}

func (m *stageMeter) chunk(ctx context.Context, plain []byte) (err error) {
	var id pack.ChunkID
	m.name.add(len(plain), func() { id = m.namer.Chunk(plain) })
	m.encode.add(len(plain), func() { err = m.encoder.Add(id, plain) })
	if err != nil {
		return err
	}
	return m.frames(ctx, true)
}

func (m *stageMeter) frames(ctx context.Context, full bool) error {
	for !full || m.encoder.Full() {
		var f pack.Frame
		var ok bool
		m.encode.add(0, func() { f, ok = m.encoder.Flush() })
		if !ok {
			return nil
		}
		if !m.builder.Fits(f) {
			if err := m.ship(ctx); err != nil {
				return err
			}
		}
		var err error
		m.encode.add(0, func() { err = m.builder.Append(f) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *stageMeter) flush(ctx context.Context) error {
	if m.builder.Empty() {
		return nil
	}
	return m.ship(ctx)
}

func (m *stageMeter) ship(ctx context.Context) (err error) {
	plain := m.builder.Plain()
	m.seal.add(len(plain), func() { m.sealed, err = m.sealer.Pack(m.sealed[:0], plain) })
	if err != nil {
		return err
	}
	m.builder.Reset(pack.WriteOnce)
	var name pack.Name
	m.nameSealed.add(len(m.sealed), func() { name = pack.NameOf(m.sealed) })
	before := processorTime()
	m.Disk.wait(len(m.sealed), func() { _, err = m.store.Create(ctx, "r/p/"+name.String(), m.sealed, time.Time{}) })
	m.write.Took += processorTime() - before
	m.write.Bytes += int64(len(m.sealed))
	return err
}
