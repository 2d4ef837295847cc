package manifest

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"offsite/manifest/pack"
	"offsite/manifest/seal"
	"offsite/providers"
)

// Domains keep a signature made for one kind of document from passing as another.
const (
	headerDomain    = "offsite header v1"
	enrolmentDomain = "offsite enrolment v1"
	removalDomain   = "offsite holder removal v1"
	recordDomain    = "offsite record v1"
	leaseDomain     = "offsite lease v1"
	noteDomain      = "offsite note v1"
)

// Header is the document that makes a folder or bucket a store of one practice.
type Header struct {
	Format     int    `json:"format"`
	Repository string `json:"repository"`
	Created    Time   `json:"created"`
	Owner      string `json:"owner"`   // Ed25519 public key, base64
	Restore    string `json:"restore"` // age recipient of the restore key
	Naming     string `json:"naming"`  // how chunks are named
	Removable  string `json:"removable"`
}

// NamingV1 says that chunks are named by keyed BLAKE3, cut to 16 bytes.
const NamingV1 = "blake3-keyed-128"

// Enrolment says that a PC may sign records and leases of the practice.
type Enrolment struct {
	Format     int    `json:"format"`
	Repository string `json:"repository"`
	PC         string `json:"pc"`
	Label      string `json:"label"` // chosen at the enrolment; never a patient's name
	Signing    string `json:"signing"`
	Created    Time   `json:"created"`
}

// Founding is all that a new store begins with. Every store of a practice gets
// the same.
type Founding struct {
	Header    Header
	Enrolment Enrolment
	Owner     *seal.Owner
	Sealed    map[string][]byte // key objects that are sealed already: SecretsKey, HolderKey(...)
}

// Found makes store the practice's: the sealed keys first, the header last, so
// that a store with a header is whole. A store that was founded before is refused,
// and so are the remains of one that was founded in part.
func Found(ctx context.Context, store *providers.Store, f Founding) error {
	header, err := ownerSigned(headerDomain, f.Header, f.Owner)
	if err != nil {
		return fmt.Errorf("found store: %w", err)
	}
	pc, err := ownerSigned(enrolmentDomain, f.Enrolment, f.Owner)
	if err != nil {
		return fmt.Errorf("found store: %w", err)
	}
	if err := Vacant(ctx, store); err != nil {
		return fmt.Errorf("found store: %w", err)
	}
	objects := maps.Clone(f.Sealed)
	if objects == nil {
		objects = make(map[string][]byte)
	}
	objects[PCKey(f.Enrolment.PC)] = pc
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if _, err := store.Create(ctx, key, objects[key], noLease); err != nil {
			return fmt.Errorf("found store: %w", err)
		}
	}
	if _, err := store.Create(ctx, HeaderKey, header, noLease); err != nil {
		return fmt.Errorf("found store: %w", err)
	}
	return nil
}

// Vacant refuses a place that holds a store or the keys of one: ErrExist.
func Vacant(ctx context.Context, store *providers.Store) error {
	switch _, err := store.Stat(ctx, HeaderKey, ""); {
	case err == nil:
		return fmt.Errorf("%w: it is a store already", providers.ErrExist)
	case !errors.Is(err, providers.ErrNotExist):
		return err
	}
	for _, err := range store.List(ctx, KeysPrefix, "") {
		if err != nil {
			return err
		}
		return fmt.Errorf("%w: it holds keys that an earlier attempt left; empty it first", providers.ErrExist)
	}
	return nil
}

// Enrol lets one more PC of the practice sign records in a store. The same
// enrolment again is success.
func Enrol(ctx context.Context, store *providers.Store, owner *seal.Owner, e Enrolment) error {
	if e.Format != FormatVersion || !validID(e.Repository) || !validID(e.PC) {
		return errors.New("enrol PC: an identifier is not 16 hexadecimal digits")
	}
	data, err := ownerSigned(enrolmentDomain, e, owner)
	if err != nil {
		return fmt.Errorf("enrol PC: %w", err)
	}
	if _, err := store.Create(ctx, PCKey(e.PC), data, noLease); err != nil {
		return fmt.Errorf("enrol PC: %w", err)
	}
	return nil
}

