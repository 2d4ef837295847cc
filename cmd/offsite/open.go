package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
)

// configPath is the file that --config, OFFSITE_CONFIG or the system's custom names.
func (a *app) configPath() (string, error) {
	name := a.configFile
	if name == "" {
		name = config.DefaultFile(a.env)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("find configuration: %w", err)
	}
	return abs, nil
}

// loadConfig reads the configuration.
func (a *app) loadConfig() (*config.Config, error) {
	name, err := a.configPath()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitUsage, fmt.Errorf("there is no configuration at %s", name),
			"offsite init makes one; --config FILE or OFFSITE_CONFIG names another place")
	}
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("read configuration: %w", err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, config.MaxFile+1))
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("read configuration: %w", err))
	}
	c, err := config.Parse(name, data)
	if err != nil {
		return nil, err
	}
	if c.State == "" {
		c.State = config.Path(config.DefaultState(a.env, name))
	}
	return c, nil
}

// loadUploadKey reads the key that the configuration names.
func loadUploadKey(c *config.Config) (*seal.UploadKey, error) {
	text, err := seal.ReadKeyFile(string(c.UploadKey))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail(exitUsage, fmt.Errorf("there is no upload key at %s", c.UploadKey), "offsite init makes one")
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return seal.ParseUploadKey(text)
}

