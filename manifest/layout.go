// Package manifest gives stored objects their meaning: where each kind of object
// stands in a store, the signed records that commit snapshots, the file table
// that lists a snapshot's files, and the lease records that say until when each
// object is kept. FORMAT.md beside this file is the reference.
//
// Objects are only ever created. A snapshot exists from the moment its record
// does: everything a record names was durable before the record was written, and
// only this package makes the receipts (Stored) that a record is built from.
package manifest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"offsite/manifest/pack"
)

// Keys outside Removable never lapse; the store's removal rule covers Removable.
const (
	HeaderKey  = "offsite.json"
	SecretsKey = "keys/secrets.age"

	KeysPrefix   = "keys/"
	HolderPrefix = "keys/holder-"
	PCPrefix     = "keys/pc-"

	Removable     = "r/"
	PackPrefix    = "r/p/"
	SegmentPrefix = "r/x/"
	RecordPrefix  = "r/s/"
	LeasePrefix   = "r/l/"
)

// Near says whether the versions of an object never change and are wanted by every
// run, so that copies of them may be kept on the PC. Packs are not: they are many and large.
func Near(key string) bool {
	for _, prefix := range []string{HeaderKey, RecordPrefix, LeasePrefix, NotePrefix, SegmentPrefix, PCPrefix} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// HolderKey is where the restore key stands, sealed to the recovery holder id.
func HolderKey(id string) string { return HolderPrefix + id + ".age" }

// PCKey is where the enrolment of the PC id stands.
func PCKey(id string) string { return PCPrefix + id + ".json" }

// PackKey is where the pack of that name stands.
func PackKey(n pack.Name) string {
	s := n.String()
	return PackPrefix + s[:2] + "/" + s
}

// SegmentKey is where the index segment of that name stands.
func SegmentKey(n pack.Name) string { return SegmentPrefix + n.String() }

// RecordKey is where the record with the sequence number seq of a source stands.
func RecordKey(source string, seq uint64) string {
	return RecordPrefix + source + "/" + fmt.Sprintf("%08d", seq)
}

// ParsePackKey returns the name of the pack that stands at key.
func ParsePackKey(key string) (pack.Name, bool) {
	rest, ok := strings.CutPrefix(key, PackPrefix)
	if !ok || len(rest) != 2+1+64 || rest[2] != '/' || rest[:2] != rest[3:5] {
		return pack.Name{}, false
	}
	return ParseName(rest[3:])
}

// ParseSegmentKey returns the name of the index segment that stands at key.
func ParseSegmentKey(key string) (pack.Name, bool) {
	rest, ok := strings.CutPrefix(key, SegmentPrefix)
	if !ok {
		return pack.Name{}, false
	}
	return ParseName(rest)
}

// ParseRecordKey returns the source and sequence number that key stands for.
func ParseRecordKey(key string) (source string, seq uint64, ok bool) {
	rest, ok := strings.CutPrefix(key, RecordPrefix)
	if !ok {
		return "", 0, false
	}
	source, num, ok := strings.Cut(rest, "/")
	if !ok || !validID(source) || len(num) != 8 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(num, 10, 32)
	if err != nil || RecordKey(source, seq) != key {
		return "", 0, false
	}
	return source, seq, true
}

// ParseName reads a name in lower-case hexadecimal.
func ParseName(s string) (pack.Name, bool) {
	var n pack.Name
	if len(s) != 2*len(n) || strings.ToLower(s) != s {
		return n, false
	}
	_, err := hex.Decode(n[:], []byte(s))
	return n, err == nil
}

// validID says whether s is an identifier as NewID makes them: 16 lower-case
// hexadecimal digits.
func validID(s string) bool {
	if len(s) != 16 || strings.ToLower(s) != s {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}
