package pack

import "encoding/hex"

// ChunkID names a chunk: the first 16 bytes of the keyed hash of its plain bytes
// (manifest/seal). It tells nothing about the bytes to whoever lacks the key.
type ChunkID [16]byte

// String returns the id in lower-case hexadecimal.
func (id ChunkID) String() string { return hex.EncodeToString(id[:]) }

// Name names a sealed object, a pack or an index segment: the SHA-256 of its
// stored bytes. Whoever holds the object can check its name without any key.
type Name [32]byte

// String returns the name in lower-case hexadecimal, as it stands in keys.
func (n Name) String() string { return hex.EncodeToString(n[:]) }
