//go:build !linux

package restore

// flushPart is nil: other systems have no call that writes a part of a file to the disk
// and can be waited for apart.
var flushPart flushFunc
