package restore

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// markerName is the file that stands in the target until the restore is done.
	markerName = ".offsite-restore"
	// partialPrefix begins the name of a file that is not whole yet.
	partialPrefix = ".offsite-partial-"
)

// nameRules say which names the target system takes for what they are.
type nameRules int

const (
	unixNames nameRules = iota
	textNames           // any name that is valid text: macOS
	windowsNames
)

func rulesOf(goos string) nameRules {
	switch goos {
	case "windows":
		return windowsNames
	case "darwin", "ios":
		return textNames
	}
	return unixNames
}

// check says whether a path of a file table, which is relative and has no "." or
// ".." already, names the same file on the target system as on the source's.
func (r nameRules) check(path string) error {
	if path == markerName {
		return fmt.Errorf("the name is used by the restore itself")
	}
	for name := range strings.SplitSeq(path, "/") {
		if err := r.checkSegment(name); err != nil {
			return err
		}
	}
	return nil
}

func (r nameRules) checkSegment(name string) error {
	switch {
	case strings.HasPrefix(name, partialPrefix):
		return fmt.Errorf("the name is used by the restore itself")
	case r == unixNames:
		return nil
	case !utf8.ValidString(name):
		return fmt.Errorf("the name is not valid text")
	case r == textNames:
		return nil
	}
	for _, c := range name {
		switch {
		case c == ':':
			return fmt.Errorf("the name holds a colon, which Windows takes for a drive or a hidden stream")
		case c == '\\':
			return fmt.Errorf("the name holds a backslash, which Windows takes for a folder")
		case c < ' ' || strings.ContainsRune(`<>"|?*`, c):
			return fmt.Errorf("the name holds a character that Windows does not allow")
		}
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		return fmt.Errorf("the name ends with a dot or blank, which Windows drops")
	}
	if reserved(name) {
		return fmt.Errorf("the name is that of a device on Windows")
	}
	return nil
}

// reserved reports whether Windows takes a name for a device, whatever follows a
// dot. It is stricter than Windows 11, as an older one may read the disk.
func reserved(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range [...]string{"COM", "LPT"} {
		if digit, ok := strings.CutPrefix(base, port); ok {
			switch digit {
			case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
				return true
			}
		}
	}
	return false
}

// fold maps names that a system without a difference between capital and small
// letters takes for the same to one text.
func fold(path string) string { return strings.ToLower(strings.ToUpper(path)) }
