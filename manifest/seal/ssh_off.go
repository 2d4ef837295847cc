//go:build !ssh

package seal

import "filippo.io/age"

func sshRecipient(string) (age.Recipient, error) { return nil, errNoSSH }

func sshIdentity([]byte, func() ([]byte, error)) (age.Identity, error) { return nil, errNoSSH }
