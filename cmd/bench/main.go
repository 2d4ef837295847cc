// Command bench measures the main job on a synthetic practice, with the real
// program in processes of its own: throughput, processor time, peak memory, stored
// bytes and objects, each beside what the stages alone would allow.
//
// Everything happens in one temporary folder, which is removed at the end. Figures
// depend on the machine and on what else it does; the shares of the limit less so.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"offsite/examples/practice"
)

func main() {
	b := &bench{}
	flag.StringVar(&b.program, "offsite", "bin/offsite", "the program to measure")
	flag.Int64Var(&b.mib, "mib", 2048, "size of the practice in MiB")
	flag.StringVar(&b.parent, "dir", "", "where the temporary folder goes (default: the system's)")
	flag.IntVar(&b.chunks, "chunks", 5_000_000, "chunks of the large index; 0 leaves it out")
	flag.BoolVar(&b.keep, "keep", false, "keep the temporary folder")
	costs := flag.Bool("retention", false, "play through what retention costs, and nothing else")
	child := flag.String("child", "", "") // how the program calls itself
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := error(nil)
	switch {
	case *costs:
		err = retentionCosts(os.Stdout)
	case *child != "":
		err = b.child(ctx, *child, flag.Arg(0))
	default:
		err = b.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one measurement from start to end.
type bench struct {
	program, parent string
	mib             int64
	chunks          int
	keep            bool

	dir, data, store, config, passphrase, restoreKey string
	rows                                             []row
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.program, err = filepath.Abs(b.program); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(b.parent, "offsite-bench-"); err != nil {
		return err
	}
	if b.keep {
		fmt.Println("everything is in", b.dir)
	} else {
		defer os.RemoveAll(b.dir)
	}
	b.data, b.store = filepath.Join(b.dir, "databackup"), filepath.Join(b.dir, "store")
	b.config, b.passphrase, b.restoreKey = filepath.Join(b.dir, "offsite.yaml"), filepath.Join(b.dir, "passphrase"), filepath.Join(b.dir, "restore.key")

	if err := b.call(ctx, "generate", b.data, nil); err != nil {
		return err
	}
	var stages stages
	if err := b.call(ctx, "stages", b.data, &stages); err != nil {
		return err
	}
	stages.print(os.Stdout)
	if err := b.setUp(ctx); err != nil {
		return err
	}
	if err := b.days(ctx, &stages); err != nil {
		return err
	}
	if b.chunks > 0 {
		if err := b.index(ctx); err != nil {
			return err
		}
	}
	b.print(os.Stdout)
	return nil
}

// days runs the days of the practice and measures each.
func (b *bench) days(ctx context.Context, stages *stages) error {
	first, err := b.measure(ctx, "first run", "run", "--wait", "0s")
	if err != nil {
		return err
	}
	first.note = fmt.Sprintf("%.0f %% of what the stages allow", 100*stages.limit().Seconds()/first.wall.Seconds())
	if _, err := b.measure(ctx, "unchanged, same day", "run", "--wait", "0s"); err != nil {
		return err
	}
	if err := b.appendLog(); err != nil {
		return err
	}
	if _, err := b.measure(ctx, "one log line more", "run", "--wait", "0s"); err != nil {
		return err
	}
	var ideal int64
	if err := b.call(ctx, "advance", b.data, &ideal); err != nil {
		return err
	}
	day, err := b.measure(ctx, "next day", "run", "--wait", "0s")
	if err != nil {
		return err
	}
	day.note = fmt.Sprintf("%.2f times the ideal of %.1f MB", float64(day.stored)/float64(ideal), float64(ideal)/1e6)
	if err := practice.Touch(b.data, time.Now().Add(-time.Hour)); err != nil {
		return err
	}
	if _, err := b.measure(ctx, "all touched, none changed", "run", "--wait", "0s"); err != nil {
		return err
	}
	out := filepath.Join(b.dir, "restored")
	if _, err := b.measure(ctx, "full restore", "restore", "latest", "--to", out, "--restore-key", b.restoreKey); err != nil {
		return err
	}
	return practice.Compare(b.data, out)
}

// call does heavy work in a process of its own: the peak memory that the system
// reports for a process includes that of the one that started it, so this one must
// stay small. answer, if not nil, gets what the child prints.
func (b *bench) call(ctx context.Context, what, folder string, answer any) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-mib", fmt.Sprint(b.mib), "-chunks", fmt.Sprint(b.chunks), "-child", what, folder)
	cmd.Stderr = os.Stderr
	if answer == nil {
		cmd.Stdout = os.Stdout
		return cmd.Run()
	}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return json.Unmarshal(out, answer)
}

func (b *bench) child(ctx context.Context, what, folder string) error {
	size := b.mib << 20
	var answer any
	switch what {
	case "generate":
		start := time.Now()
		if _, err := practice.Generate(ctx, practice.Options{Dir: folder, Size: size, Seed: 1}); err != nil {
			return err
		}
		took := time.Since(start)
		fmt.Printf("practice: %d MiB made in %.1f s (%.0f MB/s)\n\n", b.mib, took.Seconds(), float64(size)/1e6/took.Seconds())
		return nil
	case "stages":
		s, err := measureStages(ctx, folder, folder+".scratch")
		if err != nil {
			return err
		}
		answer = s
	case "advance":
		report, err := practice.Advance(ctx, practice.Options{Dir: folder, Size: size, Seed: 1})
		if err != nil {
			return err
		}
		ideal, err := practice.Ideal(ctx, folder, report)
		if err != nil {
			return err
		}
		answer = ideal.Total()
	case "unlock":
		return unlock(folder)
	case "make-index":
		return makeIndex(folder, b.chunks)
	case "open-index":
		took, err := openIndex(folder, b.chunks)
		if err != nil {
			return err
		}
		answer = took
	default:
		return fmt.Errorf("no such work: %s", what)
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}
