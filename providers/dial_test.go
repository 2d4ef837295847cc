package providers_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"offsite/providers"
)

func TestALineThatWentAwayIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := providers.Watched(near, time.Minute)
		defer c.Close()
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// TestASlowLineIsNot: while bytes are sent, the one who waits for the answer is not
// told that the line is gone.
func TestASlowLineIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := providers.Watched(near, time.Minute)
		answer := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			answer <- err
		}()
		go func() { // a byte every 50 seconds, and an answer at the end
			b := make([]byte, 1)
			for range 10 {
				time.Sleep(50 * time.Second)
				if _, err := io.ReadFull(far, b); err != nil {
					t.Error(err)
				}
			}
			if _, err := far.Write(b); err != nil {
				t.Error(err)
			}
		}()
		for range 10 {
			if _, err := c.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
		c.Close()
		far.Close()
	})
}
