package seal

import "errors"

// Kinds of refusal. Every error of this package that a caller can act on wraps
// exactly one of them; callers use errors.Is.
var (
	// ErrWrongPassphrase: the passphrase does not fit. The holder should type it
	// again, minding keyboard layout and capitals, or use another holder's way in.
	// Damage in the few bytes that carry the wrapped key looks the same.
	ErrWrongPassphrase = errors.New("wrong passphrase")
	// ErrNotForThisKey: sealed to somebody else. Damage in the few bytes that carry
	// the wrapped key looks the same; an object's name, the hash of its bytes, tells.
	ErrNotForThisKey = errors.New("not sealed to this key")
	// ErrDamaged: not what was written: cut off, changed, or not sealed data at all.
	ErrDamaged = errors.New("damaged")
	// ErrSignature: the signature does not belong to these bytes.
	ErrSignature = errors.New("signature does not match")
	// ErrUntrustedSigner: the signer is not one that the caller trusts.
	ErrUntrustedSigner = errors.New("signer is not trusted")
	// ErrProof: sealed data did not open to what was sealed. The computer made a
	// mistake (memory, processor); nothing must be uploaded.
	ErrProof = errors.New("sealed data does not open to what was sealed")
	// ErrKeyText: a key or key file is not in its written form.
	ErrKeyText = errors.New("not a valid key")
	// ErrKeyFileOpen: others on this machine can read the key file.
	ErrKeyFileOpen = errors.New("key file is readable by others")
)
