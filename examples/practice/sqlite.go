package practice

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver; pure Go, so that the generator builds everywhere
)

const (
	catalogPage    = 4096
	catalogMax     = 64 << 20 // a catalogue of pictures; more would make the generator wait for SQL
	catalogRow     = 377      // mean bytes a row takes, index included
	catalogPerStmt = 40
)

const catalogSchema = `
CREATE TABLE picture (id INTEGER PRIMARY KEY, patient INTEGER NOT NULL, taken TEXT NOT NULL, kind TEXT NOT NULL,
	file TEXT NOT NULL, digest BLOB NOT NULL, revision INTEGER NOT NULL, notes TEXT NOT NULL);
CREATE INDEX picture_patient ON picture(patient);`

// catalog is the SQLite file. Fixed settings, one connection and zeroed free space make its bytes depend on nothing
// but the statements.
type catalog struct {
	path string
	seed uint64
}

func (c catalog) open(ctx context.Context, first bool) (*sql.DB, error) {
	path, err := filepath.Abs(c.path)
	if err != nil {
		return nil, fmt.Errorf("open catalogue: %w", err)
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows drive
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		return nil, fmt.Errorf("open catalogue: %w", err)
	}
	db.SetMaxOpenConns(1)
	journal := "DELETE" // a killed run rolls back
	if first {
		journal = "MEMORY"
	}
	for _, p := range []string{"page_size=4096", "auto_vacuum=NONE", "encoding='UTF-8'", "secure_delete=ON", "synchronous=OFF",
		"locking_mode=EXCLUSIVE", "cache_size=-32768", "temp_store=MEMORY", "journal_mode=" + journal} {
		if _, err := db.ExecContext(ctx, "PRAGMA "+p); err != nil {
			return nil, errors.Join(fmt.Errorf("open catalogue: %w", err), db.Close())
		}
	}
	return db, nil
}

// inTransaction runs the work of one day and stamps the day, unless the file already carries it.
func (c catalog) inTransaction(ctx context.Context, day int, first bool, work func(*sql.Tx) error) (err error) {
	db, err := c.open(ctx, first)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if !first {
		var have int
		if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
			return fmt.Errorf("read catalogue: %w", err)
		}
		if have == day {
			return nil
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("edit catalogue: %w", err)
	}
	if err := work(tx); err != nil {
		return errors.Join(fmt.Errorf("edit catalogue: %w", err), tx.Rollback())
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", day)); err != nil {
		return errors.Join(fmt.Errorf("edit catalogue: %w", err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("edit catalogue: %w", err)
	}
	return nil
}

func (c catalog) create(ctx context.Context, rows int64) error {
	return c.inTransaction(ctx, 0, true, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, catalogSchema); err != nil {
			return err
		}
		return c.insert(ctx, tx, 0, rows, 0)
	})
}

// edit adds rows and revises some of the old ones.
func (c catalog) edit(ctx context.Context, day int, rows, added, revised int64) error {
	return c.inTransaction(ctx, day, false, func(tx *sql.Tx) error {
		r := newRNG(c.seed, 'U', uint64(day))
		update, err := tx.PrepareContext(ctx, "UPDATE picture SET revision = revision + 1, notes = ? WHERE id = ?")
		if err != nil {
			return err
		}
		defer update.Close()
		for range revised {
			notes := appendWords(nil, &r, 60+r.below(320))
			if _, err := update.ExecContext(ctx, string(notes), 1+r.below(int(rows))); err != nil {
				return err
			}
		}
		return c.insert(ctx, tx, rows, added, day)
	})
}

func (c catalog) insert(ctx context.Context, tx *sql.Tx, from, n int64, day int) error {
	const head = "INSERT INTO picture (patient, taken, kind, file, digest, revision, notes) VALUES "
	const row = "(?,?,?,?,?,?,?)"
	full, err := tx.PrepareContext(ctx, head+strings.Repeat(row+",", catalogPerStmt-1)+row)
	if err != nil {
		return err
	}
	defer full.Close()
	args := make([]any, 0, 7*catalogPerStmt)
	for n > 0 {
		k := min(n, catalogPerStmt)
		args = args[:0]
		for i := range k {
			args = c.row(args, from+i, day)
		}
		if k == catalogPerStmt {
			_, err = full.ExecContext(ctx, args...)
		} else {
			_, err = tx.ExecContext(ctx, head+strings.Repeat(row+",", int(k)-1)+row, args...)
		}
		if err != nil {
			return err
		}
		from, n = from+k, n-k
	}
	return nil
}

func (c catalog) row(args []any, at int64, day int) []any {
	r := newRNG(c.seed, 'R', uint64(at))
	taken := Evening(day).Add(-time.Duration(1+r.below(30000)) * time.Second)
	if day == 0 {
		taken = taken.AddDate(0, 0, -r.below(historyDays))
	}
	digest := make([]byte, 20)
	r.fill(digest)
	kind := [4]string{"photo", "bitewing", "periapical", "panoramic"}[r.below(4)]
	return append(args, 20011+13*r.below(5000), taken.Format(time.DateTime), kind, fmt.Sprintf("%s_%07d.jpg", kind, at), digest, 1,
		string(appendWords(nil, &r, 60+r.below(400))))
}

// pageSums is a digest of every page of a file, so that two states can be compared.
func pageSums(path string, size int) ([][sha256.Size]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	defer f.Close()
	var sums [][sha256.Size]byte
	page := make([]byte, size)
	for {
		if _, err := io.ReadFull(f, page); err == io.EOF {
			return sums, nil
		} else if err != nil {
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
		sums = append(sums, sha256.Sum256(page))
	}
}
