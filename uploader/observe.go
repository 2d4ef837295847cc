package uploader

import (
	"fmt"
	"io"

	"offsite/uploader/verify"
)

// wants says whether the observer asks for a file that would not be read.
func (r *run) wants(entry int) bool {
	return r.cfg.Observer != nil && r.cfg.Observer.Wants(entry)
}

// observer returns what takes the bytes of a file besides the hash.
func (r *run) observer(entry int) io.WriteCloser {
	if r.cfg.Observer == nil {
		return nobody{}
	}
	return r.cfg.Observer.File(entry)
}

// nobody takes bytes that nobody wants.
type nobody struct{}

func (nobody) Write(p []byte) (int, error) { return len(p), nil }
func (nobody) Close() error                { return nil }

// observed asks the observer for its findings. A set that proves not to be whole
// is not committed.
func (r *run) observed(c *contents, res *Result) error {
	if r.cfg.Observer == nil {
		return nil
	}
	c.found = r.cfg.Observer.Findings(func(entry int) [32]byte { return c.files[entry].sha256 })
	res.Findings = c.found
	for _, f := range c.found {
		if f.Level != verify.LevelWarning && f.Level != verify.LevelSuspect {
			res.Verdict = verify.Incomplete.String()
			return fmt.Errorf("%w: check %s", ErrIncomplete, f.Check)
		}
	}
	return nil
}
