package azureadmin

import (
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"

	"offsite/providers"
	"offsite/providers/azure"
)

const (
	bySetup = "offsite store setup"
	missing = "missing"
)

// sheet collects settings.
type sheet []providers.Setting

// note adds one setting. have is what there is; right whether it will do.
func (s *sheet) note(unseen bool, name, want, have string, right bool, remedy string) {
	set := providers.Setting{Name: name, Want: want, Have: have, State: providers.StateRight}
	switch {
	case unseen:
		set.Have, set.State, set.Remedy = "", providers.StateUnseen, "look with the administrator's role (offsite store policy --for admin)"
	case !right:
		set.State, set.Remedy = providers.StateWrong, remedy
	}
	*s = append(*s, set)
}

// compare says how everything stands.
func (c Config) compare(s state) []providers.Setting {
	var out sheet
	c.compareAccount(&out, s)
	c.compareService(&out, s)
	c.compareContainer(&out, s)
	c.compareRules(&out, s)
	return out
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (c Config) compareAccount(out *sheet, s state) {
	unseen, there := s.account.unseen, s.account.there()
	have := missing
	if there {
		have = string(value(s.account.v.Kind))
	}
	remedy := bySetup + ", with a location"
	out.note(unseen, "account", "StorageV2", have, there && (value(s.account.v.Kind) == armstorage.KindStorageV2 || value(s.account.v.Kind) == armstorage.KindBlockBlobStorage), remedy)
	var p armstorage.AccountProperties
	if there {
		p = *s.account.v.Properties
	}
	out.note(unseen, "hierarchical namespace", "off", onOff(value(p.IsHnsEnabled)), there && !value(p.IsHnsEnabled),
		"make another account: this cannot be switched off, and such accounts have neither versions nor immutability by version")
	public := p.AllowBlobPublicAccess == nil || *p.AllowBlobPublicAccess // the service's own default was to allow it
	out.note(unseen, "public access", "off", onOff(public), there && !public, bySetup)
	tls := value(p.MinimumTLSVersion)
	secure := p.EnableHTTPSTrafficOnly == nil || *p.EnableHTTPSTrafficOnly
	out.note(unseen, "encrypted connections", "HTTPS only, TLS 1.2", fmt.Sprintf("HTTPS only %s, %s", onOff(secure), orNone(string(tls))),
		there && secure && (tls == armstorage.MinimumTLSVersionTLS12 || tls == armstorage.MinimumTLSVersionTLS13), bySetup)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (c Config) compareService(out *sheet, s state) {
	unseen, p := s.service.unseen, s.service.v
	soft := func(name string, r *armstorage.DeleteRetentionPolicy) {
		days := int32(0)
		if r != nil && value(r.Enabled) {
			days = value(r.Days)
		}
		out.note(unseen, name, fmt.Sprintf("%d days or more", softDeleteDays), fmt.Sprintf("%d days", days), days >= softDeleteDays, bySetup)
	}
	soft("soft deletion", p.DeleteRetentionPolicy)
	soft("soft deletion of containers", p.ContainerDeleteRetentionPolicy)
	permanent := p.DeleteRetentionPolicy != nil && value(p.DeleteRetentionPolicy.AllowPermanentDelete)
	out.note(unseen, "permanent deletion", "off", onOff(permanent), s.service.there() && !permanent, bySetup)
	switch {
	case c.worm():
		out.note(unseen, "versioning", "on", onOff(value(p.IsVersioningEnabled)), value(p.IsVersioningEnabled), bySetup)
	case c.Store.Leases == azure.LeaseLastAccess:
		on := p.LastAccessTimeTrackingPolicy != nil && value(p.LastAccessTimeTrackingPolicy.Enable)
		out.note(unseen, "tracking of the last access", "on", onOff(on), on,
			bySetup+", at once: while it is off the rule counts from the day on which it was switched on")
	}
}

func (c Config) compareContainer(out *sheet, s state) {
	unseen, there, p := s.container.unseen, s.container.there(), s.container.v
	have := missing
	if there {
		have = "there"
	}
	out.note(unseen, "container", "there", have, there, bySetup)
	access := value(p.PublicAccess)
	out.note(unseen, "public access to the container", "none", orNone(strings.ToLower(string(access))),
		there && (access == "" || access == armstorage.PublicAccessNone), bySetup)
	if !c.worm() {
		return
	}
	worm := p.ImmutableStorageWithVersioning != nil && value(p.ImmutableStorageWithVersioning.Enabled)
	account := s.account.there() && s.account.v.Properties.ImmutableStorageWithVersioning != nil && value(s.account.v.Properties.ImmutableStorageWithVersioning.Enabled)
	out.note(unseen, "immutability by version", "on", onOff(worm || account), worm || account,
		"use a new container, or migrate this one for good: az storage container-rm migrate-vlw")
	days, kept := s.standard.v.days, "none"
	if s.standard.there() {
		kept = fmt.Sprintf("%d days", days)
	}
	want := fmt.Sprintf("%d days or more", c.floorDays())
	right := s.standard.there() && days >= c.floorDays()
	remedy := bySetup
	if longest := int32(c.Max / day); c.Max > 0 {
		want = fmt.Sprintf("%d to %d days", c.floorDays(), longest)
		if right && days > longest {
			right, remedy = false, "every object is kept longer than the longest class; make the policy shorter unless it is locked"
		}
	}
	out.note(s.standard.unseen, "default retention", want, kept, right, remedy)
	if c.Lock {
		state := "unlocked"
		if s.standard.v.locked {
			state = "locked"
		}
		out.note(s.standard.unseen, "lock of the default retention", "locked", state, s.standard.v.locked, bySetup+" with the lock asked for; nobody can undo it")
	}
}

func (c Config) compareRules(out *sheet, s state) {
	want := c.removal()
	have := c.own(s.rules.v.rules)
	if want != nil {
		out.note(s.rules.unseen, "removal rule", describe(want), describe(have), have != nil && same(have, want), bySetup)
	}
	if c.Store.Leases == azure.LeaseLastAccess && c.Max > 0 {
		keeps := time.Duration(c.Store.KeepDays-1) * day // the service notes one read a day
		out.note(false, "reach of the rule", fmt.Sprintf("%d days or more", int(c.Max/day)), fmt.Sprintf("%d days", int(keeps/day)), keeps >= c.Max,
			"keep by last access no longer than the rule says: shorten the classes, or set more days")
	}
	var harm []string
	for _, r := range s.rules.v.rules {
		if h := c.harmful(r); h != "" {
			harm = append(harm, h)
		}
	}
	out.note(s.rules.unseen, "rules of others", "none that delete or archive here", orNone(strings.Join(harm, ", ")), len(harm) == 0,
		"restrict these rules to other containers, or use an account of its own")
	out.note(s.tasks.unseen, "storage tasks", "none", orNone(strings.Join(s.tasks.v, ", ")), len(s.tasks.v) == 0,
		"make sure that none of these tasks touches the container, or use an account of its own")
}
