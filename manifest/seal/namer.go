package seal

import (
	"sync"

	"github.com/zeebo/blake3"
)

// Contexts of the keys derived from the naming secret. Chunk names go to the
// store, path names stay in local state: with keys of their own neither tells
// anything about the other.
const (
	chunkContext = "offsite 2026-11-22 chunk names v1"
	pathContext  = "offsite 2026-11-22 local path names v1"
)

// Namer gives chunks and paths their names. It is safe for concurrent use.
type Namer struct {
	chunk, path keyedHash
	cut         [32]byte
}

// Namer returns the practice's namer.
func (s Secrets) Namer() *Namer {
	return &Namer{
		chunk: newKeyedHash(chunkContext, s.Naming),
		path:  newKeyedHash(pathContext, s.Naming),
		cut:   s.Cut,
	}
}

// Chunk names plain bytes: the first 16 bytes of keyed BLAKE3.
func (n *Namer) Chunk(plain []byte) [16]byte { return n.chunk.sum(plain) }

// Path names a path for local state, so that state files hold no file names.
func (n *Namer) Path(path []byte) [16]byte { return n.path.sum(path) }

// Cut is the seed of the cut points.
func (n *Namer) Cut() [32]byte { return n.cut }

// keyedHash reuses hashers: each is about 10 KiB, too much to make for a chunk.
type keyedHash struct{ pool *sync.Pool }

func newKeyedHash(context string, secret [32]byte) keyedHash {
	var key [32]byte
	blake3.DeriveKey(context, secret[:], key[:])
	return keyedHash{&sync.Pool{New: func() any {
		h, err := blake3.NewKeyed(key[:])
		if err != nil {
			panic("seal: BLAKE3 refused a key of 32 bytes")
		}
		return &hasher{h: h}
	}}}
}

type hasher struct {
	h   *blake3.Hasher
	out [32]byte
}

func (k keyedHash) sum(b []byte) (name [16]byte) {
	h := k.pool.Get().(*hasher)
	h.h.Reset()
	h.h.Write(b)
	h.h.Sum(h.out[:0])
	copy(name[:], h.out[:])
	k.pool.Put(h)
	return name
}
