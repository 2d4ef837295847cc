package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the catalogue of images is such a database

	"offsite/examples/practice"
)

// editTables does to the real databases what a day does: SQLite is edited by SQL,
// a MyISAM table gets rows like those it has.
func (y *year) editTables(ctx context.Context) error {
	dir := y.path("live", "real", "tables")
	files, err := list(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		name := dir + "/" + f
		var err error
		switch ext := strings.ToLower(path.Ext(f)); {
		case ext == ".sqlite" || ext == ".db":
			err = editSQLite(ctx, name, y.day)
		case ext == ".myd" && y.rng.IntN(3) > 0:
			err = appendRows(name, y.day)
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("edit %s: %w", f, err)
		}
	}
	return nil
}

func editSQLite(ctx context.Context, name string, day int) error {
	head, err := os.ReadFile(name)
	if err != nil || !bytes.HasPrefix(head, []byte("SQLite format 3")) {
		return err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: name}).String())
	if err != nil {
		return err
	}
	defer db.Close()
	for _, q := range []string{
		"create table if not exists visits (id integer primary key, day int, note text)",
		fmt.Sprintf("insert into visits (day, note) select %d, 'visit of the day ' || hex(randomblob(4)) from (select 1 union select 2 union select 3)", day),
		fmt.Sprintf("update visits set note = note || ', seen' where day = %d", day-3),
	} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return nil // one of those that are damaged on purpose
		}
	}
	db.Close()
	when := practice.Evening(day).Add(-time.Hour)
	return os.Chtimes(name, when, when)
}

func appendRows(name string, day int) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	row := data[max(len(data)-200, 0):]
	return writeAt(name, append(data, row...), practice.Evening(day).Add(-time.Hour))
}
