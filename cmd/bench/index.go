package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"time"

	"offsite/manifest/pack"
	"offsite/manifest/seal"
)

// index makes sealed index segments of b.chunks chunks and measures, in a process
// of its own, how long opening them takes and how much memory.
func (b *bench) index(ctx context.Context) error {
	folder := filepath.Join(b.dir, "index")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	if err := b.call(ctx, "make-index", folder, nil); err != nil {
		return fmt.Errorf("make large index: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-chunks", fmt.Sprint(b.chunks), "-child", "open-index", folder)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("open large index: %w", err)
	}
	var wall time.Duration
	if err := json.Unmarshal(out, &wall); err != nil {
		return err
	}
	b.rows = append(b.rows, row{name: fmt.Sprintf("open index of %d chunks", b.chunks), wall: wall,
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), rss: peakRSS(cmd.ProcessState)})
	return nil
}

// perPack and perFrame are what 16 KiB chunks of a database come to.
const perPack, perFrame = 2048, 16

// packStart is where the first frame of a pack stands, by the format.
const packStart = 16

func makeIndex(folder string, chunks int) error {
	secrets, err := seal.NewSecrets()
	if err != nil {
		return err
	}
	restore, err := seal.NewRestoreKey()
	if err != nil {
		return err
	}
	owner, err := seal.NewOwner()
	if err != nil {
		return err
	}
	key, err := seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	if err != nil {
		return err
	}
	text, err := key.MarshalText()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "upload.key"), text, 0o600); err != nil {
		return err
	}
	sealer, err := key.Sealer()
	if err != nil {
		return err
	}
	const perSegment = 1_250_000
	for done, n := 0, 0; done < chunks; n++ {
		count := min(perSegment, chunks-done)
		plain, err := pack.EncodeSegments(madeUpPacks(done, count))
		if err != nil {
			return err
		}
		for i, p := range plain {
			sealed, err := sealer.Index(nil, p)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%03d-%d.segment", n, i)), sealed, 0o600); err != nil {
				return err
			}
		}
		done += count
	}
	return nil
}

// madeUpPacks lists packs of small chunks whose ids are hashes of their numbers.
func madeUpPacks(from, count int) []pack.PackEntry {
	var packs []pack.PackEntry
	for at := from; at < from+count; at += perPack {
		n := min(perPack, from+count-at)
		e := pack.PackEntry{Name: sha256.Sum256(binary.LittleEndian.AppendUint64([]byte("pack"), uint64(at))), Size: 16 << 20,
			Directory: pack.Directory{Class: pack.Volatile}}
		for i := range n {
			if i%perFrame == 0 {
				inFrame := min(perFrame, n-i)
				e.Directory.Frames = append(e.Directory.Frames, pack.FrameInfo{Offset: uint32(packStart + i*6000), Stored: uint32(inFrame * 6000), Plain: uint32(inFrame * 16384), Codec: pack.Zstd})
			}
			e.Directory.Chunks = append(e.Directory.Chunks, pack.ChunkInfo{ID: idOf(at + i), Frame: uint32(i / perFrame), Offset: uint32(i % perFrame * 16384), Length: 16384})
		}
		packs = append(packs, e)
	}
	return packs
}

func idOf(n int) pack.ChunkID {
	h := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	return pack.ChunkID(h[:16])
}

// openIndex opens every segment of a folder and looks some chunks up; it returns
// how long opening took.
func openIndex(folder string, chunks int) (time.Duration, error) {
	debug.SetGCPercent(20) // as the program does
	text, err := os.ReadFile(filepath.Join(folder, "upload.key"))
	if err != nil {
		return 0, err
	}
	key, err := seal.ParseUploadKey(text)
	if err != nil {
		return 0, err
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.segment"))
	if err != nil {
		return 0, err
	}
	start := time.Now()
	opener, err := key.IndexOpener()
	if err != nil {
		return 0, err
	}
	var segments []*pack.Segment
	for _, name := range files {
		s, err := openSegment(opener, name)
		if err != nil {
			return 0, err
		}
		segments = append(segments, s)
	}
	x := pack.NewIndex(segments...)
	took := time.Since(start)
	if x.Len() != chunks {
		return 0, fmt.Errorf("index has %d chunks instead of %d", x.Len(), chunks)
	}
	for n := 0; n < chunks; n += 1 + chunks/1000 {
		if _, ok := x.Lookup(idOf(n)); !ok {
			return 0, fmt.Errorf("chunk %d is not found", n)
		}
	}
	return took, nil
}

func openSegment(opener *seal.Opener, name string) (*pack.Segment, error) {
	sealed, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	plain, size, err := opener.OpenAt(bytes.NewReader(sealed), int64(len(sealed)))
	if err != nil {
		return nil, err
	}
	return pack.DecodeSegment(io.NewSectionReader(plain, 0, size), size)
}