// chosenStores are the configured stores that --store leaves.
func (a *app) chosenStores(c *config.Config) ([]config.Store, error) {
	if a.store == "" {
		return c.Stores, nil
	}
	s, _, ok := c.StoreNamed(a.store)
	if !ok {
		var names []string
		for _, s := range c.Stores {
			names = append(names, s.Name)
		}
		hint := "the stores are " + strings.Join(names, ", ")
		if near := config.Nearest(a.store, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		return nil, wrongUse("there is no store "+quoted(a.store)+" in the configuration", hint)
	}
	return []config.Store{s}, nil
}

// readFrom returns the one store that a reading verb uses: the one that --store
// names, by name or by address, else the first. With an address no configuration
// is needed, which is how one restores on a new computer.
func (a *app) readFrom() (config.Store, *config.Config, error) {
	if strings.Contains(a.store, ":") {
		s, err := storeAt(a.store)
		s.Name = s.Address.String()
		return s, nil, err
	}
	c, err := a.loadConfig()
	if err != nil {
		return config.Store{}, nil, err
	}
	stores, err := a.chosenStores(c)
	if err != nil {
		return config.Store{}, nil, err
	}
	return stores[0], c, nil
}

// storeAt reads a store that a flag names by its address.
func storeAt(text string) (config.Store, error) {
	s, err := config.ParseStore(text)
	var v *config.ValueError
	if errors.As(err, &v) {
		return s, wrongUse("--store: "+v.Problem, v.Hint)
	}
	if err != nil {
		return s, err
	}
	return s, s.Absolute()
}

// library is a store opened for reading.
type library struct {
	name   string
	store  *providers.Store
	header manifest.Header
	trust  *manifest.Trust
	key    *seal.RestoreKey // nil unless a restore key was asked for
	owner  ed25519.PublicKey
	source string         // id of the configured source; without a configuration all
	zone   *time.Location // in which times are shown
}

// openLibrary opens the store to read from. With unlock it also gets the restore
// key, and then believes the header only if the owner key, which follows from the
// restore key, signed it. Without, the upload key says who the owner is, and with
// neither the header vouches for itself.
func (a *app) openLibrary(ctx context.Context, unlock *keyFlags) (*library, error) {
	at, c, err := a.readFrom()
	if err != nil {
		return nil, err
	}
	with := ""
	if unlock != nil {
		with = unlock.with
	}
	return a.openLibraryAt(ctx, at, with, c, unlock)
}

// openLibraryAt is openLibrary of a store that was chosen already.
func (a *app) openLibraryAt(ctx context.Context, at config.Store, with string, c *config.Config, unlock *keyFlags) (*library, error) {
	store, err := a.openStoreWith(ctx, at, with)
	if err != nil {
		return nil, err
	}
	l := &library{name: at.Name, store: store, zone: time.UTC}
	if err := l.configure(c, unlock != nil); err != nil {
		return nil, err
	}
	if unlock != nil {
		if l.key, err = a.restoreKey(ctx, store, unlock); err != nil {
			return nil, err
		}
		l.owner = l.key.Owner().Public()
	}
	if err := l.identify(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// library is a store of the configuration as its practice sees it. Nothing is asked of
// it yet.
func (p *site) library(name string, store *providers.Store) *library {
	return &library{name: name, store: store, zone: p.calendar.Zone(), owner: p.key.Owner, source: sourceID(p.key, p.config.Source.Name)}
}

// identify reads whose store it is, and which PCs may write to it.
func (l *library) identify(ctx context.Context) (err error) {
	if l.header, err = manifest.OpenHeader(ctx, l.store, l.owner); err != nil {
		return err
	}
	l.trust, err = manifest.LoadTrust(ctx, l.store, l.header)
	return err
}

// configure takes what the configuration and the upload key tell. With a restore
// key the upload key may be missing: that is the case after a fire.
func (l *library) configure(c *config.Config, unlocked bool) error {
	if c == nil {
		return nil
	}
	var err error
	if l.zone, err = c.Calendar.Zone.Location(); err != nil {
		return fmt.Errorf("find time zone: %w", err)
	}
	upload, err := loadUploadKey(c)
	if err != nil && unlocked {
		return nil
	}
	if err != nil {
		return err
	}
	l.owner, l.source = upload.Owner, sourceID(upload, c.Source.Name)
	return nil
}

// keyFlags are the ways to give the restore key.
type keyFlags struct {
	restoreKey     string
	passphraseFile string
	identity       string
	with           string
}

func (k *keyFlags) add(f *pflag.FlagSet) {
	f.StringVar(&k.restoreKey, "restore-key", "", "a `FILE` with the restore key, as on the recovery sheet")
	f.StringVar(&k.passphraseFile, "recovery-passphrase-file", "", "a `FILE` with a recovery holder's passphrase")
	f.StringVar(&k.identity, "holder-key", "", "a `FILE` with a recovery holder's age or ssh key")
	f.StringVar(&k.with, "with", "", withUsage)
}

// maxHolderFile bounds the files that unlock.
const maxHolderFile = 64 << 10

// restoreKey gets the restore key: from its own file, or from a recovery holder's
// copy in the store, opened with what the flags name or with a passphrase that is
// asked for.
func (a *app) restoreKey(ctx context.Context, store *providers.Store, k *keyFlags) (*seal.RestoreKey, error) {
	given := 0
	for _, s := range []string{k.restoreKey, k.passphraseFile, k.identity} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return nil, wrongUse("the restore key is given twice", "use one of --restore-key, --recovery-passphrase-file and --holder-key")
	}
	if k.restoreKey != "" {
		text, err := readSmall(k.restoreKey)
		if err != nil {
			return nil, fail(exitUsage, fmt.Errorf("read restore key: %w", err))
		}
		defer clear(text)
		return seal.ParseRestoreKey(text)
	}
	unlock, err := a.unlock(k)
	if err != nil {
		return nil, err
	}
	holders, err := a.loadHolders(ctx, store)
	if err != nil {
		return nil, err
	}
	var last error
	for _, h := range holders {
		if !h.Present() {
			continue
		}
		key, err := seal.OpenHolder(h.Sealed, unlock)
		if err == nil {
			return key, nil
		}
		// A wrong passphrase says more than a file that was not meant for it.
		if last == nil || errors.Is(err, seal.ErrWrongPassphrase) {
			last = err
		}
	}
	return nil, last
}

// loadHolders reads the recovery holders of a store whose owner is not known yet:
// its header has to vouch for itself until the restore key is there. One who was
// removed is passed over. What stands in a holder's place and is nothing of the
// kind is told, but keeps no other holder out.
func (a *app) loadHolders(ctx context.Context, store *providers.Store) ([]manifest.Holder, error) {
	var owner ed25519.PublicKey
	header, err := manifest.OpenHeader(ctx, store, nil)
	switch {
	case err == nil:
		if owner, err = header.OwnerKey(); err != nil {
			return nil, err
		}
	case errors.Is(err, manifest.ErrNoStore), providers.KindOf(err) != nil:
		return nil, err
	default:
		a.say("the holders' files are tried without the header: %v", err)
	}
	holders, err := manifest.LoadHolders(ctx, store, header.Repository, owner)
	if err != nil {
		return nil, err
	}
	left, damage := 0, error(nil)
	for _, h := range holders {
		switch {
		case h.Present():
			left++
		case h.Damage != nil:
			damage = fmt.Errorf("holder %s: %w", h.ID, h.Damage)
			a.say("%v", damage)
		}
	}
	if left == 0 {
		return nil, cmp.Or(damage, fmt.Errorf("list holders: %w", manifest.ErrNoHolder))
	}
	return holders, nil
}

// unlock gathers what opens a holder's copy of the restore key.
func (a *app) unlock(k *keyFlags) (seal.Unlock, error) {
	switch {
	case k.passphraseFile != "":
		pass, err := readPassphrase(k.passphraseFile)
		return seal.Unlock{Passphrase: pass}, err
	case k.identity != "":
		text, err := readSmall(k.identity)
		if err != nil {
			return seal.Unlock{}, fail(exitUsage, fmt.Errorf("read holder's key: %w", err))
		}
		if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
			return seal.Unlock{SSHKey: text, SSHPassphrase: func() ([]byte, error) {
				p, err := a.ask("Passphrase of the ssh key: ")
				return []byte(p), err
			}}, nil
		}
		return seal.Unlock{Identities: text, Ask: a.askPerson()}, nil
	}
	pass, err := a.ask("Recovery passphrase: ")
	return seal.Unlock{Passphrase: pass}, err
}

// askPerson lets hardware keys talk to the person at the terminal.
func (a *app) askPerson() seal.Ask {
	return seal.Ask{
		Show:  func(message string) error { a.say("%s", message); return nil },
		Value: func(prompt string, _ bool) (string, error) { return a.ask(prompt + ": ") },
	}
}

// ask asks for a secret at the terminal, without showing it.
func (a *app) ask(prompt string) (string, error) {
	fd, ok := terminal(a.stdin)
	if !ok || a.yes {
		return "", wrongUse("the restore key is needed, and there is nobody to ask",
			"give --restore-key FILE, --recovery-passphrase-file FILE or --holder-key FILE")
	}
	fmt.Fprint(a.stderr, prompt)
	secret, err := term.ReadPassword(fd)
	fmt.Fprintln(a.stderr)
	if err != nil {
		return "", fmt.Errorf("read from terminal: %w", err)
	}
	return string(secret), nil
}

// readPassphrase reads a passphrase file. The line end is not part of it.
func readPassphrase(name string) (string, error) {
	text, err := readSmall(name)
	if err != nil {
		return "", fail(exitUsage, fmt.Errorf("read recovery passphrase: %w", err))
	}
	pass := strings.TrimRight(string(text), "\r\n")
	if pass == "" {
		return "", fail(exitUsage, fmt.Errorf("read recovery passphrase: %s is empty", name))
	}
	return pass, nil
}

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHolderFile+1))
	if err == nil && len(text) > maxHolderFile {
		err = fmt.Errorf("%s is larger than %d KiB", name, maxHolderFile>>10)
	}
	return text, err
}
