package chunk

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// HeadLen is how many of a file's first bytes Detect looks at.
const HeadLen = 512

// Detect guesses a file's kind from its extension (with or without the dot, in
// any case) and its first HeadLen bytes, or fewer for a shorter file. The head
// outweighs the extension: a zip archive called .db is not a database. What it
// does not know is WriteOnce; a caller who sees such a file change in part from
// one backup to the next knows better and may use Volatile instead.
func Detect(ext string, head []byte) Kind {
	head = head[:min(len(head), HeadLen)]
	ext = strings.ToLower(strings.TrimPrefix(ext, "."))
	if k, ok := byHead(head); ok {
		return k
	}
	if ext == "log" && bytes.IndexByte(head, 0) >= 0 && !utf16(head) {
		return Paged // a transaction log: SQL Anywhere's has the name of a text log
	}
	switch ext {
	case "fs5", // EXACT's tables
		"4dd", "4ds", "4db", "4dr", "4dx", "4di", // 4D and its 2 GB segments
		"mdf", "ndf", "ldf", // SQL Server
		"db", "db3", "sqlite", "sqlite3", // SQL Anywhere, Paradox, encrypted SQLite
		"ibd", "ibdata1", "myd", "myi", "mad", "mai", // InnoDB, MyISAM, Aria
		"dbf", "fpt", "dbt", "cdx", "idx", "mdx", "ndx", "dbc", "dct", "dcx", // dBase, FoxPro
		"mdb", "accdb", // Access
		"fdb", "gdb", // Firebird, InterBase
		"btr", "mkd", "tps", "fp7", "fmp12", // Btrieve, Clarion, FileMaker
		"edb", "pst", "ost", "nsf", // mail stores with pages
		"vhd", "vhdx", "avhdx", "vmdk", "vdi", "qcow2": // disk images
		return Paged
	case "log", "txt", "csv", "tsv", "sql", "dump", "ldif", "jsonl", "ndjson", "hl7",
		"mbox", "mbx", "vbm", "db-wal", "sqlite-wal":
		return Volatile
	}
	return WriteOnce
}

// A magic is a fixed run of bytes at a fixed place.
type magic struct {
	at    int
	bytes string
	kind  Kind
}

var magics = [...]magic{
	{0, "SQLite format 3\x00", Paged},
	{0, "TAPE", Paged},                                // SQL Server and other Microsoft Tape Format backups
	{0, "\x01\x0f\x00\x00", Paged},                    // SQL Server data and log files
	{0, "\xfe\xfe\x07", Paged},                        // MyISAM index
	{0, "\xfe\xfe\x08", Paged},                        // MyISAM index, newer
	{0, "\xfe\xfe\x09", Paged},                        // Aria index
	{0, "\x00\x01\x00\x00Standard Jet DB\x00", Paged}, // Access to 2003
	{0, "\x00\x01\x00\x00Standard ACE DB\x00", Paged}, // Access from 2007
	{4, "\xef\xcd\xab\x89", Paged},                    // Extensible Storage Engine
	{0, "!BDN", Paged},                                // Outlook store
	{0, "regf", Paged},                                // Windows registry
	{15, "HBAM7", Paged},                              // FileMaker
	{0, "vhdxfile", Paged},
	{0, "conectix", Paged}, // VHD, dynamic
	{0, "KDMV", Paged},     // VMDK
	{0, "QFI\xfb", Paged},  // QCOW
	{64, "\x7f\x10\xda\xbe", Paged},

	{0, "From ", Volatile}, // mbox
	{0, "-- MySQL dump", Volatile},
	{0, "-- MariaDB dump", Volatile},
	{0, "/*!999999\\- enable the sandbox mode */", Volatile}, // mariadb-dump since 2024
	{0, "--\n-- PostgreSQL database", Volatile},
	{0, "--\r\n-- PostgreSQL database", Volatile},
	{0, "\x37\x7f\x06\x82", Volatile}, // SQLite write-ahead log: frames are not aligned
	{0, "\x37\x7f\x06\x83", Volatile},

	{0, "MSSQLBAK", WriteOnce}, // compressed as a whole: small chunks would find nothing
	{0, "\xff\xd8\xff", WriteOnce},
	{0, "\x89PNG\r\n\x1a\n", WriteOnce},
	{0, "GIF8", WriteOnce},
	{0, "II*\x00", WriteOnce},
	{0, "MM\x00*", WriteOnce},
	{0, "RIFF", WriteOnce},
	{4, "ftyp", WriteOnce},
	{128, "DICM", WriteOnce},
	{0, "%PDF-", WriteOnce},
	{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", WriteOnce}, // Office before 2007, Thumbs.db
	{0, "PK\x03\x04", WriteOnce},
	{0, "\x1f\x8b\x08", WriteOnce},
	{0, "BZh", WriteOnce},
	{0, "\xfd7zXZ\x00", WriteOnce},
	{0, "7z\xbc\xaf\x27\x1c", WriteOnce},
	{0, "Rar!\x1a\x07", WriteOnce},
	{0, "\x28\xb5\x2f\xfd", WriteOnce}, // zstd
	{0, "age-encryption.org/", WriteOnce},
}

// byHead judges by content alone; ok is false where that says nothing.
func byHead(head []byte) (k Kind, ok bool) {
	for i := range magics {
		m := &magics[i]
		if len(head) >= m.at && bytes.HasPrefix(head[m.at:], []byte(m.bytes)) {
			return m.kind, true
		}
	}
	if innoDB(head) || firebird(head) {
		return Paged, true
	}
	return 0, false
}

// innoDB knows a tablespace by its first page: number 0, type 8, and the space
// id in both headers.
func innoDB(head []byte) bool {
	if len(head) < 42 {
		return false
	}
	be := binary.BigEndian
	return be.Uint32(head[4:]) == 0 && be.Uint16(head[24:]) == 8 && be.Uint32(head[34:]) == be.Uint32(head[38:])
}

// firebird knows a Firebird database by its header page: type 1, a page size
// that is a power of two, and a structure version with Firebird's top bit.
func firebird(head []byte) bool {
	if len(head) < 20 || head[0] != 1 {
		return false
	}
	size, version := binary.LittleEndian.Uint16(head[16:]), binary.LittleEndian.Uint16(head[18:])
	return size >= 1024 && size&(size-1) == 0 && version >= 0x800a && version <= 0x8010
}

// utf16 says whether head is text in two-byte units, which Windows programs log in.
func utf16(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))
}
