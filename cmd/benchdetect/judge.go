package main

import (
	"context"
	"crypto/sha256"
	"io"
	"time"

	"offsite/uploader/source"
	"offsite/uploader/verify"
)

// outcome is what was said of one set.
type outcome struct {
	verdict  verify.Verdict
	findings []verify.Finding
	console  []string
}

// noticed says whether anything at all was found.
func (o outcome) noticed() bool { return len(o.findings) > 0 }

// known is a file whose bytes were hashed before.
type known struct {
	size, mtime int64
	id          source.FileID
	sum         [32]byte
}

// reader hashes the files of a set as the uploader does: what looks unchanged is
// not read again.
type reader struct {
	key   verify.Key
	seen  map[string]known
	extra map[string]known // of a day that is played and forgotten
}

func newReader() *reader {
	return &reader{seen: map[string]known{}, key: func(b []byte) (k [16]byte) {
		sum := sha256.Sum256(append([]byte("key"), b...))
		return [16]byte(sum[:16])
	}}
}

// judge is one run as far as the commit. It saves nothing if file is not to be
// kept.
func (r *reader) judge(ctx context.Context, sets source.Layout, profile verify.Profile, opt verify.Options, history, day string, keep bool) (outcome, error) {
	set, err := sets.Newest(ctx)
	if ctx.Err() != nil {
		return outcome{}, ctx.Err()
	}
	if err != nil {
		return outcome{verdict: verify.Incomplete, findings: []verify.Finding{{Check: "scan"}}}, nil
	}
	passed, report := verify.Judge(ctx, set, profile, opt)
	out := outcome{report.Verdict(), report.Findings(), report.Console()}
	if !passed.Valid() {
		return out, nil
	}
	h, err := verify.LoadHistory(history, "bench", r.key)
	if err != nil {
		return out, err
	}
	pass := verify.NewPass(passed, h, day)
	sums, err := r.read(set, pass)
	if err != nil {
		return out, err
	}
	report.Add(pass.Findings(func(i int) [32]byte { return sums[i] })...)
	out = outcome{report.Verdict(), report.Findings(), append(report.Console(), pass.Console()...)}
	if !keep {
		return out, nil
	}
	return out, pass.Save(out.verdict, opt.Now())
}

// read hashes what must be read.
func (r *reader) read(set source.Set, pass *verify.Pass) (map[int][32]byte, error) {
	sums := make(map[int][32]byte)
	roots := set.Roots()
	buf := make([]byte, 256<<10)
	for i := range set.Len() {
		e := set.At(i)
		if e.Type != source.TypeFile {
			continue
		}
		path := roots[0].Path + "/" + e.Path // as the folder is named, which tells disks and computers apart
		if k, ok := r.find(path); ok && k.size == e.Size && k.mtime == e.ModTime && k.id == e.ID && !pass.Wants(i) {
			sums[i] = k.sum
			continue
		}
		f, err := set.Open(e)
		if err != nil {
			return nil, err
		}
		w, h := pass.File(i), sha256.New()
		_, err = io.CopyBuffer(io.MultiWriter(h, w), f, buf)
		f.Close()
		if err != nil {
			return nil, err
		}
		w.Close()
		sums[i] = [32]byte(h.Sum(nil))
		into := r.seen
		if r.extra != nil {
			into = r.extra
		}
		into[path] = known{e.Size, e.ModTime, e.ID, sums[i]}
	}
	return sums, nil
}

func (r *reader) find(path string) (known, bool) {
	if k, ok := r.extra[path]; ok {
		return k, true
	}
	k, ok := r.seen[path]
	return k, ok
}

// at is a clock that stands.
func at(t time.Time) func() time.Time { return func() time.Time { return t } }
