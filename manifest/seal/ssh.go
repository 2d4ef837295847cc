package seal

import (
	"errors"
	"fmt"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

func sshRecipient(public string) (age.Recipient, error) { return agessh.ParseRecipient(public) }

// sshIdentity reads an ssh private key file. A protected one is opened only if the
// data is sealed to it, by asking passphrase.
func sshIdentity(file []byte, passphrase func() ([]byte, error)) (age.Identity, error) {
	if len(file) > maxKeyText {
		return nil, fmt.Errorf("ssh key file is longer than %d bytes: %w", maxKeyText, ErrKeyText)
	}
	id, err := agessh.ParseIdentity(file)
	if err == nil {
		return id, nil
	}
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		return nil, fmt.Errorf("ssh key file is not an Ed25519 or RSA private key: %w", ErrKeyText)
	}
	if passphrase == nil {
		return nil, fmt.Errorf("ssh key file is protected and no passphrase was given: %w", ErrWrongPassphrase)
	}
	if locked.PublicKey == nil {
		return unlockSSH(file, passphrase)
	}
	protected, err := agessh.NewEncryptedSSHIdentity(locked.PublicKey, file, passphrase)
	if err != nil {
		return nil, fmt.Errorf("ssh key file is not an Ed25519 or RSA private key: %w", ErrKeyText)
	}
	return protected, nil
}

// unlockSSH opens a protected key of the older kind, which does not show its
// public half, so that it must be opened to know what it fits.
func unlockSSH(file []byte, passphrase func() ([]byte, error)) (age.Identity, error) {
	secret, err := passphrase()
	if err != nil {
		return nil, fmt.Errorf("ask for passphrase of ssh key: %w", err)
	}
	raw, err := ssh.ParseRawPrivateKeyWithPassphrase(file, secret)
	if err != nil {
		return nil, fmt.Errorf("open ssh key file: %w", ErrWrongPassphrase)
	}
	signer, err := ssh.NewSignerFromKey(raw)
	if err != nil {
		return nil, fmt.Errorf("ssh key file is not an Ed25519 or RSA private key: %w", ErrKeyText)
	}
	id, err := agessh.NewEncryptedSSHIdentity(signer.PublicKey(), file, func() ([]byte, error) { return secret, nil })
	if err != nil {
		return nil, fmt.Errorf("ssh key file is not an Ed25519 or RSA private key: %w", ErrKeyText)
	}
	return id, nil
}
