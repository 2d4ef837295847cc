package manifest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"offsite/manifest/seal"
	"offsite/providers"
)

// Nothing is deleted from a store, and so a recovery holder's file is not either:
// when a holder is removed, a note that the owner signed takes the file's place.

// Removal is that note.
type Removal struct {
	Format     int    `json:"format"`
	Repository string `json:"repository"`
	Holder     string `json:"holder"`
	Removed    Time   `json:"removed"`
}

// Holder is one recovery holder of a store, as what stands under the holder's key says.
type Holder struct {
	ID string
	// Sealed is the restore key, sealed to the holder. It is nil when Damage says
	// why it cannot be that, and when the holder was removed.
	Sealed []byte
	// Removed is when the owner removed the holder; zero: not at all.
	Removed time.Time
	// Damage is why the object is neither a holder's file nor a note that the owner
	// signed. It hides nobody: the holder was not removed, the file is spoilt.
	Damage error

	version providers.Version
}

// Present says whether the holder has a file to be unlocked.
func (h Holder) Present() bool { return h.Sealed != nil }

// ErrNoHolder is returned for a holder that a store does not have.
var ErrNoHolder = errors.New("there is no such recovery holder")

// ErrLastHolder is returned instead of leaving nobody who can unlock the restore key.
var ErrLastHolder = errors.New("nobody else could unlock the restore key")

// holderForm is what ids of holders look like.
var holderForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// sealedHead is how every holder's file begins.
const sealedHead = "age-encryption.org/v1\n"

// LoadHolders reads what stands under the holders' keys of a store, sorted by id.
// A removal counts only if owner signed it for this repository and this holder;
// without an owner none does.
func LoadHolders(ctx context.Context, store *providers.Store, repository string, owner ed25519.PublicKey) ([]Holder, error) {
	var holders []Holder
	for o, err := range store.List(ctx, HolderPrefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list holders: %w", err)
		}
		id := strings.TrimSuffix(strings.TrimPrefix(o.Key, HolderPrefix), ".age")
		if HolderKey(id) != o.Key || !holderForm.MatchString(id) {
			continue
		}
		h, err := readHolder(ctx, store, id, repository, owner)
		if err != nil {
			return nil, fmt.Errorf("read holder %s: %w", id, err)
		}
		holders = append(holders, h)
	}
	return holders, nil
}

// readHolder reads one object and says what it is. The version that the listing
// names is not asked for: the object may just have been replaced.
func readHolder(ctx context.Context, store *providers.Store, id, repository string, owner ed25519.PublicKey) (Holder, error) {
	o, err := store.Stat(ctx, HolderKey(id), "")
	if err != nil {
		return Holder{}, err
	}
	data, err := store.Read(ctx, o.Key, o.Version)
	if err != nil {
		return Holder{}, err
	}
	h := Holder{ID: id, version: o.Version}
	if strings.HasPrefix(string(data), sealedHead) {
		h.Sealed = data
		return h, nil
	}
	removal, err := parseRemoval(data, id, repository, owner)
	if err != nil {
		h.Damage = fmt.Errorf("neither a holder's file nor a removal that the owner signed: %w: %w", seal.ErrDamaged, err)
		return h, nil
	}
	h.Removed = removal.Removed.Time
	return h, nil
}

// parseRemoval checks the stored bytes of a removal.
func parseRemoval(data []byte, id, repository string, owner ed25519.PublicKey) (Removal, error) {
	var r Removal
	if owner == nil {
		return r, errors.New("the owner is not known")
	}
	if err := open(removalDomain, data, trustOwner(owner), &r); err != nil {
		return r, err
	}
	if r.Format != FormatVersion || r.Repository != repository || r.Holder != id || r.Removed.IsZero() {
		return r, errors.New("the removal does not belong here")
	}
	return r, nil
}

// MayRemove says why a holder must not be removed: there is none of that id, or
// nobody else has a file to be unlocked.
func MayRemove(holders []Holder, id string) error {
	if !slices.ContainsFunc(holders, func(h Holder) bool { return h.ID == id }) {
		return fmt.Errorf("remove holder %.70s: %w", id, ErrNoHolder)
	}
	if !slices.ContainsFunc(holders, func(h Holder) bool { return h.ID != id && h.Present() }) {
		return fmt.Errorf("remove holder %s: %w", id, ErrLastHolder)
	}
	return nil
}

// RemoveHolder puts a removal in the place of a holder's file, whole or spoilt, if
// MayRemove agrees. A holder that was removed before is success.
//
// Whoever kept a copy of the file, and a store that keeps old versions of objects,
// still has the restore key sealed to that holder.
func RemoveHolder(ctx context.Context, store *providers.Store, owner *seal.Owner, repository, id string, now time.Time) error {
	holders, err := LoadHolders(ctx, store, repository, owner.Public())
	if err != nil {
		return fmt.Errorf("remove holder: %w", err)
	}
	at := slices.IndexFunc(holders, func(h Holder) bool { return h.ID == id })
	if at >= 0 && !holders[at].Removed.IsZero() {
		return nil
	}
	if err := MayRemove(holders, id); err != nil {
		return err
	}
	note, err := ownerSigned(removalDomain, Removal{Format: FormatVersion, Repository: repository, Holder: id, Removed: At(now)}, owner)
	if err != nil {
		return fmt.Errorf("remove holder %s: %w", id, err)
	}
	if _, err := store.Replace(ctx, HolderKey(id), holders[at].version, note, noLease); err != nil {
		return fmt.Errorf("remove holder %s: %w", id, err)
	}
	return nil
}
