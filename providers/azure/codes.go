package azure

import "offsite/providers"

// request is what an error code is an answer to.
type request int

const (
	read    request = iota // Get Blob, its properties, List Blobs
	create                 // Put Blob if the key is absent
	replace                // Put Blob if the ETag is the one named
	raise                  // Set Blob Immutability Policy
)

func (r request) writes() bool { return r != read }

// unknown is the kind of what nobody has written down: a write may have been
// applied, a read may succeed later.
func (r request) unknown() error {
	if r.writes() {
		return providers.ErrInDoubt
	}
	return providers.ErrBusy
}

// kinds are the kinds of one code, by request. Codes with the same kind for every
// request have it in read and nothing else.
type kinds struct{ read, create, replace, raise error }

func (k kinds) of(what request) error {
	kind := [...]error{read: k.read, create: k.create, replace: k.replace, raise: k.raise}[what]
	if kind == nil {
		kind = k.read
	}
	return kind
}

// kindOf is the kind of an answer by its error code or, if that is unknown, its status.
func kindOf(code string, status int, what request) error {
	if k, ok := codes[code]; ok {
		return k.of(what)
	}
	if k, ok := statuses[status]; ok {
		return k.of(what)
	}
	return what.unknown()
}

// Shorthands of the table.
var (
	invalid     = kinds{read: providers.ErrInvalid}
	denied      = kinds{read: providers.ErrDenied}
	busy        = kinds{read: providers.ErrBusy}
	unreachable = kinds{read: providers.ErrUnreachable}
	doubtful    = kinds{providers.ErrBusy, providers.ErrInDoubt, providers.ErrInDoubt, providers.ErrInDoubt}
	condition   = kinds{providers.ErrNotExist, providers.ErrExist, providers.ErrConflict, providers.ErrConflict}
	taken       = kinds{providers.ErrBusy, providers.ErrExist, providers.ErrConflict, providers.ErrInDoubt}
	damagedOnce = kinds{read: providers.ErrBusy} // on the way; the service stored nothing
)

// statuses serve answers without a known code, such as those of proxies.
var statuses = map[int]kinds{
	401: denied,
	403: denied,
	407: unreachable, // a proxy asks for a password
	412: condition,
	413: invalid,
	416: {providers.ErrRange, providers.ErrInvalid, providers.ErrInvalid, providers.ErrInvalid},
	429: busy,
}
