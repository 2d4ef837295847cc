package azureadmin

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"

	"offsite/providers"
)

// seen is one resource as it is now, or why it is not known.
type seen[T any] struct {
	v      T
	absent bool
	unseen bool // the credential may not look
}

// there says whether the resource could be looked at and exists.
func (s seen[T]) there() bool { return !s.absent && !s.unseen }

func see[T any](ctx context.Context, op string, get func() (T, error)) (seen[T], error) {
	v, err := get()
	if err == nil {
		return seen[T]{v: v}, nil
	}
	err = failure(ctx, op, false, err)
	switch {
	case errors.Is(err, providers.ErrNotExist):
		return seen[T]{absent: true}, nil
	case errors.Is(err, providers.ErrDenied) && !unauthenticated(err):
		return seen[T]{unseen: true}, nil
	}
	return seen[T]{}, err
}

// unauthenticated tells "who are you" from "you may not".
func unauthenticated(err error) bool {
	var e *providers.Error
	return errors.As(err, &e) && e.Status != http.StatusForbidden
}

// state is everything that Audit compares.
type state struct {
	account   seen[armstorage.Account]
	service   seen[armstorage.BlobServicePropertiesProperties]
	container seen[armstorage.ContainerProperties]
	standard  seen[standard]
	rules     seen[ruleSet]
	tasks     seen[[]string] // names of those that are enabled
}

// standard is the policy that new versions inherit.
type standard struct {
	days   int32
	locked bool
	etag   string
}

// ruleSet is the account's management policy.
type ruleSet struct {
	rules []*armstorage.ManagementPolicyRule
	// part says that the service told more of the rules than this program knows.
	part bool
}

// look asks for everything.
func (a *Admin) look(ctx context.Context) (s state, err error) {
	if s.account, err = a.lookAccount(ctx); err != nil || s.account.absent {
		s.service.absent, s.container.absent, s.standard.absent, s.rules.absent, s.tasks.absent = true, true, true, true, true
		return s, err
	}
	if s.service, err = a.lookService(ctx); err != nil {
		return s, err
	}
	if s.container, err = a.lookContainer(ctx); err != nil {
		return s, err
	}
	if s.standard, err = a.lookStandard(ctx); err != nil {
		return s, err
	}
	if s.rules, err = a.lookRules(ctx); err != nil {
		return s, err
	}
	s.tasks, err = a.lookTasks(ctx)
	return s, err
}

func (a *Admin) lookAccount(ctx context.Context) (seen[armstorage.Account], error) {
	return see(ctx, "look at account", func() (armstorage.Account, error) {
		resp, err := a.accounts.GetProperties(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, nil)
		if err == nil && resp.Properties == nil {
			resp.Properties = &armstorage.AccountProperties{}
		}
		return resp.Account, err
	})
}

func (a *Admin) lookService(ctx context.Context) (seen[armstorage.BlobServicePropertiesProperties], error) {
	return see(ctx, "look at blob service", func() (armstorage.BlobServicePropertiesProperties, error) {
		resp, err := a.services.GetServiceProperties(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, nil)
		if err != nil || resp.BlobServiceProperties.BlobServiceProperties == nil {
			return armstorage.BlobServicePropertiesProperties{}, err
		}
		return *resp.BlobServiceProperties.BlobServiceProperties, nil
	})
}

func (a *Admin) lookContainer(ctx context.Context) (seen[armstorage.ContainerProperties], error) {
	return see(ctx, "look at container", func() (armstorage.ContainerProperties, error) {
		resp, err := a.containers.Get(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, a.cfg.Store.Container, nil)
		if err != nil || resp.ContainerProperties == nil {
			return armstorage.ContainerProperties{}, err
		}
		return *resp.ContainerProperties, nil
	})
}

// lookStandard asks for the default policy. A service that answers with a policy of no
// days has none.
func (a *Admin) lookStandard(ctx context.Context) (seen[standard], error) {
	s, err := see(ctx, "look at default policy", func() (standard, error) {
		resp, err := a.containers.GetImmutabilityPolicy(ctx, a.cfg.ResourceGroup, a.cfg.Store.Account, a.cfg.Store.Container, nil)
		if err != nil || resp.Properties == nil {
			return standard{}, err
		}
		p := resp.Properties
		out := standard{days: value(p.ImmutabilityPeriodSinceCreationInDays), etag: value(resp.ImmutabilityPolicy.Etag)}
		if out.etag == "" {
			out.etag = value(resp.ETag)
		}
		out.locked = p.State != nil && *p.State == armstorage.ImmutabilityPolicyStateLocked
		return out, nil
	})
	if s.there() && s.v.days == 0 {
		s.absent = true
	}
	return s, err
}

func (a *Admin) lookRules(ctx context.Context) (seen[ruleSet], error) {
	return see(ctx, "look at rules", func() (ruleSet, error) {
		var raw *http.Response
		resp, err := a.rules.Get(policy.WithCaptureResponse(ctx, &raw), a.cfg.ResourceGroup, a.cfg.Store.Account, armstorage.ManagementPolicyNameDefault, nil)
		if err != nil || resp.Properties == nil || resp.Properties.Policy == nil {
			return ruleSet{}, err
		}
		text, err := runtime.Payload(raw)
		if err != nil {
			return ruleSet{}, err
		}
		return ruleSet{rules: resp.Properties.Policy.Rules, part: loses(text, resp.Properties.Policy)}, nil
	})
}

// mostTasks bounds what is asked for: an account with more assignments than that is
// not a dedicated one.
const mostTasks = 1000

// lookTasks asks for the storage tasks that run on the account. Where the service does
// not have them it calls the question wrong.
func (a *Admin) lookTasks(ctx context.Context) (seen[[]string], error) {
	s, err := see(ctx, "look at storage tasks", func() ([]string, error) {
		var names []string
		pager := a.tasks.NewListPager(a.cfg.ResourceGroup, a.cfg.Store.Account, nil)
		for pager.More() && len(names) < mostTasks {
			page, err := pager.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, t := range page.Value {
				if t != nil && t.Properties != nil && value(t.Properties.Enabled) {
					names = append(names, value(t.Name))
				}
			}
		}
		return names, nil
	})
	if errors.Is(err, providers.ErrInvalid) {
		return seen[[]string]{unseen: true}, nil
	}
	return s, err
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func ptr[T any](v T) *T { return &v }
