package pace_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"offsite/providers/pace"
)

func TestTimetables(t *testing.T) {
	at := func(day, hour, minute int) time.Time {
		return time.Date(2026, 11, 22+day, hour, minute, 0, 0, time.UTC)
	} // a Sunday
	for _, c := range []struct {
		text string
		at   time.Time
		want int64
	}{
		{"2Mbit/s", at(0, 12, 0), 250_000},
		{"unlimited", at(0, 12, 0), pace.Unlimited},
		{"Mon-Fri 08:00-18:30 2Mbit/s, else unlimited", at(1, 8, 0), 250_000},
		{"Mon-Fri 08:00-18:30 2Mbit/s, else unlimited", at(1, 7, 59), pace.Unlimited},
		{"Mon-Fri 08:00-18:30 2Mbit/s, else unlimited", at(1, 18, 30), pace.Unlimited},
		{"Mon-Fri 08:00-18:30 2Mbit/s, else unlimited", at(0, 12, 0), pace.Unlimited},
		{"Fri-Mon 08:00-18:30 1.5 Mbit/s, else 10Mbit/s", at(0, 12, 0), 187_500},
		{"Fri-Mon 08:00-18:30 1.5 Mbit/s, else 10Mbit/s", at(3, 12, 0), 1_250_000},
		{"Sat 22:00-06:00 500kbit/s, else 1Gbit/s", at(0, 5, 59), 62_500},
		{"Sat 22:00-06:00 500kbit/s, else 1Gbit/s", at(-1, 5, 59), 125_000_000},
		{"12:00-13:00 unlimited, daily 00:00-24:00 1Mbit/s, else 2Mbit/s", at(2, 12, 30), pace.Unlimited},
		{"12:00-13:00 unlimited, daily 00:00-24:00 1Mbit/s, else 2Mbit/s", at(2, 23, 59), 125_000},
	} {
		table, err := pace.Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := table.Rate(c.at); got != c.want {
			t.Errorf("%s at %v: %d, want %d", c.text, c.at, got, c.want)
		}
	}
}

func TestWrongTimetablesAreExplained(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "no rate",
		"fast":                        "no rate",
		"2MB/s":                       "no rate",
		"1kbit/s":                     "too slow",
		"Mon-Fri 08:00-18:30 2Mbit/s": "otherwise",
		"Mon-Fry 08:00-18:30 2Mbit/s, else 2Mbit/s": "no day",
		"Mon 08:00-25:00 2Mbit/s, else 2Mbit/s":     "no time of day",
		"Mon 08:00-08:00 2Mbit/s, else 2Mbit/s":     "no length",
		"else 2Mbit/s, Mon 08:00-09:00 1Mbit/s":     "put it last",
		"Mon 2Mbit/s, else 2Mbit/s":                 "no rule",
	} {
		if _, err := pace.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestSlowestRate(t *testing.T) {
	for text, want := range map[string]int64{"unlimited": 0, "2Mbit/s": 250_000, "Mon 08:00-09:00 1Mbit/s, else unlimited": 125_000, "Mon 08:00-09:00 unlimited, else 1Mbit/s": 125_000} {
		table, err := pace.Parse(text)
		if err != nil || table.Slowest() != want {
			t.Errorf("%s: %v, %v", text, table, err)
		}
	}
}

// sink is the far end of connections: it takes everything at once.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }
func (sink) Close() error                { return nil }

func TestConnectionsShareTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, err := pace.Parse("2Mbit/s")
		if err != nil {
			t.Fatal(err)
		}
		l := pace.NewLimiter(table.Rate, time.Now)
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				c := l.Conn(sink{})
				if n, err := c.Write(make([]byte, 5_000_000)); n != 5_000_000 || err != nil {
					t.Error(n, err)
				}
			})
		}
		wg.Wait()
		// 15 MB at 250 kB/s are a minute.
		if took := time.Since(start); took < 59*time.Second || took > 61*time.Second {
			t.Errorf("15 MB at 2 Mbit/s took %v", took)
		}
	})
}

func TestTheRateOfTheMomentCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it begins at midnight UTC, a Saturday
		table, err := pace.Parse("00:00-00:01 1Mbit/s, else 8Mbit/s")
		if err != nil {
			t.Fatal(err)
		}
		l := pace.NewLimiter(func(at time.Time) int64 { return table.Rate(at.UTC()) }, time.Now)
		c := l.Conn(sink{})
		start := time.Now()
		if _, err := c.Write(make([]byte, 60*125_000+10*1_000_000)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 68*time.Second || took > 72*time.Second {
			t.Errorf("a minute at 1 Mbit/s and ten seconds at 8 took %v", took)
		}
	})
}

func TestClosingEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pace.NewLimiter(func(time.Time) int64 { return pace.MinRate }, time.Now)
		c := l.Conn(sink{})
		done := make(chan error)
		go func() { _, err := io.Copy(c, strings.NewReader(strings.Repeat("x", 10<<20))); done <- err }()
		time.Sleep(10 * time.Second)
		c.Close()
		if err := <-done; err == nil {
			t.Error("a closed connection took ten megabytes")
		}
		c.Close()
	})
}
