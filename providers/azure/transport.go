package azure

import (
	"bytes"
	"io/fs"
	"net/http"
	"sync"

	"offsite/providers/azure/internal/wire"
)

// connect makes the client of the container.
func (d *Driver) connect(cfg Config) (err error) {
	target := cfg.target()
	target.Line.Answered = func(h http.Header) {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			d.date.Store(date.Unix())
		}
	}
	d.expires = cfg.expiry()
	d.client, err = target.Client()
	return err
}

func (c Config) target() wire.Target {
	return wire.Target{Account: c.Account, Container: c.Container, Endpoint: c.Endpoint, SharedKey: c.SharedKey, SAS: c.SAS, Token: c.Token,
		Line: wire.Line{Proxy: c.Proxy, Conn: c.Conn, CAFile: c.CAFile, UserAgent: c.UserAgent}}
}

// upload is the body of one Put. After close no byte of data is touched: the
// transport may read on for a moment after a cancelled request has returned, and
// the caller may use its memory again by then.
type upload struct {
	mu     sync.Mutex
	reader *bytes.Reader
	closed bool
}

func newUpload(data []byte) *upload { return &upload{reader: bytes.NewReader(data)} }

func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return 0, fs.ErrClosed
	}
	return u.reader.Read(p)
}

func (u *upload) Seek(offset int64, whence int) (int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.reader.Seek(offset, whence)
}

// Close is what the transport calls, before each attempt's end; it changes nothing.
func (u *upload) Close() error { return nil }

func (u *upload) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
}
