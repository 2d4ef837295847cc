package pack

import (
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// ChunkID names a chunk: the first 16 bytes of the keyed hash of its plain bytes
// (manifest/seal). It tells nothing about the bytes to whoever lacks the key.
type ChunkID [16]byte

// String returns the id in lower-case hexadecimal.
func (id ChunkID) String() string { return hex.EncodeToString(id[:]) }

// Name names a sealed object, a pack or an index segment: the BLAKE3 hash of its
// stored bytes, so that whoever holds the object can check its name without any
// key. BLAKE3 because it costs half of what SHA-256 does on the hot path.
type Name [32]byte

// NameOf returns the name of the sealed object with these bytes.
func NameOf(sealed []byte) Name { return blake3.Sum256(sealed) }

// String returns the name in lower-case hexadecimal, as it stands in keys.
func (n Name) String() string { return hex.EncodeToString(n[:]) }
