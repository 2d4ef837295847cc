package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"offsite/cmd/offsite/config"
	"offsite/manifest"
	"offsite/manifest/seal"
	"offsite/providers"
	"offsite/providers/dir"
)

// initFlags are what init is told.
type initFlags struct {
	name           string
	sources        []string
	profile        string
	stores         []string
	passphraseFile string
	holders        []string
	country, zone  string
	with           string // credentials that may write keys, if the uploader's may not

	join               bool
	restoreKey, holder string // how the restore key is unlocked to join
}

type initAnswer struct {
	Config     string        `json:"config"`
	UploadKey  string        `json:"upload_key"`
	Repository string        `json:"repository"`
	PC         string        `json:"pc"`
	Stores     []string      `json:"stores"`
	Holders    []holderShort `json:"holders"` // made by init; a PC that joins makes none
}

type holderShort struct {
	ID          string `json:"id"`
	Kind        string `json:"kind"`
	PostQuantum bool   `json:"post_quantum"`
}

func (i initAnswer) text(w io.Writer) {
	fmt.Fprintf(w, "The practice's backup is set up.\n\n")
	fmt.Fprintf(w, "  configuration  %s\n  upload key     %s\n", i.Config, i.UploadKey)
	for _, s := range i.Stores {
		fmt.Fprintf(w, "  store          %s\n", s)
	}
	for _, h := range i.Holders {
		note := ""
		if !h.PostQuantum {
			note = " (a future quantum computer may open it)"
		}
		fmt.Fprintf(w, "  holder         %s%s\n", h.ID, note)
	}
	fmt.Fprintf(w, `
The restore key is not on this computer: only the recovery holders can unlock
it. Without them nobody, the makers of this program included, can restore.

Next:
  1. read the configuration, above all the calendar and the retention
  2. offsite key sheet --to sheet.html    print it, keep it elsewhere, remove the file
  3. offsite run           save the first backup
  4. offsite restore latest --to DIR    see that it comes back
`)
}

func (a *app) initVerb() verb {
	var f initFlags
	return verb{
		use:   "init --source DIR --store ADDRESS [flags]",
		short: "set up a practice, or with --join one more PC of it: keys, stores and a commented configuration",
		long: `Makes the restore key and seals it to the recovery holders, founds every store,
and writes the upload key and the configuration. It replaces nothing that exists.

With --join the stores are the practice's already, and this PC is a further one or
takes the place of a lost one. A recovery holder unlocks the restore key, this PC
gets an upload key of its own, and the owner key enrols it. With the --name that
the lost PC's source had, its days go on; a PC beside others needs its own name.`,
		example: `  offsite init --source /srv/databackup --profile exact --store dir:/mnt/nas/offsite \
    --recovery-passphrase-file passphrase.txt
  offsite init --join --source /srv/databackup --profile exact --store dir:/mnt/nas/offsite \
    --recovery-passphrase-file passphrase.txt`,
		exits: []int{exitDone, exitFailed, exitUsage, exitStore, exitDamaged},
		flags: func(s *pflag.FlagSet) {
			s.StringVar(&f.name, "name", "practice", "the `NAME` of the source in reports")
			s.StringArrayVar(&f.sources, "source", nil, "a `DIR` that the practice system writes its backup to; may be given again")
			s.StringVar(&f.profile, "profile", "generic", "how a finished backup is recognised: `NAME` of a profile")
			s.StringArrayVar(&f.stores, "store", nil, "the `ADDRESS` of a store, such as dir:PATH; may be given again")
			s.StringVar(&f.passphraseFile, "recovery-passphrase-file", "", "a `FILE` with the passphrase of a recovery holder")
			s.StringArrayVar(&f.holders, "holder", nil, "a recovery holder's public `KEY` (age1... or ssh-...); may be given again")
			s.StringVar(&f.country, "country", "GB", "the two-letter `CODE` of the country")
			s.StringVar(&f.zone, "zone", "", "the practice's time `ZONE`; needed where a country has several")
			s.StringVar(&f.with, "with", "", withUsage+": for the keys, which the upload credential should not be able to write")
			s.BoolVar(&f.join, "join", false, "the stores are the practice's already: enrol this PC")
			s.StringVar(&f.restoreKey, "restore-key", "", "with --join, a `FILE` with the restore key")
			s.StringVar(&f.holder, "holder-key", "", "with --join, a `FILE` with a recovery holder's age or ssh key")
		},
		run: func(ctx context.Context, _ []string) (answer, error) {
			switch {
			case f.join && len(f.holders) > 0:
				return nil, wrongUse("--join makes no recovery holders", "afterwards: offsite key holders add")
			case f.join:
				return a.joinPractice(ctx, f)
			case f.restoreKey != "" || f.holder != "":
				return nil, wrongUse("a new practice gets a new restore key", "for one more PC of a practice that has stores add --join")
			}
			return a.initialise(ctx, f)
		},
	}
}

