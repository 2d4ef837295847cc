package seal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// Scrypt work factors, as powers of two.
const (
	// DefaultWork takes about a second on an ordinary computer.
	DefaultWork = 18
	// maxWork is the most that opening accepts: about four seconds and 1 GiB. A
	// file that asks for more was not written by this package.
	maxWork = 20
)

// minPassphrase is the shortest passphrase in bytes. The sealed file can be copied
// by whoever reads the store and guessed at for years.
const minPassphrase = 12

// HolderKind says how a recovery holder unlocks the restore key.
type HolderKind string

// The kinds of recovery holders.
const (
	KindPassphrase HolderKind = "passphrase" // a passphrase that a person knows
	KindAge        HolderKind = "age"        // an age key of the post-quantum or the older kind
	KindSSH        HolderKind = "ssh"        // an ssh key
	KindPlugin     HolderKind = "plugin"     // hardware, through an age plug-in
)

// Holder is somebody, or something, to whom the restore key is sealed.
type Holder struct {
	Kind HolderKind
	// PostQuantum: no future quantum computer opens this holder's file.
	PostQuantum bool

	recipient age.Recipient
}

// PassphraseHolder is the holder of a passphrase. work is the scrypt work factor,
// 0 for DefaultWork; tests use a small one.
func PassphraseHolder(passphrase string, work int) (Holder, error) {
	if work == 0 {
		work = DefaultWork
	}
	if work < 1 || work > maxWork {
		return Holder{}, fmt.Errorf("prepare passphrase holder: work factor must be 1 to %d", maxWork)
	}
	if len(passphrase) < minPassphrase {
		return Holder{}, fmt.Errorf("prepare passphrase holder: shorter than %d characters: %w", minPassphrase, ErrKeyText)
	}
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return Holder{}, fmt.Errorf("prepare passphrase holder: %w", ErrKeyText)
	}
	r.SetWorkFactor(work)
	return Holder{Kind: KindPassphrase, PostQuantum: true, recipient: r}, nil
}

// RecipientHolder is the holder of the private half of a public key: age1pq1...,
// age1..., a plug-in's age1name1..., or an ssh public key line. ask serves plug-ins
// that need to talk to the person; its zero value refuses to.
func RecipientHolder(public string, ask Ask) (Holder, error) {
	public = strings.TrimSpace(public)
	var h Holder
	var err error
	switch {
	case strings.HasPrefix(public, "age1pq1"):
		h.Kind, h.PostQuantum = KindAge, true
		h.recipient, err = age.ParseHybridRecipient(public)
	case strings.HasPrefix(public, "ssh-"):
		h.Kind = KindSSH
		h.recipient, err = sshRecipient(public)
	case strings.HasPrefix(public, "age1") && strings.Count(public, "1") > 1 && !strings.ContainsAny(public, " \n"):
		// The bech32 alphabet has no 1, so a second one ends a plug-in's name.
		h.Kind = KindPlugin
		h.recipient, err = plugin.NewRecipient(public, ask.client())
	default:
		h.Kind = KindAge
		h.recipient, err = age.ParseX25519Recipient(public)
	}
	if errors.Is(err, errNoSSH) {
		return Holder{}, fmt.Errorf("prepare %s holder: %w", h.Kind, err)
	}
	if err != nil {
		// The text is left out: somebody may have given a private key by mistake.
		return Holder{}, fmt.Errorf("prepare %s holder: not a public key that can be used: %w", h.Kind, ErrKeyText)
	}
	return h, nil
}

// SealToHolder seals the restore key's text to a holder. The result opens with
// the age program: age -d holder.age > restore.key.
func SealToHolder(key *RestoreKey, h Holder) ([]byte, error) {
	if h.recipient == nil {
		return nil, errors.New("seal restore key: holder is empty")
	}
	sealed, err := appendSealed(nil, key.Text(), h.recipient)
	if err != nil {
		return nil, fmt.Errorf("seal restore key to %s holder: %w", h.Kind, err)
	}
	return sealed, nil
}

// Unlock is what a holder brings along. One part is enough; all given are tried.
type Unlock struct {
	Passphrase string
	Identities []byte // age identity file: AGE-SECRET-KEY-... or AGE-PLUGIN-... lines
	SSHKey     []byte // ssh private key file
	// SSHPassphrase is asked for only when SSHKey is protected and fits.
	SSHPassphrase func() ([]byte, error)
	Ask           Ask
}

// Ask lets plug-ins (hardware keys) talk to the person. Missing functions refuse.
type Ask struct {
	Show  func(message string) error
	Value func(prompt string, secret bool) (string, error)
	// Confirm shows the prompt and two choices; no may be empty.
	Confirm func(prompt, yes, no string) (bool, error)
}

