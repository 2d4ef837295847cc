package retention_test

import (
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no zones

	"offsite/retention"
)

func date(t testing.TB, s string) retention.Date {
	t.Helper()
	d, err := retention.ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func calendar(t testing.TB, region, zone string) *retention.Calendar {
	t.Helper()
	c, err := retention.NewCalendar(retention.Settings{Region: region, Zone: zone, CutOff: retention.DefaultCutOff})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// at reads a moment in the practice's zone.
func at(t testing.TB, c *retention.Calendar, s string) time.Time {
	t.Helper()
	m, err := time.ParseInLocation("2006-01-02 15:04", s, c.Zone())
	if err != nil {
		t.Fatal(err)
	}
	return m
}
