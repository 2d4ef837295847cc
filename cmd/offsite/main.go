// Command offsite keeps sealed, deduplicated daily copies of a practice's
// finished local backup, for as long as the practice's retention calendar says.
//
// Standard output is the answer (with --json one object, also for an error);
// standard error is for people. The exit codes are a contract with Task
// Scheduler, launchd and cron; see exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"offsite/cmd/offsite/config"
)

// heapGrowth is by how many per cent the heap may grow before it is cleared. Most
// of it is a few large buffers that are used again and again, so clearing costs
// little, and a small practice PC keeps its memory.
const heapGrowth = 10

func main() {
	debug.SetGCPercent(heapGrowth)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the ordinary handling is back, so that a second one
	// ends the program at once. Everything durable is crash-safe.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv, time.Now)
	os.Exit(code)
}

// run is the whole program. Nothing below it exits, reads the environment or asks
// the system for the time in another way.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env config.Env, clock func() time.Time) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: env, now: clock}
	return a.run(ctx, args)
}
