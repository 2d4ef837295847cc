// Package dir keeps objects as files below one folder: a local disk, a NAS share
// or a USB disk.
//
// It promises that an object is whole or absent, that a successful write is on
// the disk (as far as the disk tells the truth), that a key is created once, and
// that no call follows a link out of the folder. It never makes the folder
// itself: only Create does, and a folder that vanishes (disk unplugged, share
// gone, folder renamed) is ErrUnreachable until it is back. A marker file tells
// the store from an empty mount point.
//
// Layout: the object KEY is the file KEY. Names that begin with a dot are the
// driver's own: .offsite-folder is the marker, .lock serves processes that share
// the folder, .tmp-* are unfinished files, and .leases/KEY holds the lease.
//
// The version of an object of at most providers.MaxReplace bytes names its
// content (so copying the folder to another disk keeps all versions); larger
// objects are immutable and have the empty version. Listings leave versions out.
package dir

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"offsite/providers"
)

const (
	markerName  = ".offsite-folder"
	markerHead  = "offsite folder 1\n"
	lockName    = ".lock"
	leaseFolder = ".leases"
	tempPrefix  = ".tmp-"

	dirMode  = 0o700
	fileMode = 0o600

	// writeSlice is how much is written between two looks at the context.
	writeSlice = 4 << 20
	// directSlice is the same where the page cache is bypassed: longer, because
	// each write waits for the disk.
	directSlice = 16 << 20
)

// Dir is a driver with every optional ability: leases, removal and a clock. Safe
// for concurrent use, also by several processes.
type Dir struct {
	path string
	id   string // from the marker; the folder stays the same one
	temp string // sets temporary names of this Dir apart
	seq  atomic.Uint64
	gate sync.RWMutex // in-process half of the lock

	mu  sync.Mutex
	cur *folder

	link func(r *os.Root, old, new string) error
}

// folder is one opened handle of the root.
type folder struct {
	root *os.Root
	info fs.FileInfo
	sync syncer

	mu   sync.Mutex
	real map[string]bool // folders seen to be no links
	kept map[string]bool // folders known to be on the disk
}

// Create makes path a store: the folder itself (its parent must exist) and the
// marker. A folder that is a store already is opened; one that holds something
// else is ErrExist, unless it looks like a store whose marker was lost.
func Create(path string) (*Dir, error) {
	switch err := os.Mkdir(path, dirMode); {
	case err == nil:
		if err := syncParent(path); err != nil {
			return nil, fail("create", "", classify(err), err)
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, fail("create", "", classifyRoot(err), err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fail("create", "", classifyRoot(err), err)
	}
	defer root.Close()
	if _, err := root.Lstat(markerName); errors.Is(err, fs.ErrNotExist) {
		if err := mark(root); err != nil {
			return nil, err
		}
	}
	return Open(path)
}

// mark writes the marker into a folder that is empty or was a store.
func mark(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fail("create", "", classify(err), err)
	}
	strange := false
	for _, e := range entries {
		if e.Name() == "offsite.json" {
			strange = false
			break
		}
		strange = strange || !ownOrSystem(e.Name())
	}
	if strange {
		return fail("create", "", providers.ErrExist, errors.New("the folder holds other files: name an empty one"))
	}
	temp := tempPrefix + strings.ToLower(rand.Text())
	text := markerHead + strings.ToLower(rand.Text()) + "\n"
	err = writeFile(context.Background(), root, temp, []byte(text))
	if err == nil {
		err = root.Rename(temp, markerName)
	}
	if err == nil {
		err = syncDir(root, ".")
	}
	if err != nil {
		_ = root.Remove(temp)
		return fail("create", "", classify(err), err)
	}
	return nil
}

// ownOrSystem names what may lie in a folder that becomes a store: dot files and
// what operating systems put on every disk.
func ownOrSystem(name string) bool {
	switch strings.ToLower(name) {
	case "lost+found", "system volume information", "$recycle.bin", "thumbs.db", "desktop.ini":
		return true
	}
	return strings.HasPrefix(name, ".")
}

// Open opens a store that Create made. A folder without the marker is
// ErrUnreachable: most likely its disk is not mounted.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fail("open", "", providers.ErrInvalid, err)
	}
	d := &Dir{path: abs, temp: tempPrefix + strings.ToLower(rand.Text()[:10]), link: (*os.Root).Link}
	if _, err := d.open("open"); err != nil {
		return nil, err
	}
	return d, nil
}

