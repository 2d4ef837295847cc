package dir

import (
	"os"

	"golang.org/x/sys/windows"
)

var noLinksError error = &os.LinkError{Op: "link", Err: windows.ERROR_INVALID_FUNCTION}