// customs are a country's zone and the usual end of its fiscal year. Countries
// with several zones have none here.
var customs = map[string]struct{ zone, fiscalYearEnd string }{
	"GB": {"Europe/London", "12-31"}, "IE": {"Europe/Dublin", "12-31"}, "NL": {"Europe/Amsterdam", "12-31"},
	"NZ": {"Pacific/Auckland", "03-31"},
	"AU": {"", "06-30"}, "US": {"", "12-31"}, "CA": {"", "12-31"},
}

// plan is init's work, checked before anything is written.
type plan struct {
	config, uploadKey string
	text              []byte
	stores            []config.Store
	holders           []seal.Holder
}

func (a *app) initialise(ctx context.Context, f initFlags) (answer, error) {
	p, err := a.planInit(f)
	if err != nil {
		return nil, err
	}
	// Every store is opened before a key is made, so that a mistyped address
	// leaves nothing behind but perhaps an empty folder.
	var stores []*providers.Store
	for _, s := range p.stores {
		store, err := a.createStore(ctx, s, f.with)
		if err != nil {
			return nil, err
		}
		stores = append(stores, store)
	}
	founding, upload, holders, err := a.makeKeys(p)
	if err != nil {
		return nil, err
	}
	if err := p.writeKey(upload); err != nil {
		return nil, err
	}
	for i, store := range stores {
		if err := manifest.Found(ctx, store, founding); err != nil {
			return nil, errors.Join(p.foundedInPart(i, err), os.Remove(p.uploadKey))
		}
	}
	if err := writeNew(p.config, p.text); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	if f.with != "" {
		a.tryUpload(ctx, p.stores, upload)
	}
	ans := initAnswer{Config: p.config, UploadKey: p.uploadKey, Repository: upload.Repository, PC: upload.PC, Holders: holders}
	for _, s := range p.stores {
		ans.Stores = append(ans.Stores, s.Reference())
	}
	return ans, nil
}

// writeKey writes the upload key. It comes before the stores: a store without its
// key is of no use, a key without a store does no harm.
func (p *plan) writeKey(upload *seal.UploadKey) error {
	text, err := upload.MarshalText()
	if err != nil {
		return err
	}
	defer clear(text)
	if err := os.MkdirAll(filepath.Dir(p.config), 0o755); err != nil {
		return fmt.Errorf("make folder of the configuration: %w", err)
	}
	return seal.WriteKeyFile(p.uploadKey, text)
}

// foundedInPart says what exists after the store i could not be founded. Nothing
// is removed from a store, so a person has to.
func (p *plan) foundedInPart(i int, err error) error {
	exit, _ := judge(err)
	hints := []string{"nothing was written on this PC"}
	if i > 0 {
		var before []string
		for _, s := range p.stores[:i] {
			before = append(before, s.Address.String())
		}
		hints = append(hints, "founded, and without any backup yet: "+strings.Join(before, ", ")+"; go on with that alone by offsite init --join, or empty it and begin again")
	}
	hints = append(hints, p.stores[i].Address.String()+" may hold a part of its keys: empty it before it is used")
	return fail(exit, fmt.Errorf("store %s: %w", p.stores[i].Name, err), hints...)
}