// open returns the folder, opened again if path now leads elsewhere.
func (d *Dir) open(op string) (*folder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	info, err := os.Stat(d.path)
	if err != nil {
		return nil, fail(op, "", classifyRoot(err), err)
	}
	if d.cur != nil && os.SameFile(info, d.cur.info) {
		return d.cur, nil
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, fail(op, "", classifyRoot(err), err)
	}
	id, err := readMarker(root)
	if err == nil && d.id != "" && id != d.id {
		err = errors.New("another store lies in its place")
	}
	if err != nil {
		root.Close()
		return nil, fail(op, "", providers.ErrUnreachable, err)
	}
	if info, err = root.Stat("."); err != nil {
		root.Close()
		return nil, fail(op, "", classifyRoot(err), err)
	}
	// The handle before this one is left to its users and then to the collector.
	d.id, d.cur = id, &folder{root: root, info: info, real: map[string]bool{}, kept: map[string]bool{}}
	return d.cur, nil
}

func readMarker(root *os.Root) (string, error) {
	f, err := root.Open(markerName)
	if err != nil {
		return "", fmt.Errorf("no marker: not a store, or its disk is not mounted: %w", err)
	}
	defer f.Close()
	var buf [64]byte
	n, err := io.ReadFull(f, buf[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read marker: %w", err)
	}
	id, ok := strings.CutPrefix(string(buf[:n]), markerHead)
	id, end := strings.CutSuffix(id, "\n")
	if !ok || !end || len(id) < 16 {
		return "", errors.New("marker is of another version, or damaged")
	}
	return id, nil
}

// begin checks what every call checks and returns the folder.
func (d *Dir) begin(ctx context.Context, op, key string) (*folder, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail(op, key, providers.ErrBusy, err)
	}
	if !providers.ValidKey(key) {
		return nil, fail(op, "", providers.ErrInvalid, errors.New("key outside the grammar"))
	}
	return d.open(op)
}

// Get reads a range; see providers.Driver.
func (d *Dir) Get(ctx context.Context, key string, v providers.Version, off, n int64) ([]byte, error) {
	return d.get(ctx, key, v, off, n, nil)
}

// Fill reads an object into room; see providers.Filler.
func (d *Dir) Fill(ctx context.Context, key string, v providers.Version, room []byte) ([]byte, error) {
	return d.get(ctx, key, v, 0, -1, room)
}

