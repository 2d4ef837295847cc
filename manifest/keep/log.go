package keep

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
)

// LogPrefix is where the destruction log stands: outside manifest.Removable, so it
// never lapses.
const LogPrefix = "log/"

const (
	logDomain = "offsite destruction v1"
	// maxMentions bounds one entry, and with it what a crash leaves in doubt.
	maxMentions = 5000
	maxSeq      = 99_999_999
	// maxSkip is how many numbers in a row may be taken by what is no entry. Whoever
	// may write to the store could otherwise use the numbers up with one object.
	maxSkip = 1000
	maxWhy  = 300
)

// Kinds of entries.
const (
	Intent  = "intent"  // what will be removed now
	Outcome = "outcome" // what became of an intent
	Gone    = "gone"    // what a listing no longer shows
)

// Entry is one entry of the destruction log.
type Entry struct {
	Format     int           `json:"format"`
	Repository string        `json:"repository"`
	PC         string        `json:"pc"` // who wrote it; empty: nobody with a key
	Seq        uint64        `json:"seq"`
	Prev       string        `json:"prev"` // SHA-256 of the stored bytes of the entry before
	Time       manifest.Time `json:"time"` // by the clock that things lapsed by
	Kind       string        `json:"kind"`
	Of         uint64        `json:"of"`      // of an outcome: the intent
	Removed    int64         `json:"removed"` // of an outcome: how many objects
	Bytes      int64         `json:"bytes"`
	// Disregarded are documents that could not be read, and that a person took to be
	// worthless.
	Disregarded []string  `json:"disregarded"`
	Objects     []Mention `json:"objects"` // of an outcome: those that stand
}

// Mention is one object in the log.
type Mention struct {
	Key     string        `json:"key"`
	Version string        `json:"version"`
	Size    int64         `json:"size"`
	Until   manifest.Time `json:"until"` // when it lapsed
	Why     string        `json:"why"`   // the document, or the rule, that kept it the longest
	End     string        `json:"end"`   // how it ended; of an intent empty
}

// Ends of an object.
const (
	EndHeld  = "held"  // the store says that it is leased
	EndLeft  = "left"  // it could not be removed
	EndLapse = "lapse" // gone after its lapse
	EndEarly = "early" // gone before: nobody should have been able to
)

func (n *Entry) validate() error {
	switch {
	case n.Format != manifest.FormatVersion:
		return fmt.Errorf("format %d is not one that this version reads (%d)", n.Format, manifest.FormatVersion)
	case n.Kind != Intent && n.Kind != Outcome && n.Kind != Gone:
		return errors.New("unknown kind of entry")
	case n.Seq == 0 || n.Seq > maxSeq || n.Of >= n.Seq || (n.Of > 0) != (n.Kind == Outcome):
		return errors.New("entry number out of range")
	case len(n.Objects) > maxMentions || len(n.Disregarded) > maxMentions || n.Removed < 0 || n.Bytes < 0:
		return errors.New("a list is too long, or a count negative")
	}
	for _, m := range n.Objects {
		if len(m.Key) > providers.MaxKey || len(m.Why) > maxWhy || m.Size < 0 {
			return errors.New("bad mention of an object")
		}
	}
	return nil
}

// Logged is an entry as it stands in a store.
type Logged struct {
	Entry
	Key     string
	Signed  bool
	Digest  string // SHA-256 of the stored bytes
	Problem error  // it is damaged, forged, or does not follow the one before it
}

// Log writes the destruction log of a store.
type Log struct {
	Store      *providers.Store
	Trust      *manifest.Trust
	Repository string
	PC         string             // empty: entries are chained but not signed
	Key        ed25519.PrivateKey // of the PC
}

func logKey(seq uint64) string { return LogPrefix + fmt.Sprintf("%08d", seq) }

func parseLogKey(key string) (uint64, bool) {
	seq, err := strconv.ParseUint(strings.TrimPrefix(key, LogPrefix), 10, 32)
	return seq, err == nil && logKey(seq) == key
}

// Read returns the whole log, oldest first, each entry checked against the one
// before it.
func (l *Log) Read(ctx context.Context) ([]Logged, error) {
	keys, err := l.keys(ctx)
	if err != nil {
		return nil, err
	}
	var out []Logged
	before := "" // digest of the last entry
	for _, o := range keys {
		n, err := l.read(ctx, o.Key, o.Version)
		if err != nil {
			return nil, err
		}
		if n.Problem == nil {
			if n.Prev != before {
				n.Problem = errors.New("it does not follow the entry before it: one was taken out or put in between")
			}
			before = n.Digest
		}
		out = append(out, n)
	}
	return out, nil
}

// keys lists the entries.
func (l *Log) keys(ctx context.Context) ([]providers.Object, error) {
	var out []providers.Object
	last := uint64(0)
	for o, err := range l.Store.List(ctx, LogPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list destruction log: %w", err)
		}
		seq, ok := parseLogKey(o.Key)
		if ok && seq > last+maxSkip {
			break
		}
		if ok {
			out, last = append(out, o), seq
		}
	}
	return out, nil
}

