package practice

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// IdealSize is what a day would cost to store with perfect deduplication: every piece compressed alone with zstd at its
// fastest level, or left as it is where that is smaller.
type IdealSize struct {
	Files int64 // new files
	Pages int64 // changed and added pages of tables and of the SQLite file
	Log   int64 // lines added to the log
}

// Total is the sum.
func (s IdealSize) Total() int64 { return s.Files + s.Pages + s.Log }

// Ideal measures a day's report against the folder as that day left it.
func Ideal(ctx context.Context, dir string, report Report) (IdealSize, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return IdealSize{}, fmt.Errorf("measure ideal size: %w", err)
	}
	defer enc.Close()
	var total IdealSize
	m := measurer{enc: enc}
	for _, c := range report.Changes {
		if err := ctx.Err(); err != nil {
			return IdealSize{}, err
		}
		name := filepath.Join(dir, filepath.FromSlash(c.Path))
		switch {
		case c.New:
			err = m.add(&total.Files, name, 0, c.Size)
		case c.PageSize == 0:
			err = m.add(&total.Log, name, c.Size-c.Appended, c.Appended)
		default:
			size := int64(c.PageSize)
			for _, no := range c.Pages {
				if err = m.add(&total.Pages, name, no*size, size); err != nil {
					break
				}
			}
			for at := c.Size - c.Appended; err == nil && at < c.Size; at += size {
				err = m.add(&total.Pages, name, at, size)
			}
		}
		if err != nil {
			return IdealSize{}, fmt.Errorf("measure ideal size: %w", err)
		}
	}
	return total, nil
}

type measurer struct {
	enc     *zstd.Encoder
	in, out []byte
}

func (m *measurer) add(sum *int64, name string, at, n int64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	m.in = grow(m.in[:0], int(n))[:n]
	if _, err := io.ReadFull(io.NewSectionReader(f, at, n), m.in); err != nil {
		return err
	}
	m.out = m.enc.EncodeAll(m.in, m.out[:0])
	*sum += min(n, int64(len(m.out)))
	return nil
}