func (d *Dir) get(ctx context.Context, key string, v providers.Version, off, n int64, room []byte) ([]byte, error) {
	h, err := d.begin(ctx, "get", key)
	if err != nil {
		return nil, err
	}
	f, size, err := d.openObject(h, "get", key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := d.checkVersion("get", key, f, size, v); err != nil {
		return nil, err
	}
	if n < 0 {
		n = size - off
	}
	if off < 0 || off > size || n > size-off {
		return nil, fail("get", key, providers.ErrRange, nil)
	}
	return d.readAt("get", key, f, off, n, room)
}

// readAt reads n bytes of an open object, into room if that is large enough.
func (d *Dir) readAt(op, key string, f *os.File, off, n int64, room []byte) ([]byte, error) {
	if n == 0 {
		return []byte{}, nil
	}
	if data, ok := readDirect(f, off, n, room); ok {
		return data, nil
	}
	data := sized(room, n)
	switch _, err := f.ReadAt(data, off); {
	case err == nil:
		return data, nil
	case errors.Is(err, io.EOF):
		return nil, fail(op, key, providers.ErrCorrupt, errors.New("file shrank while it was read"))
	default:
		return nil, fail(op, key, d.readKind(err), err)
	}
}

// readDirect reads a large object past the page cache. Whatever goes wrong, the
// ordinary way is tried next and gives the error.
func readDirect(f *os.File, off, n int64, room []byte) ([]byte, bool) {
	if n < directMin || off%directBlock != 0 || !setDirect(f, true) {
		return nil, false
	}
	defer setDirect(f, false)
	data := sized(room, (n+directBlock-1)&^(directBlock-1))
	got, _ := f.ReadAt(data, off)
	return data[:n], int64(got) >= n
}

// sized returns n bytes, of room if there are as many.
func sized(room []byte, n int64) []byte {
	if int64(cap(room)) >= n {
		return room[:n]
	}
	return make([]byte, n)
}

// readKind tells a bad sector from a disk that is gone: a folder that still
// takes a new file is there, so the object is what is damaged.
func (d *Dir) readKind(err error) error {
	kind := classify(err)
	if kind != providers.ErrUnreachable || !inputOutput(err) {
		return kind
	}
	if _, err := d.Time(context.Background()); providers.KindOf(err) == providers.ErrUnreachable {
		return kind
	}
	return providers.ErrCorrupt
}

// openObject opens a regular file of a possible size.
func (d *Dir) openObject(h *folder, op, key string) (*os.File, int64, error) {
	f, info, err := h.openFile(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, d.absent(op, key)
	case err != nil:
		return nil, 0, fail(op, key, classify(err), err)
	case info.IsDir():
		f.Close()
		return nil, 0, fail(op, key, providers.ErrNotExist, nil)
	case info.Size() > providers.MaxObject:
		f.Close()
		return nil, 0, fail(op, key, providers.ErrCorrupt, errors.New("file is larger than any object"))
	}
	return f, info.Size(), nil
}

// absent tells a missing object from a missing store.
func (d *Dir) absent(op, key string) error {
	h, err := d.open(op)
	if err != nil {
		return err
	}
	if _, err := h.root.Lstat(markerName); err != nil {
		return fail(op, key, classifyRoot(err), err)
	}
	return fail(op, key, providers.ErrNotExist, nil)
}

func (d *Dir) checkVersion(op, key string, f *os.File, size int64, v providers.Version) error {
	if v == "" {
		return nil
	}
	have, err := d.version(op, key, f, size)
	if err != nil {
		return err
	}
	if have != v {
		return fail(op, key, providers.ErrNotExist, errors.New("another version is stored"))
	}
	return nil
}

// version names the content of a small object; large ones have no version.
func (d *Dir) version(op, key string, f *os.File, size int64) (providers.Version, error) {
	if size > providers.MaxReplace {
		return "", nil
	}
	data, err := d.readAt(op, key, f, 0, size, nil)
	if err != nil {
		return "", err
	}
	return contentVersion(data), nil
}

func contentVersion(data []byte) providers.Version {
	if len(data) > providers.MaxReplace {
		return ""
	}
	sum := sha256.Sum256(data)
	return providers.Version(hex.EncodeToString(sum[:16]))
}

// Stat describes an object; see providers.Driver.
func (d *Dir) Stat(ctx context.Context, key string, v providers.Version) (providers.Object, error) {
	h, err := d.begin(ctx, "stat", key)
	if err != nil {
		return providers.Object{}, err
	}
	f, size, err := d.openObject(h, "stat", key)
	if err != nil {
		return providers.Object{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return providers.Object{}, fail("stat", key, classify(err), err)
	}
	have, err := d.version("stat", key, f, size)
	if err != nil {
		return providers.Object{}, err
	}
	if v != "" && v != have {
		return providers.Object{}, fail("stat", key, providers.ErrNotExist, errors.New("another version is stored"))
	}
	lease, _, err := h.readLease(key)
	if err != nil {
		return providers.Object{}, fail("stat", key, classify(err), err)
	}
	return providers.Object{Key: key, Size: size, Version: have, Modified: info.ModTime(), Lease: lease}, nil
}

// Time is the clock of whoever keeps the folder: the modification time that a
// new file gets there.
func (d *Dir) Time(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fail("time", "", providers.ErrBusy, err)
	}
	h, err := d.open("time")
	if err != nil {
		return time.Time{}, err
	}
	name := d.tempName(".")
	f, err := h.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return time.Time{}, d.writeFail("time", "", err)
	}
	defer h.root.Remove(name)
	defer f.Close()
	if _, err := f.WriteString("."); err != nil { // a write makes a file server set the time
		return time.Time{}, d.writeFail("time", "", err)
	}
	info, err := f.Stat()
	if err != nil {
		return time.Time{}, d.writeFail("time", "", err)
	}
	return info.ModTime(), nil
}

func (d *Dir) tempName(dir string) string {
	return path.Join(dir, fmt.Sprintf("%s-%d", d.temp, d.seq.Add(1)))
}
