// Command benchdetect measures how well the checks tell a good backup from a bad
// one: it lives a practice's year for each layout of backups, damages the set of
// some days in every way that is known, and counts what was missed and what was
// blamed without reason, per 1,000 days.
//
// The content is that of examples/practice; with -corpus, real files from the
// folders that are named stand beside it and arrive day by day. Nothing outside of
// one temporary folder is written. The same seed gives the same year.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	b := &bench{out: os.Stdout, now: time.Now}
	var layouts, corpus string
	flag.IntVar(&b.days, "days", 250, "open days of the year")
	flag.Int64Var(&b.mib, "mib", 12, "size of the made-up practice in MiB")
	flag.Uint64Var(&b.seed, "seed", 1, "another seed, another year")
	flag.IntVar(&b.every, "every", 10, "each kind of damage is done every so many days")
	flag.StringVar(&layouts, "layouts", "", "some of "+strings.Join(layoutNames(), ",")+" (default: all)")
	flag.StringVar(&corpus, "corpus", "", "folders with real files, separated by commas")
	flag.StringVar(&b.parent, "dir", "", "where the temporary folder goes (default: the system's)")
	flag.BoolVar(&b.verbose, "v", false, "show every verdict that was not as it should be")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if layouts != "" {
		b.layouts = strings.Split(layouts, ",")
	}
	if corpus != "" {
		b.corpus = strings.Split(corpus, ",")
	}
	ok, err := b.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchdetect:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}
