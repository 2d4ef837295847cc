package restore

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkName says whether a path of a file table names the same file on the target
// system as it did on the source. os.Root refuses what would leave the target
// folder; this refuses what would stay in it under another name, or reach a device
// or a hidden stream of another file.
func checkName(goos, path string) error {
	if goos != "windows" && goos != "darwin" {
		return nil
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("%w: it is not valid text", ErrName)
	}
	if goos != "windows" {
		return nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if strings.ContainsAny(name, `<>:"\|?*`) || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 }) {
			return fmt.Errorf("%w: it holds a character that Windows does not allow", ErrName)
		}
		if strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
			return fmt.Errorf("%w: Windows drops a dot or blank at the end", ErrName)
		}
		if reserved(name) {
			return fmt.Errorf("%w: Windows takes it for a device", ErrName)
		}
	}
	return nil
}

// reserved reports whether Windows takes a name for a device, whatever follows a dot.
func reserved(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	if rest, ok := strings.CutPrefix(base, "COM"); ok || strings.HasPrefix(base, "LPT") {
		if !ok {
			rest = base[len("LPT"):]
		}
		return len(rest) == 1 && rest >= "0" && rest <= "9" || rest == "¹" || rest == "²" || rest == "³"
	}
	return false
}

// wanted reports whether path is one of the chosen ones or inside of one, and
// marks the choice as found. No choice means everything.
func wanted(choices []string, found []bool, path string) bool {
	if len(choices) == 0 {
		return true
	}
	hit := false
	for i, c := range choices {
		if path == c || strings.HasPrefix(path, c) && len(path) > len(c) && path[len(c)] == '/' {
			found[i], hit = true, true
		}
	}
	return hit
}
