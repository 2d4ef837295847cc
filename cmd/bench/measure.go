package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"

	"offsite/manifest/seal"
)

// row is one line of the table of results.
type row struct {
	name            string
	wall, cpu       time.Duration
	rss             int64 // peak, bytes; 0: this system does not tell
	stored, objects int64 // added to the store
	bytes           int64 // of the practice
	note            string
}

// nothingNew is the exit code of a run that found all stored already.
const nothingNew = 8

// offsite runs the program once.
func (b *bench) offsite(ctx context.Context, args ...string) (*os.ProcessState, error) {
	cmd := exec.CommandContext(ctx, b.program, append(args, "--config", b.config)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == nothingNew {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("offsite %s: %w\n%s", args[0], err, errs.Bytes())
	}
	return cmd.ProcessState, nil
}

// measure runs the program once and adds a row.
func (b *bench) measure(ctx context.Context, name string, args ...string) (*row, error) {
	before, n, err := folderSize(b.store)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	state, err := b.offsite(ctx, args...)
	wall := time.Since(start)
	if err != nil {
		return nil, err
	}
	after, m, err := folderSize(b.store)
	if err != nil {
		return nil, err
	}
	bytes, _, err := folderSize(b.data)
	if err != nil {
		return nil, err
	}
	b.rows = append(b.rows, row{name: name, wall: wall, cpu: state.UserTime() + state.SystemTime(), rss: peakRSS(state),
		stored: after - before, objects: m - n, bytes: bytes})
	return &b.rows[len(b.rows)-1], nil
}

// passphrase unlocks the restore key of every measurement.
const passphrase = "bench bench bench bench"

func (b *bench) setUp(ctx context.Context) error {
	if err := os.WriteFile(b.passphrase, []byte(passphrase+"\n"), 0o600); err != nil {
		return err
	}
	if _, err := b.offsite(ctx, "init", "--source", b.data, "--profile", "generic", "--store", "dir:"+b.store, "--recovery-passphrase-file", b.passphrase); err != nil {
		return err
	}
	// The shortest quiet period: the practice was written a moment ago.
	text, err := os.ReadFile(b.config)
	if err != nil {
		return err
	}
	text = bytes.Replace(text, []byte("  #quiet: 10m\n"), []byte("  quiet: 1s\n"), 1)
	if err := os.WriteFile(b.config, text, 0o600); err != nil {
		return err
	}
	return b.call(ctx, "unlock", b.dir, nil)
}

// unlock writes the restore key into the folder of the measurement, opened with
// the passphrase. Stretching the passphrase takes much memory.
func unlock(folder string) error {
	holders, err := filepath.Glob(filepath.Join(folder, "store", "keys", "holder-*.age"))
	if err != nil || len(holders) == 0 {
		return fmt.Errorf("no recovery holder in the store: %w", err)
	}
	sealed, err := os.ReadFile(holders[0])
	if err != nil {
		return err
	}
	key, err := seal.OpenHolder(sealed, seal.Unlock{Passphrase: passphrase})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "restore.key"), key.Text(), 0o600)
}

// appendLog writes a line as the practice would have a second later: the practice
// lives in its own year, and files of today among those of the next day would be
// suspect.
func (b *bench) appendLog() error {
	name := filepath.Join(b.data, "logfiles", "backup.log")
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("one more line\r\n")
	later := info.ModTime().Add(time.Second)
	return errors.Join(err, f.Close(), os.Chtimes(name, later, later))
}

func (b *bench) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t wall s\t MB/s\t CPU s\t peak RSS MiB\t stored MB\t objects\t\t")
	for _, r := range b.rows {
		rate := "-"
		if r.bytes > 0 {
			rate = fmt.Sprintf("%.0f", float64(r.bytes)/1e6/r.wall.Seconds())
		}
		fmt.Fprintf(t, "%s\t %.2f\t %s\t %.2f\t %.0f\t %.2f\t %d\t %s\t\n", r.name, r.wall.Seconds(), rate, r.cpu.Seconds(), float64(r.rss)/(1<<20), float64(r.stored)/1e6, r.objects, r.note)
	}
	t.Flush()
}

// folderSize sums up the files of a folder; one that is not there is empty.
func folderSize(dir string) (size, files int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		files++
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return size, files, err
}