// read reads one entry. What is wrong with it is told by its Problem.
func (l *Log) read(ctx context.Context, key string, v providers.Version) (Logged, error) {
	n := Logged{Key: key}
	data, err := l.Store.Read(ctx, key, v)
	if errors.Is(err, providers.ErrNotExist) || errors.Is(err, providers.ErrCorrupt) {
		n.Problem = err
		return n, nil
	}
	if err != nil {
		return n, fmt.Errorf("read destruction log: %w", err)
	}
	sum := sha256.Sum256(data)
	n.Digest = hex.EncodeToString(sum[:])
	n.Seq, _ = parseLogKey(key)
	entry, signed, err := l.parse(data)
	if err == nil && (logKey(entry.Seq) != key || entry.Repository != l.Repository) {
		err = errors.New("the entry does not belong here")
	}
	if err != nil {
		n.Problem = err
		return n, nil
	}
	n.Entry, n.Signed = *entry, signed
	return n, nil
}

const (
	bareStart = `{"payload":`
	bareEnd   = `,"signer":"","sig":""}`
)

func (l *Log) parse(data []byte) (n *Entry, signed bool, err error) {
	payload, bare := bytes.CutSuffix(bytes.TrimPrefix(data, []byte(bareStart)), []byte(bareEnd))
	if !bare || len(data) > seal.MaxSigned {
		var signer string
		if payload, signer, err = seal.OpenSigned(logDomain, data, l.Trust.Key); err != nil {
			return nil, false, err
		}
		if n, err = decode(payload); err == nil && n.PC != signer {
			err = fmt.Errorf("%w: signed by another PC than the one it names", seal.ErrUntrustedSigner)
		}
		return n, true, err
	}
	if n, err = decode(payload); err == nil && n.PC != "" {
		err = fmt.Errorf("%w: it names a PC that did not sign it", seal.ErrSignature)
	}
	return n, false, err
}

func decode(payload []byte) (*Entry, error) {
	var n Entry
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return nil, fmt.Errorf("%w: %w", seal.ErrDamaged, err)
	}
	again, err := encode(&n)
	if err != nil || !bytes.Equal(again, payload) {
		return nil, fmt.Errorf("%w: not in canonical form", seal.ErrDamaged)
	}
	if err := n.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", seal.ErrDamaged, err)
	}
	return &n, nil
}

func encode(n *Entry) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(n); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// last returns the newest entry, zero if there is none, and the next free number.
func (l *Log) last(ctx context.Context) (n Logged, next uint64, err error) {
	keys, err := l.keys(ctx)
	if err != nil || len(keys) == 0 {
		return n, 1, err
	}
	next, _ = parseLogKey(keys[len(keys)-1].Key)
	for i := len(keys) - 1; i >= 0; i-- {
		if n, err = l.read(ctx, keys[i].Key, keys[i].Version); err != nil || n.Problem == nil {
			return n, next + 1, err
		}
	}
	return Logged{}, next + 1, nil
}

// Last returns the newest entry, zero if there is none.
func (l *Log) Last(ctx context.Context) (Logged, error) {
	n, _, err := l.last(ctx)
	return n, err
}

// Append writes an entry behind the newest one and returns it. If somebody else
// writes at the same moment it is manifest.ErrRace, and nothing is written.
func (l *Log) Append(ctx context.Context, n Entry) (Logged, error) {
	last, next, err := l.last(ctx)
	if err != nil {
		return Logged{}, err
	}
	n.Format, n.Repository, n.PC, n.Seq, n.Prev = manifest.FormatVersion, l.Repository, l.PC, next, last.Digest
	if n.Objects == nil {
		n.Objects = []Mention{}
	}
	if n.Disregarded == nil {
		n.Disregarded = []string{}
	}
	if err := n.validate(); err != nil {
		return Logged{}, fmt.Errorf("write destruction log: %w", err)
	}
	data, err := l.sign(&n)
	if err != nil {
		return Logged{}, fmt.Errorf("write destruction log: %w", err)
	}
	_, err = l.Store.Create(ctx, logKey(next), data, time.Time{})
	if errors.Is(err, providers.ErrConflict) || errors.Is(err, providers.ErrExist) {
		return Logged{}, fmt.Errorf("write destruction log: %w: %w", manifest.ErrRace, err)
	}
	if err != nil {
		return Logged{}, fmt.Errorf("write destruction log: %w", err)
	}
	sum := sha256.Sum256(data)
	return Logged{Entry: n, Key: logKey(next), Signed: l.PC != "", Digest: hex.EncodeToString(sum[:])}, nil
}

func (l *Log) sign(n *Entry) ([]byte, error) {
	payload, err := encode(n)
	if err != nil {
		return nil, err
	}
	if l.PC != "" {
		return seal.Sign(logDomain, payload, l.PC, l.Key)
	}
	return append(append([]byte(bareStart), payload...), bareEnd...), nil
}
