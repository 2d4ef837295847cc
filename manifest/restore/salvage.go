package restore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"offsite/manifest"
	"offsite/manifest/pack"
)

// salvaged is what can be opened of a pack whose own directory cannot be had: some
// steps of its seal are damaged, or it is cut short. The index says where the frames
// stand. Nothing but a file's own SHA-256 proves what comes out.
type salvaged struct {
	number int         // of the pack in the index
	plain  io.ReaderAt // with gaps where it is damaged
	dec    *pack.Decoder
	stored []byte
	room   []byte
}

// salvage opens what it can of a pack. One that is lost altogether comes back as one
// without any bytes.
func (s *Snapshot) salvage(ctx context.Context, number int) (*salvaged, error) {
	pin := s.source.pins[s.index.Packs()[number].Name]
	dec, err := pack.NewDecoder()
	if err != nil {
		return nil, err
	}
	out := &salvaged{number: number, dec: dec, plain: bytes.NewReader(nil)}
	sealed, err := s.source.store.Read(ctx, manifest.PackKey(pin.Name), pin.Version)
	if err != nil {
		if isDamage(err) {
			return out, nil
		}
		return nil, err
	}
	if at, _, err := s.source.opener.OpenAt(bytes.NewReader(sealed), int64(len(sealed))); err == nil {
		out.plain = at
		return out, nil
	}
	r, err := s.source.opener.NewReader(bytes.NewReader(sealed))
	if err != nil {
		return out, nil
	}
	// Bytes that were read are authentic, whatever error ends the reading.
	var b bytes.Buffer
	_, _ = io.Copy(&b, io.LimitReader(r, pack.MaxPack))
	out.plain = bytes.NewReader(b.Bytes())
	return out, nil
}

// chunk returns a chunk from what was saved.
func (s *salvaged) chunk(l pack.Location) ([]byte, error) {
	if cap(s.stored) < int(l.Stored) {
		s.stored = make([]byte, l.Stored)
	}
	b := s.stored[:l.Stored]
	if n, err := s.plain.ReadAt(b, int64(l.Frame)); n < len(b) {
		return nil, fmt.Errorf("%w: its place in the pack cannot be opened: %w", ErrDamaged, err)
	}
	frame, err := s.dec.Frame(s.room[:0], l.Codec, b, int(l.Plain))
	if err != nil {
		return nil, err
	}
	s.room = frame
	return cut(frame, l.Offset, l.Length)
}

// rescue delivers a chunk from what can be saved of a pack that does not open. It
// is the last resort.
func (r *restorer) rescue(ctx context.Context, f failure, id pack.ChunkID) (bool, error) {
	if !f.shut || r.dry != nil {
		return false, nil
	}
	if r.saved == nil || r.saved.number != int(f.pack) {
		r.saved = nil // before the next is fetched
		s, err := r.s.salvage(ctx, int(f.pack))
		if err != nil {
			return false, err
		}
		r.saved = s
	}
	for l := range r.s.places(id) {
		if l.PackNo != int(f.pack) || l.Frame != f.frame || l.Length != f.length {
			continue
		}
		b, err := r.saved.chunk(l)
		if err != nil || f.file.single && sha256.Sum256(b) != f.file.row.SHA256 {
			break
		}
		w := &worker{r: r}
		return true, w.deliverChunk(f.job, b)
	}
	return false, nil
}
