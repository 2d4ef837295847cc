package chunk_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"offsite/uploader/chunk"
)

// at puts s at an offset of an otherwise empty head.
func at(offset int, s string) string { return strings.Repeat("\x00", offset) + s }

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDetect(t *testing.T) {
	t.Parallel()
	innodb := unhex(t, "1b3e5b2a 00000000 00000000 00000000 000000000013d3ae 0008 0000000000000000 0000001c 0000001c 00000000")
	firebird := unhex(t, "0100 3930 01000000 00000000 00000000 0020 0d80 0000")
	interbase := unhex(t, "0100 3930 01000000 00000000 00000000 0020 0f00 0000")
	sqlserver := unhex(t, "010f0000 08000000 00000000 00000000 00000000 01000000")
	foxpro := unhex(t, "30 7a0b14 0a000000 0802 4000")
	for _, tt := range []struct {
		name, ext, head string
		want            chunk.Kind
	}{
		{"SQLite", ".db", "SQLite format 3\x00\x10\x00", chunk.Paged},
		{"SQLite under any name", ".dat", "SQLite format 3\x00\x10\x00", chunk.Paged},
		{"SQLite write-ahead log", ".db-wal", "\x37\x7f\x06\x82\x00\x2d\xe2\x18", chunk.Volatile},
		{"InnoDB tablespace", ".ibd", innodb, chunk.Paged},
		{"InnoDB tablespace under any name", "", innodb, chunk.Paged},
		{"MyISAM index", ".MYI", "\xfe\xfe\x07\x01\x00\x03", chunk.Paged},
		{"MyISAM rows", ".MYD", "\x03\x00\x1a\x02", chunk.Paged},
		{"EXACT table", ".FS5", "anything", chunk.Paged},
		{"4D data", ".4DD", "", chunk.Paged},
		{"4D segment", ".4ds", "\x01\x02", chunk.Paged},
		{"SQL Server data", ".mdf", sqlserver, chunk.Paged},
		{"SQL Server log", ".ldf", sqlserver, chunk.Paged},
		{"SQL Server backup", ".bak", "TAPE\x00\x00\x03\x00\x8c\x00\x0e\x01", chunk.Paged},
		{"SQL Server backup, compressed", ".bak", "MSSQLBAK\x02\x00", chunk.WriteOnce},
		{"some other .bak", ".bak", "hello", chunk.WriteOnce},
		{"zip called .bak", ".bak", "PK\x03\x04\x14\x00", chunk.WriteOnce},
		{"SQL Anywhere database", ".db", "\x00\x10\x00\x00\x01", chunk.Paged},
		{"SQL Anywhere log", ".log", "\x00\x00\x00\x00\x2b\x01", chunk.Paged},
		{"text log", ".LOG", "2026-11-20 22:00 backup started\r\n", chunk.Volatile},
		{"text log in UTF-16", ".log", "\xff\xfeB\x00a\x00c\x00k\x00", chunk.Volatile},
		{"empty log", ".log", "", chunk.Volatile},
		{"Thumbs.db", ".db", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", chunk.WriteOnce},
		{"FoxPro table", ".dbf", foxpro, chunk.Paged},
		{"FoxPro memo", ".FPT", "\x00\x00\x00\x08\x00\x00\x00\x40", chunk.Paged},
		{"Access 2003", ".mdb", "\x00\x01\x00\x00Standard Jet DB\x00\x01", chunk.Paged},
		{"Access 2007", ".accdb", "\x00\x01\x00\x00Standard ACE DB\x00\x02", chunk.Paged},
		{"TrueType font", ".ttf", "\x00\x01\x00\x00\x00\x12\x01\x00", chunk.WriteOnce},
		{"Firebird", "", firebird, chunk.Paged},
		{"InterBase", ".gdb", interbase, chunk.Paged},
		{"Extensible Storage Engine", ".edb", at(4, "\xef\xcd\xab\x89"), chunk.Paged},
		{"Outlook", ".pst", "!BDN", chunk.Paged},
		{"VHDX", "", "vhdxfile", chunk.Paged},
		{"mbox", "", "From alice@example.org Fri Nov 20 10:00:00 2026\n", chunk.Volatile},
		{"MySQL dump", ".sql", "-- MySQL dump 10.13  Distrib 8.0.36", chunk.Volatile},
		{"MariaDB dump", "", "/*!999999\\- enable the sandbox mode */ \n-- MariaDB dump", chunk.Volatile},
		{"PostgreSQL dump", ".dump", "--\n-- PostgreSQL database dump\n--\n", chunk.Volatile},
		{"compressed dump", ".sql", "\x1f\x8b\x08\x00", chunk.WriteOnce},
		{"JPEG", ".jpg", "\xff\xd8\xff\xe0\x00\x10JFIF", chunk.WriteOnce},
		{"JPEG called .txt", ".txt", "\xff\xd8\xff\xe1", chunk.WriteOnce},
		{"DICOM", ".dcm", at(128, "DICM\x02\x00"), chunk.WriteOnce},
		{"PDF", ".pdf", "%PDF-1.7\n", chunk.WriteOnce},
		{"docx", ".docx", "PK\x03\x04", chunk.WriteOnce},
		{"unknown", ".xyz", "\x01\x02\x03\x04", chunk.WriteOnce},
		{"nothing", "", "", chunk.WriteOnce},
		{"zeros", "", strings.Repeat("\x00", 600), chunk.WriteOnce},
	} {
		if got := chunk.Detect(tt.ext, []byte(tt.head)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzDetect cuts heads short everywhere, and lengthens them beyond HeadLen.
func FuzzDetect(f *testing.F) {
	f.Add(".db", []byte("SQLite format 3\x00"))
	f.Add("LOG", []byte{0, 1})
	f.Add("", []byte{1, 15: 0, 17: 0x20, 18: 0x0d, 19: 0x80})
	f.Fuzz(func(t *testing.T, ext string, head []byte) {
		want := chunk.Detect(ext, head)
		if got := chunk.Detect(ext, append(head[:len(head):len(head)], make([]byte, chunk.HeadLen)...)); len(head) >= chunk.HeadLen && got != want {
			t.Errorf("bytes beyond HeadLen changed %v to %v", want, got)
		}
		for n := range head {
			chunk.Detect(ext, head[:n])
		}
	})
}
