// Package structure looks at the bytes of one file as they pass by and says
// whether they are what a file of its format holds: whether the parts that the
// format demands are there, and what its blocks look like on the whole.
//
// It promises to see every byte once, in order, to hold no more than some hundred
// KiB for a file of any size, to need about a tenth of the time that SHA-256 needs,
// and never to fail: whatever the bytes are, the answer is a Result. It judges
// nothing: a file can be odd and yet as good as it ever was. What is to be made
// of a Result is for the caller, who knows what the file was like before.
package structure

import (
	"bytes"
	"path"
	"strings"
)

// Format is what a file is, by its first bytes or, where those say nothing, by
// the end of its name.
type Format uint8

// The formats. Their numbers stand in local state and never change.
const (
	None Format = iota
	JPEG
	PNG
	TIFF
	DICOM
	PDF
	Zip
	Gzip
	SevenZip
	SQLite
	InnoDB
	MyISAMIndex
	MyISAMData
	Tape // Microsoft Tape Format, as SQL Server writes it
	Text
	formats
)

var formatNames = [formats]string{"unknown", "JPEG", "PNG", "TIFF", "DICOM", "PDF", "ZIP", "gzip", "7z", "SQLite", "InnoDB",
	"MyISAM index", "MyISAM data", "SQL Server backup", "text"}

// String returns the name of f.
func (f Format) String() string {
	if f < formats {
		return formatNames[f]
	}
	return "unknown"
}

// Database says whether files of this format are rewritten in place.
func (f Format) Database() bool {
	return f == SQLite || f == InnoDB || f == MyISAMIndex || f == MyISAMData
}

// Archive says whether files of this format are whole backups or parcels, which
// come and go as wholes.
func (f Format) Archive() bool {
	return f == Zip || f == Gzip || f == SevenZip || f == Tape
}

// WriteOnce says whether files of this format are images or documents, which
// hardly anybody ever rewrites.
func (f Format) WriteOnce() bool {
	return f == JPEG || f == PNG || f == TIFF || f == DICOM || f == PDF
}

// State is what was found of the structure.
type State uint8

// The states, in the order of how bad they are. Their numbers stand in local
// state and never change.
const (
	// Unknown: the format has no rules, or is not known.
	Unknown State = iota
	// Sound: everything that was looked at is as the format demands.
	Sound
	// Short: the file begins well and ends before its format says that it does.
	Short
	// Broken: something stands where the format does not allow it.
	Broken
)

// Result is what is known of a file that was seen whole.
type Result struct {
	Format  Format
	State   State
	Profile Profile
	// DataLength is, for the index of a MyISAM table, how long the file with the
	// table's data must be; 0 for everything else.
	DataLength int64
	// Magic is the first four bytes, 0 for shorter files.
	Magic uint32
	// Raw says that the file is mostly a picture whose pixels are not packed.
	Raw bool
}

// expected are the formats that ends of names promise. A name alone is no proof:
// other bytes that are plainly another format are taken as what they are.
func expected(name string) Format {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".jpe", ".jfif":
		return JPEG
	case ".png":
		return PNG
	case ".tif", ".tiff":
		return TIFF
	case ".dcm", ".dicom":
		return DICOM
	case ".pdf":
		return PDF
	case ".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp":
		return Zip
	case ".gz", ".tgz":
		return Gzip
	case ".7z":
		return SevenZip
	case ".sqlite", ".sqlite3":
		return SQLite
	case ".ibd":
		return InnoDB
	case ".myi":
		return MyISAMIndex
	case ".myd":
		return MyISAMData
	case ".txt", ".xml", ".rtf", ".eml", ".htm", ".html", ".csv", ".sql", ".json", ".ini", ".log":
		return Text
	}
	return None
}

// Inflates says whether a file of this name is one whose content has to be
// unpacked to be proved, which costs more than all else.
func Inflates(name string) bool {
	f := expected(name)
	return f == Zip || f == Gzip || f == PDF
}

// WriteOnceName says whether the end of a name promises an image or a document.
func WriteOnceName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".bmp", ".gif", ".webp", ".heic", ".jp2", ".jxl", ".doc", ".docx", ".odt", ".rtf", ".eml", ".msg",
		".stl", ".ply", ".obj", ".mp4", ".mov", ".avi", ".wav", ".mp3":
		return true
	}
	return expected(name).WriteOnce()
}

// detect names the format by the first bytes. ok is false where they say nothing.
func detect(head []byte, name string) (Format, bool) {
	has := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	want := expected(name)
	switch {
	case has(0, "\xff\xd8\xff"):
		return JPEG, true
	case has(0, "\x89PNG\r\n\x1a\n"):
		return PNG, true
	case has(128, "DICM"), want == DICOM && bareDICOM(head): // before TIFF: a file can be both
		return DICOM, true
	case has(0, "II*\x00"), has(0, "MM\x00*"), has(0, "II+\x00\x08\x00"), has(0, "MM\x00+\x00\x08"):
		return TIFF, true
	case has(0, "PK\x03\x04"), has(0, "PK\x05\x06"):
		return Zip, true
	case has(0, "\x1f\x8b\x08"):
		return Gzip, true
	case has(0, "7z\xbc\xaf\x27\x1c"):
		return SevenZip, true
	case has(0, "SQLite format 3\x00"):
		return SQLite, true
	case has(0, "\xfe\xfe\x07"):
		return MyISAMIndex, true
	case has(0, "TAPE") && len(head) >= 52 && tapeSum(head):
		return Tape, true
	case isInnoDB(head) && (want == InnoDB || strings.Contains(strings.ToLower(name), "ibdata")):
		return InnoDB, true
	case bytes.Contains(head, []byte("%PDF-")):
		return PDF, true
	case want == MyISAMData:
		return MyISAMData, true
	}
	return None, false
}