// ErrNoStore is what OpenHeader returns when nothing was founded here.
var ErrNoStore = errors.New("there is no offsite store here")

// ErrOtherStore is returned for a store of another practice.
var ErrOtherStore = errors.New("the store belongs to another practice")

// OpenHeader reads the store's header. With an owner key, the header must be
// signed by it; without one, the header vouches for itself only. A header that is
// signed as it should be, but by another owner, is ErrOtherStore.
func OpenHeader(ctx context.Context, store *providers.Store, owner ed25519.PublicKey) (Header, error) {
	data, err := store.Read(ctx, HeaderKey, "")
	if errors.Is(err, providers.ErrNotExist) {
		return Header{}, fmt.Errorf("open store: %w", ErrNoStore)
	}
	if err != nil {
		return Header{}, fmt.Errorf("open store: %w", err)
	}
	h, err := parseHeader(data, owner)
	if err != nil {
		return Header{}, fmt.Errorf("open store: header: %w", err)
	}
	return h, nil
}

// parseHeader first asks whether the header is what its own owner wrote: only then
// can it be that of another practice. Anything else is damage, or somebody's hand.
func parseHeader(data []byte, owner ed25519.PublicKey) (Header, error) {
	stated, err := statedOwner(data)
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", seal.ErrDamaged, err)
	}
	payload, _, err := seal.OpenSigned(headerDomain, data, trustOwner(stated))
	if err != nil {
		return Header{}, err
	}
	if owner != nil && !stated.Equal(owner) {
		return Header{}, ErrOtherStore
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(payload, &version); err == nil && version.Format > FormatVersion {
		return Header{}, fmt.Errorf("%w: %d, and this program reads %d", pack.ErrVersion, version.Format, FormatVersion)
	}
	var h Header
	if err := unmarshalCanonical(payload, &h); err != nil {
		return Header{}, fmt.Errorf("%w: %w", seal.ErrDamaged, err)
	}
	if h.Format != FormatVersion || h.Naming != NamingV1 || h.Removable != Removable || !validID(h.Repository) {
		return Header{}, fmt.Errorf("%w: a field has a value that this version does not know", seal.ErrDamaged)
	}
	return h, nil
}

// statedOwner is the owner key that a header claims to be signed by.
func statedOwner(data []byte) (ed25519.PublicKey, error) {
	if len(data) > seal.MaxSigned {
		return nil, fmt.Errorf("longer than %d bytes", seal.MaxSigned)
	}
	var peek struct {
		Payload struct {
			Owner string `json:"owner"`
		} `json:"payload"`
	}
	if err := json.Unmarshal(data, &peek); err != nil {
		return nil, err
	}
	return parsePublic(peek.Payload.Owner)
}

// OwnerKey returns the owner's public key that the header names.
func (h Header) OwnerKey() (ed25519.PublicKey, error) { return parsePublic(h.Owner) }

// Public writes a public signing key as documents hold it.
func Public(k ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(k) }

func parsePublic(s string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("signing key is not 32 bytes of base64")
	}
	return b, nil
}

// Trust knows whose signatures count: the PCs that the owner enrolled.
type Trust struct {
	repository string
	pcs        map[string]ed25519.PublicKey
	refused    []Damaged
}

// LoadTrust reads the enrolments of a store. One that is damaged, or that the owner
// did not sign, counts for nothing and is told by Refused: an object that anybody
// may have put there must not hide the days that are well.
func LoadTrust(ctx context.Context, store *providers.Store, h Header) (*Trust, error) {
	owner, err := h.OwnerKey()
	if err != nil {
		return nil, fmt.Errorf("load enrolments: %w", err)
	}
	t := &Trust{repository: h.Repository, pcs: map[string]ed25519.PublicKey{}}
	for o, err := range store.List(ctx, PCPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("load enrolments: %w", err)
		}
		data, err := store.Read(ctx, o.Key, o.Version)
		if err != nil {
			return nil, fmt.Errorf("load enrolments: %w", err)
		}
		if err := t.add(o.Key, data, owner); err != nil {
			t.refused = append(t.refused, Damaged{Key: o.Key, Err: err})
		}
	}
	return t, nil
}

