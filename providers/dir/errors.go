package dir

import (
	"context"
	"errors"
	"io/fs"

	"offsite/providers"
)

func fail(op, key string, kind, cause error) error {
	return &providers.Error{Op: op, Provider: "dir", Key: key, Kind: kind, Err: cause}
}

// classify gives an error of the operating system its kind. What is unknown is
// taken for a store in trouble: tried again, and compared if it was a write.
func classify(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return providers.ErrBusy
	case errors.Is(err, errLink):
		return providers.ErrCorrupt
	case noSpace(err):
		return providers.ErrFull
	case briefly(err):
		return providers.ErrBusy
	case readOnly(err), errors.Is(err, fs.ErrPermission):
		return providers.ErrDenied
	}
	return providers.ErrUnreachable
}

// classifyRoot is classify for the folder itself: its absence is not an absent
// object.
func classifyRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return providers.ErrDenied
	}
	return providers.ErrUnreachable
}
