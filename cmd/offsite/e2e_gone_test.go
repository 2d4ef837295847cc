package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs the program in this process, where waiting takes no time.
func (p *place) inBubble(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	env := func(string) (string, bool) { return "", false }
	code := run(ctx, append([]string{"--config", p.config()}, args...), strings.NewReader(""), &stdout, &stderr, env, time.Now)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// sleepToPresent brings the clock of a bubble, which begins in 2000, to the time
// that file systems know.
func (p *place) sleepToPresent() {
	p.t.Helper()
	info, err := os.Stat(p.file("now", ""))
	must(p.t, err)
	time.Sleep(time.Until(info.ModTime()))
}

// A store whose folder goes away while a run is under way is waited for, and then
// the run ends with the right code. When it is back, the next run goes on.
func TestStoreThatVanishesDuringARunIsGoneOnWithLater(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a folder with open files cannot be moved away on Windows")
	}
	p := newPlace(t)
	for i := range 4 {
		p.file(fmt.Sprintf("source/scan%d.dcm", i), string(noise(uint64(i), 10<<20)))
	}
	away := p.path("away")
	synctest.Test(t, func(t *testing.T) {
		p.sleepToPresent()
		stop := make(chan struct{})
		moved := make(chan error, 1)
		go func() {
			for { // without sleeping: time stands still while the run works
				if packs, _ := filepath.Glob(filepath.Join(p.store, "r", "p", "*", "*")); len(packs) > 0 {
					moved <- os.Rename(p.store, away)
					return
				}
				select {
				case <-stop:
					moved <- fmt.Errorf("the run ended before it could be harmed")
					return
				default:
					runtime.Gosched()
				}
			}
		}()
		start := time.Now()
		r := p.inBubble(t.Context(), "run", "--wait", "0s", "--json")
		close(stop)
		must(t, <-moved)
		if r.code != exitStore {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		r.says(t, "is the disk connected")
		if waited := time.Since(start); waited < 30*time.Second || waited > 10*time.Minute {
			t.Errorf("it waited for %v", waited)
		}
		var ans struct{ Error errorObject }
		r.into(t, &ans)
	})
	if _, err := os.Stat(p.store); err == nil {
		t.Error("the store's folder was made anew, in the place where its disk is mounted")
	}
	must(t, os.Rename(away, p.store))
	p.want(exitDone, "check", "--depth", "objects")
	packs, err := filepath.Glob(filepath.Join(p.store, "r", "p", "*", "*"))
	must(t, err)
	p.want(exitDone, "run", "--wait", "0s")
	for _, pack := range packs {
		if _, err := os.Stat(pack); err != nil {
			t.Error(err)
		}
	}
	k := openKilling(p)
	if err := k.once(); err != nil {
		t.Error(err)
	}
	p.want(exitDone, "check", "--depth", "bytes", "--restore-key", p.key)
	back, _ := p.restore(exitDone, "latest", "back")
	equal(t, facts(t, p.source), facts(t, back))
}
