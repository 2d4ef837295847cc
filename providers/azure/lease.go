package azure

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"offsite/providers"
	"offsite/providers/azure/internal/wire"
)

// accessGrain is how seldom the service notes a read: the first in 24 hours.
const accessGrain = 24 * time.Hour

// keepFor is how long a read surely keeps an object under a rule of so many days.
func keepFor(days int) time.Duration { return time.Duration(days)*24*time.Hour - accessGrain }

// locked is the end of a locked policy, zero without one. An unlocked one is no promise: whoever may
// set it may take it away.
func locked(mode *blob.ImmutabilityPolicyMode, until *time.Time) time.Time {
	if mode == nil || until == nil || !strings.EqualFold(string(*mode), string(blob.ImmutabilityPolicyModeLocked)) {
		return time.Time{}
	}
	return until.UTC()
}

// shortestPolicy is a little more than the day that Azure names as the shortest
// retention. That is said of policies in days; whether it holds for a time too is
// not, so shorter leases are made that long.
const shortestPolicy = 24*time.Hour + time.Minute

// policyUntil is a time that the service can keep and that is not before until: not
// too near, in whole seconds.
func policyUntil(now, until time.Time) time.Time {
	if soonest := now.Add(shortestPolicy); until.Before(soonest) {
		until = soonest
	}
	if cut := until.Truncate(time.Second); !cut.Equal(until) {
		until = cut.Add(time.Second)
	}
	return until.UTC()
}

// leaseAtPut adds the lease to a write, as far as this handle sets leases.
func (d *Driver) leaseAtPut(ctx context.Context, key string, until time.Time, options *blockblob.UploadOptions) error {
	if until.IsZero() || d.mode == LeaseNone || d.mode == LeaseManaged {
		return nil
	}
	// A manager seldom writes, and its policies need the right time. An old one can
	// only refuse too much of what the rule by last access keeps.
	now := d.now()
	if d.mode == LeaseManager || d.reach("put", key, now, until) != nil {
		var err error
		if now, err = d.Time(ctx); err != nil {
			return err
		}
	}
	if err := d.reach("put", key, now, until); err != nil {
		return err
	}
	// A policy that is over already would be refused, and keeps nothing.
	if d.mode == LeaseManager && until.After(now) {
		options.ImmutabilityPolicyMode = ptr(blob.ImmutabilityPolicySettingLocked)
		options.ImmutabilityPolicyExpiryTime = ptr(policyUntil(now, until))
	}
	return nil
}

// reach refuses a lease that must not, or cannot, be given.
func (d *Driver) reach(op, key string, now, until time.Time) error {
	switch {
	case d.mode == LeaseManager && until.After(now.Add(d.maxLease)):
		return fail(op, key, providers.ErrDenied, errors.New("lease is longer than the longest that is configured"))
	case d.mode == LeaseLastAccess && until.After(now.Add(d.keep)):
		return fail(op, key, providers.ErrDenied, errors.New("the rule by last access does not keep anything that long"))
	}
	return nil
}

// manager is a driver that raises leases by version-level immutability.
type manager struct{ *Driver }

// Raise locks the version until a later time; see providers.Leaser. It looks first:
// a policy that is long enough is left alone, one request less, and an unlocked one,
// which the default of a container may be, is not made shorter.
func (m *manager) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	obj, unlocked, err := m.look(ctx, "raise", key, v)
	if err != nil {
		return err
	}
	if !obj.Lease.Before(until) {
		return nil
	}
	now := m.now()
	if err := m.reach("raise", key, now, until); err != nil {
		return err
	}
	if !until.After(now) {
		return nil // over already: nothing to keep, and the service takes no past date
	}
	if longest := now.Add(m.maxLease); unlocked.After(longest) {
		unlocked = longest
	}
	if unlocked.After(until) {
		until = unlocked
	}
	client := m.client.NewBlobClient(m.prefix + key)
	if isVersionID(obj.Version) {
		if client, err = client.WithVersionID(string(obj.Version)); err != nil {
			return fail("raise", key, providers.ErrInvalid, wire.Cause(err))
		}
	}
	_, err = client.SetImmutabilityPolicy(ctx, policyUntil(now, until), &blob.SetImmutabilityPolicyOptions{
		Mode: ptr(blob.ImmutabilityPolicySettingLocked), // the default is Unlocked
	})
	if err == nil {
		return nil
	}
	err = m.failure(ctx, "raise", raise, key, err)
	if !refused(err) {
		return err
	}
	// Somebody may have raised it further in between; that is success too.
	if obj, _, lookErr := m.look(ctx, "raise", key, obj.Version); lookErr == nil && !obj.Lease.Before(until) {
		return nil
	}
	return err
}

// refused tells a decision of the service from trouble on the way.
func refused(err error) bool {
	var e *providers.Error
	return errors.As(err, &e) && e.Status >= 400 && e.Status < 500
}

// lastAccess is a driver that raises leases by reading.
type lastAccess struct{ *Driver }

// Raise reads one byte of the version; see LeaseLastAccess for what that means.
func (l *lastAccess) Raise(ctx context.Context, key string, v providers.Version, until time.Time) error {
	if err := begin(ctx, "raise", key); err != nil {
		return err
	}
	err := l.touch(ctx, key, v, 1)
	if errors.Is(err, providers.ErrRange) { // no byte to read; reading nothing counts
		err = l.touch(ctx, key, v, 0)
	}
	if err != nil {
		return err
	}
	return l.reach("raise", key, l.now(), until)
}

func (l *lastAccess) touch(ctx context.Context, key string, v providers.Version, n int64) error {
	client, conditions, err := l.pin(key, v)
	if err != nil {
		return fail("raise", key, providers.ErrInvalid, wire.Cause(err))
	}
	resp, err := client.DownloadStream(ctx, &blob.DownloadStreamOptions{
		Range: blob.HTTPRange{Count: n}, AccessConditions: conditions,
	})
	if err != nil {
		return l.failure(ctx, "raise", read, key, err)
	}
	resp.Body.Close()
	return checkVersion("raise", key, v, resp.VersionID, resp.ETag)
}
