// Command practice writes a made-up practice's databackup folder, or takes one that it wrote to a later day.
//
//	practice -dir ./databackup -size 2GiB -seed 1 -day 3
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"offsite/examples/practice"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("practice", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o practice.Options
	flags.StringVar(&o.Dir, "dir", "databackup", "the databackup folder; made when missing")
	size := flags.String("size", "256MiB", "size of the folder on day 0: bytes, or with KiB, MiB, GiB")
	flags.Uint64Var(&o.Seed, "seed", 1, "another seed, another practice")
	flags.IntVar(&o.Day, "day", 0, "the business day to reach")
	flags.IntVar(&o.Workers, "workers", 0, "0 means one for each processor")
	ideal := flags.Bool("ideal", false, "also compress what each day changed and print the sum")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return 2
	}
	n, err := parseSize(*size)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	o.Size = n
	start := time.Now()
	reports, err := practice.Generate(ctx, o)
	took := time.Since(start)
	var bytes int64
	for _, r := range reports {
		bytes += r.NewBytes + r.PageBytes
		fmt.Fprintf(stdout, "day %d %s: %d new files, %d bytes; %d pages changed, %d added, %d bytes\n",
			r.Day, r.Date.Format(time.DateOnly), r.NewFiles, r.NewBytes, r.ChangedPages, r.AppendedPages, r.PageBytes)
	}
	if *ideal && err == nil && len(reports) > 0 {
		// Only the last day's pages still stand as that day left them.
		last := reports[len(reports)-1]
		var s practice.IdealSize
		if s, err = practice.Ideal(ctx, o.Dir, last); err == nil {
			fmt.Fprintf(stdout, "day %d ideal: %d bytes (files %d, pages %d, log %d)\n", last.Day, s.Total(), s.Files, s.Pages, s.Log)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintf(stderr, "%d bytes in %v, %.0f MB/s\n", bytes, took.Round(time.Millisecond), float64(bytes)/1e6/max(took.Seconds(), 1e-9))
	return 0
}

func parseSize(s string) (int64, error) {
	number, shift := s, 0
	for _, unit := range []struct {
		suffix string
		shift  int
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}} {
		if rest, ok := strings.CutSuffix(s, unit.suffix); ok {
			number, shift = rest, unit.shift
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("read size %q: want a number of bytes, or one with KiB, MiB or GiB", s)
	}
	return n << shift, nil
}
