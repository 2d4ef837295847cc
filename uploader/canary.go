package uploader

import (
	"context"

	"offsite/manifest"
)

// leaveCanaries leaves the two objects whose fate shows whether the store keeps and
// removes as it must. A day is not held up by them.
func (r *run) leaveCanaries(ctx context.Context, t *target) {
	if t.out.Load() {
		return
	}
	if err := manifest.LeaveCanaries(ctx, t.store, r.cfg.Source, t.nextSeq, t.now); err != nil {
		t.log.Warn("canaries were not left; store check will miss them", "store", t.name, "err", err)
	}
}