// planInit checks the flags and finds the places.
func (a *app) planInit(f initFlags) (*plan, error) {
	if len(f.sources) == 0 || len(f.stores) == 0 {
		return nil, wrongUse("init needs a source and a store", "give --source DIR and --store ADDRESS", "to read more: offsite init --help")
	}
	file, err := a.configPath()
	if err != nil {
		return nil, err
	}
	p := &plan{config: file, uploadKey: filepath.Join(filepath.Dir(file), "upload.key")}
	for _, name := range []string{p.config, p.uploadKey} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return nil, wrongUse(name+" exists already", "offsite init replaces nothing: name another place with --config FILE")
		}
	}
	v := config.Values{Name: f.name, Profile: f.profile, Country: f.country, Zone: f.zone,
		FiscalYearEnd: "12-31", State: config.DefaultState(a.env, file), UploadKey: p.uploadKey}
	if c, ok := customs[f.country]; ok {
		v.FiscalYearEnd = c.fiscalYearEnd
		if v.Zone == "" {
			v.Zone = c.zone
		}
	}
	if v.Zone == "" {
		return nil, wrongUse("the time zone is not known", "give --zone, such as --zone America/New_York")
	}
	for _, s := range f.sources {
		abs, err := filepath.Abs(s)
		if err != nil {
			return nil, fmt.Errorf("find source: %w", err)
		}
		if info, err := os.Stat(abs); err != nil || !info.IsDir() {
			return nil, wrongUse("the source "+abs+" is not a folder", "name the folder that the practice system writes its backup to")
		}
		v.Folders = append(v.Folders, abs)
	}
	if v.Stores, err = namedStores(f.stores); err != nil {
		return nil, err
	}
	p.stores = v.Stores
	if _, problem := mixed(v.Folders, v.State, addressesOf(v.Stores)); problem != "" {
		return nil, wrongUse(problem, apartHint)
	}
	if p.text, err = config.Render(v); err != nil {
		return nil, err
	}
	if !f.join {
		p.holders, err = a.newHolders(f)
	}
	return p, err
}

// namedStores reads addresses and gives the stores names.
func namedStores(texts []string) ([]config.Store, error) {
	var out []config.Store
	used := map[string]int{}
	for _, text := range texts {
		s, err := storeAt(text)
		if err != nil {
			return nil, err
		}
		s.Name = map[string]string{"dir": "folder", "s3": "s3", "gs": "gcs", "azblob": "azure"}[s.Address.Scheme]
		if used[s.Name]++; used[s.Name] > 1 {
			s.Name = fmt.Sprintf("%s-%d", s.Name, used[s.Name])
		}
		out = append(out, s)
	}
	return out, nil
}

