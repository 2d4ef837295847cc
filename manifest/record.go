package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"offsite/manifest/pack"
	"offsite/providers"
)

// FormatVersion is the version of every JSON document of this package.
const FormatVersion = 1

// Limits of a record. They bound what a hostile store can make a reader hold.
const (
	maxRecordPacks    = 4 << 20 // 64 TiB of 16 MiB packs
	maxRecordFindings = 1000
	maxText           = 1000

	// MaxSeq is the highest sequence number: three a day for nine thousand years. What
	// stands above it is no record, so that nobody can use the numbers up.
	MaxSeq = 10_000_000
)

// Verdicts of a set, as they stand in records. An incomplete set has no record.
const (
	Clean   = "clean"
	Suspect = "suspect"
)

// Record is the signed, small object whose creation commits a snapshot. It holds
// no file names and no patient data; whoever reads it without any key can tell
// when a clean day arrived, and which objects it needs.
type Record struct {
	Format     int       `json:"format"`
	Repository string    `json:"repository"`
	Source     string    `json:"source"`
	PC         string    `json:"pc"`
	Seq        uint64    `json:"seq"`
	Prev       string    `json:"prev"` // SHA-256 of the record before it in this store; "" if there is none to read
	Time       Time      `json:"time"` // when the run began, by the PC's clock, or the store's where that is behind
	Date       string    `json:"date"` // business date, YYYY-MM-DD
	Revision   int       `json:"revision"`
	Zone       string    `json:"zone"`
	Profile    string    `json:"profile"`
	Verdict    string    `json:"verdict"`
	Findings   []Finding `json:"findings"`
	Counts     Counts    `json:"counts"`
	Table      Table     `json:"table"`
	Expiry     Time      `json:"expiry"` // kept until, as fixed at the commit
	Classes    []string  `json:"classes"`
	Segments   []Pin     `json:"segments"`
	Packs      []Pin     `json:"packs"`
}

// Finding is one result of a check, without any name from the source.
type Finding struct {
	Check    string `json:"check"`
	Level    string `json:"level"`
	Measured string `json:"measured"`
	Limit    string `json:"limit"`
	Count    int64  `json:"count"`
}

// Counts sums up the set and what its upload stored. Bytes are plain bytes.
type Counts struct {
	Files    int64 `json:"files"`
	Folders  int64 `json:"folders"`
	Links    int64 `json:"links"`
	Bytes    int64 `json:"bytes"`
	NewBytes int64 `json:"new_bytes"` // plain bytes of chunks that were not stored before
	Stored   int64 `json:"stored"`    // bytes of the objects this run put
}

// Table says where the file table begins.
type Table struct {
	Root   string `json:"root"` // id of the root chunk
	Chunks int64  `json:"chunks"`
	Rows   int64  `json:"rows"`
}

// Time is an instant in whole seconds of UTC, as documents hold it.
type Time struct{ time.Time }

// At returns t in whole seconds of UTC. Fractions are dropped.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Second)} }

// MarshalJSON writes RFC 3339 with a Z.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"2006-01-02T15:04:05Z"`)), nil
}

// UnmarshalJSON reads what MarshalJSON writes and nothing else.
func (t *Time) UnmarshalJSON(b []byte) error {
	v, err := time.Parse(`"2006-01-02T15:04:05Z"`, string(b))
	if err != nil {
		return errors.New("time is not YYYY-MM-DDTHH:MM:SSZ")
	}
	*t = Time{v.UTC()}
	return nil
}

// Pin names one object for good: what it must hash to, how long it is, and which
// version of its key was meant. It is written as one string, "name size version",
// without the version where the store has none.
type Pin struct {
	Name    pack.Name
	Size    int64
	Version providers.Version
}

// MarshalText writes the pin as documents hold it.
func (p Pin) MarshalText() ([]byte, error) {
	s := fmt.Sprintf("%s %d", p.Name, p.Size)
	if p.Version != "" {
		if strings.ContainsAny(string(p.Version), " \n\t") {
			return nil, errors.New("write pin: version holds white space")
		}
		s += " " + string(p.Version)
	}
	return []byte(s), nil
}

