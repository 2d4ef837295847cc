package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// maxKeyText bounds a key file. The longest, an upload key, is below 3 KiB.
const maxKeyText = 16 << 10

// maxID bounds repository, PC and signer ids. They stand in object keys.
const maxID = 64

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

func checkID(what, id string) error {
	if len(id) > maxID || !idForm.MatchString(id) {
		return fmt.Errorf("%s id must be 1 to %d of a-z, 0-9 and -: %w", what, maxID, ErrKeyText)
	}
	return nil
}

type field struct{ name, value string }

// writeFields writes a header line, one field a line and a check line: the first
// 16 hexadecimal digits of the SHA-256 of everything before it. The check finds
// cut or mistyped files; it is no signature.
func writeFields(header string, fields []field) []byte {
	var b bytes.Buffer
	b.WriteString(header + "\n")
	for _, f := range fields {
		b.WriteString(f.name + ": " + f.value + "\n")
	}
	b.WriteString("check: " + checkSum(b.Bytes()) + "\n")
	return b.Bytes()
}

func checkSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// readFields accepts exactly what writeFields writes for these names.
func readFields(header string, text []byte, names ...string) (map[string]string, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("longer than %d bytes: %w", maxKeyText, ErrKeyText)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if first != header {
		return nil, fmt.Errorf("first line is not %q: %w", header, ErrKeyText)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != len(names)+3 || lines[len(lines)-1] != "" {
		return nil, fmt.Errorf("expected %d lines, each ended by a single line feed: %w", len(names)+2, ErrKeyText)
	}
	values := make(map[string]string, len(names))
	for i, name := range names {
		value, ok := strings.CutPrefix(lines[i+1], name+": ")
		if !ok || value == "" {
			return nil, fmt.Errorf("line %d is not %q and a value: %w", i+2, name+":", ErrKeyText)
		}
		values[name] = value
	}
	check := lines[len(lines)-2]
	if check != "check: "+checkSum(text[:len(text)-len(check)-1]) {
		return nil, fmt.Errorf("check line does not match, the file was cut or changed: %w", ErrKeyText)
	}
	return values, nil
}

// parseHex fills dst from the field's lower-case hexadecimal digits.
func parseHex(dst []byte, name string, values map[string]string) error {
	b, err := hex.DecodeString(values[name])
	if err != nil || len(b) != len(dst) || hex.EncodeToString(b) != values[name] {
		return fmt.Errorf("field %s is not %d lower-case hexadecimal digits: %w", name, 2*len(dst), ErrKeyText)
	}
	copy(dst, b)
	return nil
}
