package s3admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"offsite/providers"
	"offsite/providers/s3/internal/wire"
)

// RuleID names the removal rule. Setup replaces the rule of this name and no other.
const RuleID = "offsite-removal"

const (
	removable  = "r/" // the keys below the store's prefix that the rule covers
	hiddenDays = 1    // from hidden to removed, unless a lease holds; the least that the services take
	abortDays  = 3    // uploads in parts are none of ours; a stranger's rest would cost for ever
)

// rule is the constant removal rule: hide everything after some days, remove what
// is hidden a day later. A version under a lease waits until the lease has lapsed.
func rule(prefix string, hideDays int) types.LifecycleRule {
	return types.LifecycleRule{
		ID: aws.String(RuleID), Status: types.ExpirationStatusEnabled,
		Filter:                         &types.LifecycleRuleFilter{Prefix: aws.String(below(prefix) + removable)},
		Expiration:                     &types.LifecycleExpiration{Days: aws.Int32(int32(hideDays))},
		NoncurrentVersionExpiration:    &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(hiddenDays)},
		AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(abortDays)},
	}
}

// below is a prefix with the slash at its end, or empty.
func below(prefix string) string {
	if prefix == "" {
		return ""
	}
	return prefix + "/"
}

// found reads the rules of the bucket; none is no error.
func (a *Admin) found(ctx context.Context) ([]types.LifecycleRule, error) {
	out, err := a.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: a.bucket})
	if err != nil {
		if wire.Read(err).Code == "NoSuchLifecycleConfiguration" {
			err = nil
		}
		return nil, err
	}
	return out.Rules, nil
}

// rules looks at the removal rule and at everybody else's.
func (a *Admin) rules(ctx context.Context) ([]providers.Setting, error) {
	const name = "removal rule"
	want := rule(a.cfg.Store.Prefix, a.cfg.HideDays)
	found, err := a.found(ctx)
	if unsupported(err) {
		return setting(name, describe(want), "the service has no lifecycle rules", false, "lapsed objects stay until sweep removes them with a credential of its own"), nil
	}
	if err != nil {
		return a.unseen(ctx, name, describe(want), "s3:GetLifecycleConfiguration", err)
	}
	have, right := "none", false
	var eaters []string
	for _, r := range found {
		switch {
		case aws.ToString(r.ID) == RuleID:
			have, right = describe(r), same(r, want)
		case a.eats(r):
			eaters = append(eaters, fmt.Sprintf("%q: %s", aws.ToString(r.ID), describe(r)))
		}
	}
	remedy := again
	if have != "none" && !right {
		remedy = "somebody changed it; find out who, then run store setup with the administrator's credential"
	}
	out := setting(name, describe(want), have, right, remedy)
	told := "none"
	if len(eaters) > 0 {
		told = strings.Join(eaters, "; ")
	}
	return append(out, setting("foreign rules", "none that removes or freezes objects of this store", told, len(eaters) == 0,
		"take these rules away, or limit them to a prefix outside "+a.where())...), nil
}

func (a *Admin) where() string {
	if a.cfg.Store.Prefix == "" {
		return "this bucket: it must be the store's own"
	}
	return below(a.cfg.Store.Prefix)
}

// setRule merges the removal rule with what is there, and sees it there.
func (a *Admin) setRule(ctx context.Context) error {
	want := rule(a.cfg.Store.Prefix, a.cfg.HideDays)
	found, err := a.found(ctx)
	if unsupported(err) {
		return nil // Audit says so
	}
	if err != nil {
		return a.fail(ctx, "look at lifecycle rules", err)
	}
	ours := func(r types.LifecycleRule) bool { return aws.ToString(r.ID) == RuleID }
	if i := slices.IndexFunc(found, ours); i >= 0 && same(found[i], want) {
		return nil
	}
	merged := append(slices.DeleteFunc(found, ours), want)
	_, err = a.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: a.bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: merged}}, a.sums...)
	return a.fail(ctx, "set removal rule", err)
}

// same compares a rule as the service tells it with what it must be.
func same(have, want types.LifecycleRule) bool {
	return have.Status == want.Status && prefixOf(have) == prefixOf(want) && !narrowed(have) && describe(have) == describe(want) &&
		len(have.Transitions) == 0 && len(have.NoncurrentVersionTransitions) == 0
}

// prefixOf finds the prefix wherever a service tells it.
func prefixOf(r types.LifecycleRule) string {
	switch f := r.Filter; {
	case f != nil && f.Prefix != nil:
		return *f.Prefix
	case f != nil && f.And != nil:
		return aws.ToString(f.And.Prefix)
	}
	//lint:ignore SA1019 rules of old times have it there
	return aws.ToString(r.Prefix)
}

// narrowed says that a rule covers only some of the objects below its prefix.
func narrowed(r types.LifecycleRule) bool {
	f := r.Filter
	return f != nil && (f.And != nil || f.Tag != nil || f.ObjectSizeGreaterThan != nil || f.ObjectSizeLessThan != nil)
}

// tagged says that a rule covers only objects with tags, and ours have none.
func tagged(r types.LifecycleRule) bool {
	f := r.Filter
	return f != nil && (f.Tag != nil || f.And != nil && len(f.And.Tags) > 0)
}

// eats says whether a foreign rule could remove or freeze objects of the store.
func (a *Admin) eats(r types.LifecycleRule) bool {
	store, theirs := below(a.cfg.Store.Prefix), prefixOf(r)
	overlap := strings.HasPrefix(store, theirs) || strings.HasPrefix(theirs, store)
	if r.Status != types.ExpirationStatusEnabled || !overlap || tagged(r) {
		return false
	}
	removes := r.Expiration != nil && (r.Expiration.Days != nil || r.Expiration.Date != nil) || r.NoncurrentVersionExpiration != nil
	return removes || len(r.Transitions) > 0 || len(r.NoncurrentVersionTransitions) > 0
}

// describe says what a rule does, always in the same words.
func describe(r types.LifecycleRule) string {
	var does []string
	if e := r.Expiration; e != nil {
		switch {
		case e.Days != nil && *e.Days > 0:
			does = append(does, fmt.Sprintf("hide after %d days", *e.Days))
		case e.Date != nil:
			does = append(does, "hide from "+e.Date.UTC().Format("2006-01-02"))
		}
	}
	if n := r.NoncurrentVersionExpiration; n != nil {
		does = append(does, fmt.Sprintf("remove %d days later", aws.ToInt32(n.NoncurrentDays)))
		if n.NewerNoncurrentVersions != nil && *n.NewerNoncurrentVersions > 0 {
			does = append(does, fmt.Sprintf("but keep %d versions", *n.NewerNoncurrentVersions))
		}
	}
	for _, t := range r.Transitions {
		does = append(does, "move to "+string(t.StorageClass))
	}
	for _, t := range r.NoncurrentVersionTransitions {
		does = append(does, "move hidden ones to "+string(t.StorageClass))
	}
	if m := r.AbortIncompleteMultipartUpload; m != nil {
		does = append(does, fmt.Sprintf("end uploads in parts after %d days", aws.ToInt32(m.DaysAfterInitiation)))
	}
	if r.Status != types.ExpirationStatusEnabled {
		does = append(does, "switched off")
	}
	return fmt.Sprintf("below %q: %s", prefixOf(r), strings.Join(does, ", "))
}