// newHolders prepares the recovery holders, asking for a passphrase when the
// flags name nobody.
func (a *app) newHolders(f initFlags) ([]seal.Holder, error) {
	var out []seal.Holder
	for _, public := range f.holders {
		h, err := seal.RecipientHolder(public, a.askPerson())
		if err != nil {
			return nil, fail(exitUsage, err, "give a public key: age1pq1..., age1... or ssh-ed25519 ...")
		}
		out = append(out, h)
	}
	pass := ""
	var err error
	switch {
	case f.passphraseFile != "":
		pass, err = readPassphrase(f.passphraseFile)
	case len(out) == 0:
		pass, err = a.newPassphrase()
	default:
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	h, err := seal.PassphraseHolder(pass, 0)
	if err != nil {
		return nil, fail(exitUsage, err, "take five or more words that nobody would guess")
	}
	return append(out, h), nil
}

// newPassphrase asks for a passphrase twice.
func (a *app) newPassphrase() (string, error) {
	if _, ok := terminal(a.stdin); !ok || a.yes {
		return "", wrongUse("nobody could unlock the restore key", "give --recovery-passphrase-file FILE or --holder KEY")
	}
	first, err := a.ask("New recovery passphrase: ")
	if err != nil {
		return "", err
	}
	second, err := a.ask("The same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", wrongUse("the two passphrases differ")
	}
	return first, nil
}

// createStore makes or opens the place of a new store. Buckets and containers are
// made by store setup, with another credential.
func (a *app) createStore(ctx context.Context, s config.Store, with string) (*providers.Store, error) {
	if s.Address.Scheme == "dir" {
		_, err := dir.Create(string(s.Address.Path))
		if errors.Is(err, providers.ErrExist) {
			return nil, fail(exitUsage, fmt.Errorf("%s holds other files", s.Address.Path), "name a new or an empty folder")
		}
		if err != nil {
			return nil, fmt.Errorf("store %s: %w", s.Address, err)
		}
	}
	store, err := a.openStoreWith(ctx, s, with)
	if err != nil {
		return nil, err
	}
	switch err := manifest.Vacant(ctx, store); {
	case errors.Is(err, providers.ErrExist):
		return nil, fail(exitUsage, fmt.Errorf("store %s: %w", s.Address, err), "name a new or an empty place; for one more PC of a practice add --join")
	case err != nil:
		return nil, fmt.Errorf("store %s: %w", s.Address, err)
	}
	return store, nil
}

// tryUpload looks whether the upload credential, too, finds what was founded with
// another one.
func (a *app) tryUpload(ctx context.Context, stores []config.Store, upload *seal.UploadKey) {
	for _, s := range stores {
		store, err := a.openStore(ctx, s)
		if err == nil {
			_, err = manifest.OpenHeader(ctx, store, upload.Owner)
		}
		if err != nil {
			a.say("the upload credential of store %s does not work yet: %v", s.Name, err)
		}
	}
}

// makeKeys makes every key of a new practice. The restore key leaves
// this function only sealed; the owner key follows from it.
func (a *app) makeKeys(p *plan) (f manifest.Founding, upload *seal.UploadKey, holders []holderShort, err error) {
	restore, err := seal.NewRestoreKey()
	if err != nil {
		return f, nil, nil, err
	}
	owner := restore.Owner()
	secrets, err := seal.NewSecrets()
	if err != nil {
		return f, nil, nil, err
	}
	upload, err = seal.NewUploadKey(seal.NewID(), seal.NewID(), restore.Recipient(), secrets, owner.Public())
	if err != nil {
		return f, nil, nil, err
	}
	sealed := map[string][]byte{}
	if sealed[manifest.SecretsKey], err = owner.SealSecrets(secrets, upload.Repository, restore.Recipient()); err != nil {
		return f, nil, nil, err
	}
	for _, h := range p.holders {
		file, err := seal.SealToHolder(restore, h)
		if err != nil {
			return f, nil, nil, err
		}
		id := newHolderID(h, file)
		sealed[manifest.HolderKey(id)] = file
		holders = append(holders, holderShort{ID: id, Kind: string(h.Kind), PostQuantum: h.PostQuantum})
	}
	now := manifest.At(a.now())
	return manifest.Founding{
		Header: manifest.Header{
			Format: manifest.FormatVersion, Repository: upload.Repository, Created: now, Owner: manifest.Public(owner.Public()),
			Restore: restore.Recipient(), Naming: manifest.NamingV1, Removable: manifest.Removable,
		},
		Enrolment: enrolment(upload, now),
		Owner:     owner,
		Sealed:    sealed,
	}, upload, holders, nil
}

// enrolment says that the PC of an upload key belongs to the practice. The name of
// the computer helps people to tell which one it is.
func enrolment(upload *seal.UploadKey, now manifest.Time) manifest.Enrolment {
	label, err := os.Hostname()
	if err != nil {
		label = ""
	}
	return manifest.Enrolment{Format: manifest.FormatVersion, Repository: upload.Repository, PC: upload.PC, Label: label,
		Signing: manifest.Public(upload.Public()), Created: now}
}

// writeNew writes a file that must not exist yet.
func writeNew(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