func (t *Trust) add(key string, data []byte, owner ed25519.PublicKey) error {
	var e Enrolment
	if err := open(enrolmentDomain, data, trustOwner(owner), &e); err != nil {
		return err
	}
	if e.Format != FormatVersion || e.Repository != t.repository || PCKey(e.PC) != key || !validID(e.PC) {
		return fmt.Errorf("%w: the enrolment does not belong here", seal.ErrDamaged)
	}
	pub, err := parsePublic(e.Signing)
	if err != nil {
		return fmt.Errorf("%w: %w", seal.ErrDamaged, err)
	}
	t.pcs[e.PC] = pub
	return nil
}

// Enrolled says whether the PC is enrolled with this signing key: what it signs
// counts for nothing otherwise.
func (t *Trust) Enrolled(pc string, public ed25519.PublicKey) bool {
	k, ok := t.pcs[pc]
	return ok && k.Equal(public)
}

// Refused returns the enrolments that count for nothing.
func (t *Trust) Refused() []Damaged { return t.refused }

// PCs returns how many PCs are enrolled.
func (t *Trust) PCs() int { return len(t.pcs) }

// Key returns the public signing key of an enrolled PC.
func (t *Trust) Key(pc string) (ed25519.PublicKey, error) { return t.key(pc) }

func (t *Trust) key(signer string) (ed25519.PublicKey, error) {
	k, ok := t.pcs[signer]
	if !ok {
		return nil, fmt.Errorf("%w: PC %.16q is not enrolled", seal.ErrUntrustedSigner, signer)
	}
	return k, nil
}

func trustOwner(owner ed25519.PublicKey) func(string) (ed25519.PublicKey, error) {
	return func(signer string) (ed25519.PublicKey, error) {
		if signer != seal.OwnerID {
			return nil, fmt.Errorf("%w: want the owner key", seal.ErrUntrustedSigner)
		}
		return owner, nil
	}
}

// sign writes v canonically into a signed envelope.
func sign(domain string, v any, signer string, key ed25519.PrivateKey) ([]byte, error) {
	payload, err := marshalCanonical(v)
	if err != nil {
		return nil, err
	}
	return seal.Sign(domain, payload, signer, key)
}

// ownerSigned is sign with the owner key.
func ownerSigned(domain string, v any, owner *seal.Owner) ([]byte, error) {
	if owner == nil {
		return nil, fmt.Errorf("the owner key is missing: %w", seal.ErrKeyText)
	}
	payload, err := marshalCanonical(v)
	if err != nil {
		return nil, err
	}
	return owner.Sign(domain, payload)
}

// open checks an envelope and reads its payload strictly into v.
func open(domain string, data []byte, trust func(string) (ed25519.PublicKey, error), v any) error {
	_, err := openBy(domain, data, trust, v)
	return err
}

// openBy is open that also returns the signer's id.
func openBy(domain string, data []byte, trust func(string) (ed25519.PublicKey, error), v any) (signer string, err error) {
	payload, signer, err := seal.OpenSigned(domain, data, trust)
	if err != nil {
		return "", err
	}
	return signer, unmarshalCanonical(payload, v)
}

// openOf is open for documents that name the PC that signed them: pc is where v
// holds its id.
func openOf(domain string, data []byte, trust *Trust, v any, pc *string) error {
	signer, err := openBy(domain, data, trust.key, v)
	if err != nil {
		return err
	}
	if signer != *pc {
		return fmt.Errorf("%w: signed by another PC than the one it names", seal.ErrUntrustedSigner)
	}
	return nil
}