var errNobody = errors.New("nobody to ask")

func (a Ask) client() *plugin.ClientUI {
	return &plugin.ClientUI{
		DisplayMessage: func(name, message string) error {
			if a.Show == nil {
				return errNobody
			}
			return a.Show(name + ": " + message)
		},
		RequestValue: func(name, prompt string, secret bool) (string, error) {
			if a.Value == nil {
				return "", errNobody
			}
			return a.Value(name+": "+prompt, secret)
		},
		Confirm: func(name, prompt, yes, no string) (bool, error) {
			if a.Confirm == nil {
				return false, errNobody
			}
			return a.Confirm(name+": "+prompt, yes, no)
		},
		WaitTimer: func(name string) {
			if a.Show != nil {
				a.Show(name + ": waiting for the device")
			}
		},
	}
}

// OpenHolder opens a holder's file and returns the restore key.
func OpenHolder(data []byte, u Unlock) (*RestoreKey, error) {
	ids, err := u.identities()
	if err != nil {
		return nil, fmt.Errorf("open holder file: %w", err)
	}
	text, err := (&Opener{ids: ids}).Open(data)
	if errors.Is(err, ErrNotForThisKey) && u.Passphrase != "" && isPassphraseFile(data) {
		return nil, fmt.Errorf("open holder file: %w", ErrWrongPassphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("open holder file: %w", err)
	}
	defer clear(text)
	return ParseRestoreKey(text)
}

func (u Unlock) identities() ([]age.Identity, error) {
	var ids []age.Identity
	if u.Passphrase != "" {
		id, err := age.NewScryptIdentity(u.Passphrase)
		if err != nil {
			return nil, ErrKeyText
		}
		id.SetMaxWorkFactor(maxWork)
		ids = append(ids, id)
	}
	if len(u.Identities) > 0 {
		more, err := parseIdentities(u.Identities, u.Ask)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	if len(u.SSHKey) > 0 {
		id, err := sshIdentity(u.SSHKey, u.SSHPassphrase)
		if err != nil {
			return nil, err
		}
		ids = append(ids, outside{id})
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("no passphrase and no key given: %w", ErrNotForThisKey)
	}
	return ids, nil
}

// maxIdentities bounds an identity file: each one may cost a plug-in run.
const maxIdentities = 16

func parseIdentities(text []byte, ask Ask) ([]age.Identity, error) {
	if len(text) > maxKeyText {
		return nil, fmt.Errorf("identity file is longer than %d bytes: %w", maxKeyText, ErrKeyText)
	}
	var ids []age.Identity
	for line := range bytes.Lines(text) {
		s := string(bytes.TrimSpace(line))
		if s == "" || s[0] == '#' {
			continue
		}
		var id age.Identity
		var err error
		switch {
		case strings.HasPrefix(s, "AGE-PLUGIN-"):
			id, err = pluginIdentity(s, ask)
		case strings.HasPrefix(s, "AGE-SECRET-KEY-PQ-1"):
			id, err = age.ParseHybridIdentity(s)
		default:
			id, err = age.ParseX25519Identity(s)
		}
		if err != nil {
			return nil, fmt.Errorf("identity file holds a line that is no age identity: %w", ErrKeyText)
		}
		if ids = append(ids, id); len(ids) > maxIdentities {
			return nil, fmt.Errorf("identity file holds more than %d identities: %w", maxIdentities, ErrKeyText)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("identity file holds no identity: %w", ErrKeyText)
	}
	return ids, nil
}

func pluginIdentity(text string, ask Ask) (age.Identity, error) {
	id, err := plugin.NewIdentity(text, ask.client())
	if err != nil {
		return nil, err
	}
	return outside{id}, nil
}

// outside is an identity that can fail for reasons of its own: a plug-in that is
// not installed, a device that is not plugged in, a protected ssh key. Such a
// failure says nothing about the file.
type outside struct{ age.Identity }

func (o outside) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := o.Identity.Unwrap(stanzas)
	if err != nil && !errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, &outsideError{err}
	}
	return key, err
}

type outsideError struct{ err error }

func (e *outsideError) Error() string { return "use key: " + e.err.Error() }
func (e *outsideError) Unwrap() error { return e.err }

// isPassphraseFile says whether an age file is sealed to a passphrase.
func isPassphraseFile(data []byte) bool {
	return bytes.HasPrefix(data, []byte("age-encryption.org/v1\n-> scrypt "))
}

var errNoSSH = errors.New("ssh keys are not built into this program")
