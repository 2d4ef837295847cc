// Package azureadmin sets a storage account and its container up so that leases
// hold, compares them with what they must be, prints the least rights that each role
// needs, and tries with the upload credential what a thief would.
//
// It promises to keep what others put there: rules of other people stay in the
// account's management policy, and where writing it back would lose a part of them
// that this program does not know, nothing is written. It removes no object, makes no
// lease or policy shorter, and locks nothing unless told to. It refuses to work with an
// account's key or a SAS: the management plane knows sign-ins only.
//
// The nightly driver is package azure, which has no code for any of this.
package azureadmin

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"

	"offsite/providers"
	"offsite/providers/azure"
	"offsite/providers/azure/internal/wire"
)

const (
	day = 24 * time.Hour

	defaultFloor = 14 * day // a manager that is away for a week's holiday is back by then

	publicManagement = "https://management.azure.com"

	// softDeleteDays is how long what was removed by mistake, or because somebody
	// switched access tracking off, can be brought back.
	softDeleteDays = 30
)

// Config says which account and container, and what they must be.
type Config struct {
	// Store is the container, with the administrator's credential: Token, or none for
	// azidentity's default chain. Its Leases decide what is set up: LeaseManaged and
	// LeaseManager mean version-level immutability, LeaseLastAccess a rule by last
	// access, LeaseNone no rule at all.
	Store azure.Config

	Subscription  string
	ResourceGroup string // it must exist
	Location      string // where the account is made if it is missing; empty: it must exist
	Management    string // address of the management plane; empty: the public cloud's

	Floor time.Duration // LeaseManaged: what new objects are kept for; 0: 14 days
	Max   time.Duration // the longest lease that will be wanted; 0: not compared
	Lock  bool          // LeaseManaged: lock the default policy, which nobody can undo
}

// Admin is an account in the hands of an administrator; see providers.Admin. Each
// call of its methods makes each request once.
type Admin struct {
	cfg        Config
	accounts   *armstorage.AccountsClient
	services   *armstorage.BlobServicesClient
	containers *armstorage.BlobContainersClient
	rules      *armstorage.ManagementPoliciesClient
	tasks      *armstorage.TaskAssignmentsClient
}

var _ providers.Admin = (*Admin)(nil)

// Open makes an Admin. It sends nothing.
func Open(ctx context.Context, cfg Config) (*Admin, error) {
	if cfg.Floor == 0 {
		cfg.Floor = defaultFloor
	}
	if err := cfg.check(); err != nil {
		return nil, fail("open", providers.ErrInvalid, err)
	}
	store := cfg.Store
	store.Leases, store.Versions = azure.LeaseNone, false // what the driver needs of them is not at issue
	if _, err := azure.Open(ctx, store); err != nil {
		return nil, err
	}
	if cfg.Management == "" {
		cfg.Management = publicManagement
	}
	if _, err := wire.Endpoint(cfg.Management); err != nil {
		return nil, fail("open", providers.ErrInvalid, err)
	}
	line := wire.Line{Proxy: cfg.Store.Proxy, CAFile: cfg.Store.CAFile, UserAgent: cfg.Store.UserAgent}
	options, err := line.Options(cfg.Management)
	if err != nil {
		return nil, fail("open", providers.ErrInvalid, err)
	}
	tokens, err := wire.Credential(cfg.Store.Token, options)
	if err != nil {
		return nil, err
	}
	options.Cloud = cloud.Configuration{
		ActiveDirectoryAuthorityHost: cloud.AzurePublic.ActiveDirectoryAuthorityHost,
		Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: cfg.Management, Audience: cfg.Management}},
	}
	clients, err := armstorage.NewClientFactory(cfg.Subscription, tokens, &arm.ClientOptions{ClientOptions: options, DisableRPRegistration: true})
	if err != nil {
		return nil, fail("open", providers.ErrInvalid, wire.Cause(err))
	}
	return &Admin{cfg: cfg, accounts: clients.NewAccountsClient(), services: clients.NewBlobServicesClient(),
		containers: clients.NewBlobContainersClient(), rules: clients.NewManagementPoliciesClient(), tasks: clients.NewTaskAssignmentsClient()}, nil
}

func (c Config) check() error {
	switch {
	case c.Store.SharedKey != "" || c.Store.SAS != "":
		return errors.New("an administrator signs in; neither an account's key nor a SAS will do")
	case !plain(c.Subscription) || !plain(c.ResourceGroup):
		return errors.New("the subscription and the resource group are needed")
	case c.Floor < day:
		return errors.New("the floor is at least a day")
	case c.Max < 0 || c.worm() && c.Max > 0 && c.Max < c.Floor:
		return errors.New("the longest lease is shorter than the floor")
	case c.Store.Leases == azure.LeaseLastAccess && c.Store.KeepDays < 2:
		return errors.New("leases by last access need the days of the rule, at least 2")
	}
	return nil
}

// plain says whether a name can stand in a path.
func plain(name string) bool {
	if name == "" || len(name) > 90 {
		return false
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return true
}

// worm says whether leases are kept by version-level immutability.
func (c Config) worm() bool {
	return c.Store.Leases == azure.LeaseManaged || c.Store.Leases == azure.LeaseManager
}

// floorDays are the days of the container's default policy.
func (c Config) floorDays() int32 { return int32(math.Ceil(float64(c.Floor) / float64(day))) }

// place is the container and the prefix, as rules name them.
func (c Config) place() string {
	if c.Store.Prefix == "" {
		return c.Store.Container + "/"
	}
	return c.Store.Container + "/" + c.Store.Prefix + "/"
}

// Audit compares the account and the container with what they must be; see
// providers.Admin.
func (a *Admin) Audit(ctx context.Context) ([]providers.Setting, error) {
	s, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	return a.cfg.compare(s), nil
}
