package providers

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Every error of a driver and of Store wraps exactly one of these kinds. A kind
// says what the caller does next; nobody decides by an error's text or status.
var (
	// ErrNotExist: no such key, or no such version of it. The caller decides.
	ErrNotExist error = &kind{"no such object", fs.ErrNotExist}
	// ErrExist: the key of a create-only write is taken. Store compares the bytes.
	ErrExist error = &kind{"object exists", fs.ErrExist}
	// ErrConflict: what is stored is not what the caller named or expected. Read
	// again and decide again; never force.
	ErrConflict error = &kind{"stored object differs", nil}
	// ErrInDoubt: the request may or may not have been applied. Store reads back
	// before any retry.
	ErrInDoubt error = &kind{"outcome unknown", nil}
	// ErrBusy: throttled or briefly unable, and surely not applied. Store waits
	// and tries again within its budget.
	ErrBusy error = &kind{"store is busy", nil}
	// ErrUnreachable: the store does not answer, or its root folder is gone.
	// Retried within the budget; a write may have been applied.
	ErrUnreachable error = &kind{"store is unreachable", nil}
	// ErrDenied: credentials or policy refuse the request. Stop; a person acts.
	ErrDenied error = &kind{"access denied", fs.ErrPermission}
	// ErrHeld: a lease refuses the removal.
	ErrHeld error = &kind{"object is leased", nil}
	// ErrCold: the object must be thawed before it can be read.
	ErrCold error = &kind{"object is in cold storage", nil}
	// ErrCorrupt: stored bytes cannot be what was written. Never retried.
	ErrCorrupt error = &kind{"stored data is damaged", nil}
	// ErrFull: no space left, or a quota is used up. A person acts.
	ErrFull error = &kind{"store is full", nil}
	// ErrRange: the range is not wholly inside the object.
	ErrRange error = &kind{"range outside the object", nil}
	// ErrInvalid: the caller broke the contract (a key outside the grammar, an
	// object over the limit). A mistake in this program; never retried.
	ErrInvalid error = &kind{"invalid request", fs.ErrInvalid}
)

// Kinds returns all kinds.
func Kinds() []error {
	return []error{ErrNotExist, ErrExist, ErrConflict, ErrInDoubt, ErrBusy, ErrUnreachable, ErrDenied,
		ErrHeld, ErrCold, ErrCorrupt, ErrFull, ErrRange, ErrInvalid}
}

// kind is a sentinel that also answers to the matching one of io/fs.
type kind struct {
	text string
	std  error
}

func (k *kind) Error() string { return k.text }
func (k *kind) Unwrap() error { return k.std }

// Error is what drivers and Store return: one kind, where it happened and why.
type Error struct {
	Op         string // "put", "get", "stat", "list", "raise", "remove", "time"
	Provider   string // "dir", "s3", ...
	Key        string // object key; never a name from the source
	Kind       error  // one of the kinds above
	Status     int    // HTTP status, if there was one
	RequestID  string // the provider's, for its support
	RetryAfter time.Duration
	Err        error // cause; may be nil
}

// Error says the operation, the key, the kind and the cause, each once.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Key != "" {
		b.WriteString(" " + e.Key)
	}
	if e.Provider != "" {
		b.WriteString(" (" + e.Provider + ")")
	}
	fmt.Fprintf(&b, ": %v", e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.RequestID != "" {
		b.WriteString(": request " + e.RequestID)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap gives the kind and the cause. A cause that speaks against the kind
// stays hidden: a missing root folder is ErrUnreachable, and nobody who asks for
// fs.ErrNotExist may mistake it for a missing object.
func (e *Error) Unwrap() []error {
	if e.Err == nil || contradicts(e.Kind, e.Err) {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func contradicts(kind, cause error) bool {
	for _, std := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid} {
		if errors.Is(cause, std) && !errors.Is(kind, std) {
			return true
		}
	}
	k := KindOf(cause)
	return k != nil && k != kind
}

// KindOf returns the kind that err wraps, or nil.
func KindOf(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && e.Kind != nil {
		return e.Kind
	}
	for _, k := range Kinds() {
		if errors.Is(err, k) {
			return k
		}
	}
	return nil
}

// retryAfter is how long the store asked to be left alone.
func retryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}
