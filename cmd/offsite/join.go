package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"offsite/manifest"
	"offsite/manifest/seal"
)

// joinAnswer says what init --join did.
type joinAnswer struct {
	initAnswer
	Source    string `json:"source"`    // its name in the configuration
	Continues bool   `json:"continues"` // a store holds days of that source
}

func (j joinAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "This PC has joined the practice's backup.\n\n")
	fmt.Fprintf(w, "  configuration  %s\n  upload key     %s\n", j.Config, j.UploadKey)
	for _, s := range j.Stores {
		fmt.Fprintf(w, "  store          %s\n", s)
	}
	if j.Continues {
		fmt.Fprintf(w, "\nIt goes on with the days of the source %s.\n", j.Source)
	} else {
		fmt.Fprintf(w, "\nNo store holds a day of a source named %s: it begins anew. What other PCs stored\nis not sent again. To go on with the days of a lost PC, its source needs the name\nthat it had there.\n", j.Source)
	}
	fmt.Fprintf(w, `
Next:
  1. read the configuration: calendar and retention are not taken over
  2. if a PC was lost or stolen, withdraw its credentials for the stores
  3. offsite run           save the first backup
`)
}

// joinPractice makes this PC one of a practice that has stores: a recovery holder
// unlocks the restore key, from which the owner key follows, which enrols the PC's
// new signing key. What all PCs share comes out of the stores.
func (a *app) joinPractice(ctx context.Context, f initFlags) (answer, error) {
	p, err := a.planInit(f)
	if err != nil {
		return nil, err
	}
	var stores []owned
	for _, s := range p.stores {
		store, err := a.openStoreWith(ctx, s, f.with)
		if err != nil {
			return nil, err
		}
		stores = append(stores, owned{name: s.Name, store: store})
	}
	unlock := keyFlags{restoreKey: f.restoreKey, passphraseFile: f.passphraseFile, identity: f.holder}
	restore, err := a.unlockStores(ctx, stores, &unlock)
	if err != nil {
		return nil, err
	}
	repository, owner := stores[0].header.Repository, restore.Owner()
	secrets, err := namingSecrets(ctx, stores, restore, repository)
	if err != nil {
		return nil, err
	}
	upload, err := seal.NewUploadKey(repository, seal.NewID(), restore.Recipient(), secrets, owner.Public())
	if err != nil {
		return nil, err
	}
	ans := joinAnswer{Source: f.name, initAnswer: initAnswer{Config: p.config, UploadKey: p.uploadKey, Repository: repository,
		PC: upload.PC, Holders: []holderShort{}}}
	if ans.Continues, err = anyDay(ctx, stores, sourceID(upload, f.name)); err != nil {
		return nil, err
	}
	if err := p.writeKey(upload); err != nil {
		return nil, err
	}
	for _, s := range stores {
		if err := manifest.Enrol(ctx, s.store, owner, enrolment(upload, manifest.At(a.now()))); err != nil {
			exit, hints := judge(err)
			return nil, fail(exit, errors.Join(fmt.Errorf("store %s: %w", s.name, err), os.Remove(p.uploadKey)),
				append(hints, "nothing was written on this PC: run the same again; an enrolment that a store has taken already does no harm")...)
		}
	}
	if err := writeNew(p.config, p.text); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	for _, s := range p.stores {
		ans.Stores = append(ans.Stores, s.Reference())
	}
	return ans, nil
}

// namingSecrets opens what all PCs of the practice share, from the first store
// that has it whole.
func namingSecrets(ctx context.Context, stores []owned, restore *seal.RestoreKey, repository string) (seal.Secrets, error) {
	var all error
	for _, s := range stores {
		sealed, err := s.store.Read(ctx, manifest.SecretsKey, "")
		if err == nil {
			var secrets seal.Secrets
			if secrets, err = restore.OpenSecrets(sealed, repository); err == nil {
				return secrets, nil
			}
			// The restore key fits the header, so it is the object that does not.
			err = fmt.Errorf("%w: %v", seal.ErrDamaged, err) // as damage, whatever kind it has
		}
		all = errors.Join(all, fmt.Errorf("store %s: read naming secrets: %w", s.name, err))
	}
	exit, _ := judge(all)
	return seal.Secrets{}, fail(exit, all, "without the naming secrets no PC can join; days can still be restored")
}

// anyDay says whether any of the stores holds a day of a source.
func anyDay(ctx context.Context, stores []owned, source string) (bool, error) {
	for _, s := range stores {
		for _, err := range s.store.List(ctx, manifest.RecordPrefix+source+"/", "") {
			if err != nil {
				return false, fmt.Errorf("store %s: list days: %w", s.name, err)
			}
			return true, nil
		}
	}
	return false, nil
}
