//go:build unix && !linux

package source

import "context"

// writers cannot tell: these systems show the open files of other programs to
// nobody without a helper of their own. Settling then rests on the rest.
func (f *finder) writers(context.Context, Set) (open int, sure bool) { return 0, false }

// stale returns what a listing shows as it was although it is no longer so. A
// listing here never does.
func (s Set) stale(context.Context) []Change { return nil }
