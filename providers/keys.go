package providers

import "strings"

// MaxKey is the longest key in bytes. With a prefix and a lease path around it
// it stays below the path limits of Windows (260) and of every cloud (1,024).
const MaxKey = 200

// ValidKey reports whether key follows the grammar that every store can hold
// unchanged: segments of [a-z0-9][a-z0-9._-]* joined by "/", at most MaxKey
// bytes, without "..", no segment that ends in ".", ".lease" or ".tmp" and none
// that Windows reserves for a device. Lower case only, so that file systems that
// fold case cannot make two keys one.
//
// A key is never also a folder of another key ("a" beside "a/b"): a file system
// cannot hold both. The grammar cannot see that; mem reports it.
func ValidKey(key string) bool {
	if len(key) == 0 || len(key) > MaxKey || strings.Contains(key, "..") {
		return false
	}
	for segment := range strings.SplitSeq(key, "/") {
		if !validSegment(segment) {
			return false
		}
	}
	return true
}

// ValidPrefix reports whether prefix can be the beginning of a valid key. Empty
// is valid.
func ValidPrefix(prefix string) bool {
	if prefix == "" {
		return true
	}
	if len(prefix) > MaxKey || strings.Contains(prefix, "..") || strings.Contains(prefix, "//") {
		return false
	}
	if !alnum(prefix[0]) {
		return false
	}
	for i := range len(prefix) {
		c := prefix[i]
		if !alnum(c) && c != '.' && c != '_' && c != '-' && c != '/' {
			return false
		}
		if i > 0 && prefix[i-1] == '/' && !alnum(c) {
			return false
		}
	}
	return true
}

func validSegment(s string) bool {
	if s == "" || !alnum(s[0]) {
		return false
	}
	dotted := false
	for i := range len(s) {
		c := s[i]
		if !alnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
		dotted = dotted || c == '.'
	}
	if !dotted { // most are hashes, and listings hold many
		return len(s) > 4 || !device(s)
	}
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, ".lease") || strings.HasSuffix(s, ".tmp") {
		return false
	}
	return !device(s)
}

func alnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// device reports whether Windows takes the name for a device, whatever its ending.
func device(s string) bool {
	base, _, _ := strings.Cut(s, ".")
	switch base {
	case "con", "prn", "aux", "nul":
		return true
	}
	if len(base) == 4 && (strings.HasPrefix(base, "com") || strings.HasPrefix(base, "lpt")) {
		return base[3] >= '0' && base[3] <= '9'
	}
	return false
}