// UnmarshalText reads what MarshalText writes.
func (p *Pin) UnmarshalText(b []byte) error {
	f := strings.SplitN(string(b), " ", 3)
	if len(f) < 2 {
		return errors.New("read pin: want name and size")
	}
	name, ok := ParseName(f[0])
	if !ok {
		return errors.New("read pin: bad name")
	}
	var size int64
	if _, err := fmt.Sscanf(f[1], "%d", &size); err != nil || size <= 0 || size > providers.MaxObject || fmt.Sprint(size) != f[1] {
		return errors.New("read pin: bad size")
	}
	*p = Pin{Name: name, Size: size}
	if len(f) == 3 {
		if f[2] == "" || strings.ContainsAny(f[2], " \n\t") || len(f[2]) > maxText {
			return errors.New("read pin: bad version")
		}
		p.Version = providers.Version(f[2])
	}
	return nil
}

// TableRoot returns the id of the file table's root chunk.
func (r *Record) TableRoot() (pack.ChunkID, error) {
	var id pack.ChunkID
	if len(r.Table.Root) != 2*len(id) {
		return id, errors.New("read record: table root is not a chunk id")
	}
	if _, err := hex.Decode(id[:], []byte(r.Table.Root)); err != nil {
		return id, fmt.Errorf("read record: table root: %w", err)
	}
	return id, nil
}

// validate holds every rule of FORMAT.md that one record can be judged by.
func (r *Record) validate() error {
	if r.Format != FormatVersion {
		return fmt.Errorf("format %d is not one that this version reads (%d)", r.Format, FormatVersion)
	}
	if !validID(r.Repository) || !validID(r.Source) || !validID(r.PC) {
		return errors.New("an identifier is not 16 hexadecimal digits")
	}
	if r.Seq == 0 || r.Seq > MaxSeq {
		return errors.New("sequence number out of range")
	}
	if r.Seq == 1 && r.Prev != "" {
		return errors.New("the first record names a previous one")
	}
	if r.Prev != "" {
		if _, ok := ParseName(r.Prev); !ok {
			return errors.New("previous record is not a SHA-256")
		}
	}
	if d, err := time.Parse(time.DateOnly, r.Date); err != nil || d.Format(time.DateOnly) != r.Date {
		return errors.New("business date is not YYYY-MM-DD")
	}
	if r.Revision < 1 || r.Revision > 10000 {
		return errors.New("revision out of range")
	}
	if r.Verdict != Clean && r.Verdict != Suspect {
		return errors.New("verdict is neither clean nor suspect")
	}
	if len(r.Findings) > maxRecordFindings || len(r.Packs) > maxRecordPacks || len(r.Segments) > maxRecordPacks || len(r.Classes) > 100 {
		return errors.New("a list is too long")
	}
	if len(r.Zone) > maxText || len(r.Profile) > maxText {
		return errors.New("a text is too long")
	}
	c := r.Counts
	if min(c.Files, c.Folders, c.Links, c.Bytes, c.NewBytes, c.Stored, r.Table.Chunks, r.Table.Rows) < 0 {
		return errors.New("a count is negative")
	}
	if _, err := r.TableRoot(); err != nil {
		return err
	}
	for _, pins := range [][]Pin{r.Packs, r.Segments} {
		for i := 1; i < len(pins); i++ {
			if bytes.Compare(pins[i-1].Name[:], pins[i].Name[:]) >= 0 {
				return errors.New("packs or segments are not sorted by name")
			}
		}
	}
	return nil
}

// marshalCanonical writes v as this package writes every document: the fields in
// the order of the type, no white space.
func marshalCanonical(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// unmarshalCanonical reads v strictly: no unknown fields, nothing behind the
// document, and only the very bytes that marshalCanonical would write.
func unmarshalCanonical(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	again, err := marshalCanonical(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		return errors.New("document is not in canonical form")
	}
	return nil
}

// digest is how documents name each other: the SHA-256 of the stored bytes.
func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
