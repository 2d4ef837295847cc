package uploader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync"

	"offsite/manifest/pack"
)

// journal lists the packs that a run has begun to store, each with what it holds,
// in the form of a small index segment. A pack is written here before it is sent,
// so after a crash the next run knows every pack that may have arrived: it needs
// only to see which did. A committed run leaves the journal empty.
type journal struct {
	mu   sync.Mutex // guards f
	f    *os.File
	path string
}

// maxJournalEntry bounds what a damaged length can make the reader allocate.
const maxJournalEntry = 64 << 20

// openJournal returns the journal at path and the segments it holds. A torn or
// damaged tail is cut off: what stood there is stored again.
func openJournal(path string) (*journal, []*pack.Segment, error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	segments, good := parseJournal(b)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	err = f.Truncate(good)
	if err == nil {
		_, err = f.Seek(good, 0)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	return &journal{f: f, path: path}, segments, nil
}

func parseJournal(b []byte) (segments []*pack.Segment, good int64) {
	for len(b) >= 8 {
		n := int64(binary.LittleEndian.Uint32(b))
		if n > maxJournalEntry || 8+n > int64(len(b)) {
			break
		}
		body := b[8 : 8+n]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
			break
		}
		s, err := pack.ParseSegment(body)
		if err != nil {
			break
		}
		segments = append(segments, s)
		good += 8 + n
		b = b[8+n:]
	}
	return segments, good
}

// add writes down one pack that is about to be sent.
func (j *journal) add(e pack.PackEntry) error {
	plain, err := pack.EncodeSegments([]pack.PackEntry{e})
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	for _, p := range plain {
		b := make([]byte, 8, 8+len(p))
		binary.LittleEndian.PutUint32(b, uint32(len(p)))
		binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(p, castagnoli))
		b = append(b, p...)
		j.mu.Lock()
		_, err := j.f.Write(b)
		j.mu.Unlock()
		if err != nil {
			return fmt.Errorf("write journal: %w", err)
		}
	}
	return nil
}

// clear empties the journal: all it held is committed.
func (j *journal) clear() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.f.Truncate(0); err != nil {
		return fmt.Errorf("clear journal: %w", err)
	}
	_, err := j.f.Seek(0, io.SeekStart)
	return err
}

func (j *journal) close() error { return j.f.Close() }
