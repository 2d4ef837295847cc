package dir

import "os"

// WithoutLinks makes d behave as on a file system without hard links.
func WithoutLinks(d *Dir) {
	d.link = func(*os.Root, string, string) error { return noLinksError }
}

// Unlinkable makes d fail to give a file its name.
func Unlinkable(d *Dir, err error) {
	d.link = func(*os.Root, string, string) error { return err }
}

// ParseLease reads a lease file.
var ParseLease = parseLease

// FormatLease writes one line of it.
var FormatLease = formatLease
