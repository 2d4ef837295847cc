package providers

import (
	"context"
	"net"
)

// Dial is how drivers connect: by d, each connection wrapped by wrap unless that is
// nil.
func Dial(d *net.Dialer, wrap func(net.Conn) net.Conn) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, address)
		if err != nil || wrap == nil {
			return c, err
		}
		return wrap(c), nil
	}
}
