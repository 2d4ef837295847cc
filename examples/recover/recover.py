#!/usr/bin/env python3
"""Restore a day from a copy of an offsite store, without offsite.

    recover.py STORE list
    recover.py STORE restore DAY|latest --to DIR (--restore-key FILE | --holder [ID])

STORE is a folder that holds a copy of the whole store: offsite.json, keys and r.
DAY is 2026-11-20, or 2026-11-20#2 for the second revision of that day.

Needed: Python 3.9, the programs age (1.3 or newer) and zstd; b3sum if you have it.

NOT CHECKED: signatures. Python brings no Ed25519, so this program cannot tell a
store that somebody made up from yours: it finds damage, not deceit. Objects are
compared with their names if b3sum is there, files with their SHA-256 always.

Exit codes: 0 all well, 6 stored data is damaged, 1 anything else.
"""
# Written from manifest/FORMAT.md, manifest/pack/FORMAT.md and manifest/seal/FORMAT.md. It is more lenient than those pages
# allow: on a bad day, data whose checksums hold is worth having, whatever else is wrong with it.
import argparse, array, datetime, glob, hashlib, io, json, os, re, shutil, signal
import sqlite3, struct, subprocess, sys, tempfile, zlib

MAX_CHUNK, MAX_PACK, MAX_SEGMENT, MAX_SEALED = 4 << 20, 16 << 20, 59 << 20, 64 << 20
FILE, FOLDER, LINK = 1, 2, 3

class Damaged(Exception): pass  # stored data is not there, or not what the format pages say
class Stop(Exception): pass     # there is no point in going on
MALFORMED = (Damaged, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)

def need(condition, what):
    if not condition:
        raise Damaged(what)

def read_file(path):
    with open(path, "rb") as f:
        return f.read(MAX_SEALED)

def show(name):  # for messages
    return "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in name.decode("utf-8", "backslashreplace"))

def progress(text):
    if sys.stderr.isatty():
        print("\r%-78s\r" % text[:78], end="", file=sys.stderr, flush=True)

# ---- Packs and index segments: manifest/pack/FORMAT.md -------------------------------------------------------------
def read_directory(plain):
    """The frames of an unsealed pack: (offset, stored length, plain length, CRC-32, codec, [(chunk id, length), ...])."""
    need(4096 <= len(plain) <= MAX_PACK and plain[:10] == b"OFFSPACK\1\0", "not a pack, or one of a newer version")
    size, crc, magic = struct.unpack("<II8s", plain[-16:])
    need(magic == b"OFFSPEND" and 8 <= size <= len(plain) - 32, "damaged end of the pack")
    directory = plain[-16 - size:-16]
    need(zlib.crc32(plain[:16] + directory + plain[-16:-12]) == crc, "damaged directory")
    frame_count, chunk_count = struct.unpack_from("<II", directory)
    need(chunk_count <= 65536 and size == 8 + 16 * frame_count + 20 * chunk_count, "wrong directory")
    rows = struct.iter_unpack("<16sI", directory[8 + 16 * frame_count:])
    frames, at = [], 16
    for stored, length, crc, count, codec, _ in struct.iter_unpack("<IIIHBB", directory[8:8 + 16 * frame_count]):
        chunks = [row for _, row in zip(range(count), rows)]
        need(codec in (0, 1) and 1 <= length <= MAX_CHUNK and sum(n for _, n in chunks) == length, "wrong directory")
        frames.append((at, stored, length, crc, codec, chunks))
        at += stored
    need(at <= len(plain) - 16 - size, "wrong directory")
    return frames

def unzstd(frames, total):
    """Decompress zstd frames, joined, in one process. Returns no more than total bytes."""
    with tempfile.TemporaryFile() as joined:
        joined.writelines(frames)
        joined.seek(0)
        with subprocess.Popen(["zstd", "-dcq"], stdin=joined, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            return p.stdout.read(total)

def read_frames(plain, frames):
    """Yield (frame, its plain bytes) for each frame; None instead of the bytes if it is damaged."""
    batches, size = [[]], 0
    for frame in frames:
        size += frame[2]
        if size > 32 << 20:  # that much memory for one process of zstd
            batches, size = batches + [[]], frame[2]
        batches[-1].append(frame)
    for batch in batches:
        packed = [f for f in batch if f[4] == 1]
        joined, start = unzstd([plain[f[0]:f[0] + f[1]] for f in packed], sum(f[2] for f in packed)) if packed else b"", 0
        for frame in batch:
            at, stored, length, crc, codec, _ = frame
            data = plain[at:at + stored]
            if codec == 1:
                one, start = joined[start:start + length], start + length
                if zlib.crc32(one) != crc:  # perhaps a frame before it is damaged and shifted it: try it alone
                    one = unzstd([data], length)
                data = one
            yield frame, data if len(data) == length and zlib.crc32(data) == crc else None

def read_segment(plain):
    """The names of the packs in an unsealed index segment, and for each chunk: (id, number of its pack, length)."""
    need(4096 <= len(plain) <= MAX_SEGMENT and plain[:10] == b"OFFSINDX\1\0", "not an index segment, or one of a newer version")
    need(zlib.crc32(memoryview(plain)[:-4]) == int.from_bytes(plain[-4:], "little"), "damaged index segment")
    p, f, e = struct.unpack_from("<III", plain, 12)
    frames, entries = 32 + 40 * p, 32 + 40 * p + 16 * f
    need(entries + 28 * e <= len(plain) - 4, "wrong index segment")
    pack_of = [no for no, in struct.iter_unpack("<I12x", plain[frames:entries])]
    def chunks():
        for chunk, frame, length in struct.iter_unpack("<16sI4xI", plain[entries:entries + 28 * e]):
            need(frame < f and pack_of[frame] < p, "wrong index segment")
            yield chunk, pack_of[frame], length
    return [plain[i:i + 32] for i in range(32, frames, 40)], chunks()

# ---- Records and file tables: manifest/FORMAT.md -------------------------------------------------------------------
ENVELOPE = re.compile(rb'\{"payload":(\{.*\}),"signer":"([a-z0-9][a-z0-9-]{0,63})","sig":"[A-Za-z0-9+/]{86}=="\}', re.DOTALL)
PIN = re.compile(r"([0-9a-f]{64}) ([1-9][0-9]{0,7})( \S+)?")

def open_envelope(data):
    """Payload and signer of a signed document. The signature is NOT checked: see the top of this file."""
    m = ENVELOPE.fullmatch(data)
    need(m, "not a signed document")
    payload = json.loads(m[1].decode("utf-8"))
    need(payload["format"] == 1, "written in format %r; this program knows 1" % payload["format"])
    return payload, m[2].decode()

def read_record(data, key):
    r, signer = open_envelope(data)
    need(key == "r/s/%s/%08d" % (r["source"], r["seq"]) and r["pc"] == signer, "stands under a wrong key, or another PC signed it")
    need(re.fullmatch(r"\d{4}-\d\d-\d\d", r["date"]) and isinstance(r["revision"], int), "wrong date")
    need(all(re.fullmatch("[ -~]+", r[k]) for k in ("time", "expiry", "verdict")), "wrong text")
    for kind in "segments", "packs":  # as (key, name, size)
        pins = [PIN.fullmatch(pin) for pin in r[kind]]
        need(all(pins), "wrong list of " + kind)
        r[kind] = [("r/x/" + m[1] if kind == "segments" else "r/p/%s/%s" % (m[1][:2], m[1]), m[1], int(m[2])) for m in pins]
    return dict(r, day=r["date"] + ("#%d" % r["revision"] if r["revision"] > 1 else ""), sha256=hashlib.sha256(data).hexdigest(),
                root=bytes.fromhex(r["table"]["root"]), rows=int(r["table"]["rows"]), prev=r["prev"],
                files=int(r["counts"]["files"]), bytes=int(r["counts"]["bytes"]))

def take(row, n):
    data = row.read(min(n, MAX_SEALED))
    need(len(data) == n, "row is cut")
    return data

def number(row, shift=0):
    need(shift < 70, "damaged number in a row")
    byte = take(row, 1)[0]
    return byte if byte < 128 else (byte & 127) | number(row, shift + 7) << 7

def read_rows(chunk):
    """Yield (type, path, mode, mtime, size, SHA-256, has chunk lists, chunk ids or link target) for each row of a chunk."""
    rows = io.BytesIO(chunk)
    while rows.tell() < len(chunk):
        row = io.BytesIO(take(rows, number(rows)))
        kind, flags = take(row, 2)
        need(kind in (FILE, FOLDER, LINK) and flags < 8, "row of unknown kind")
        path, mode, zigzag = take(row, number(row)), number(row), number(row)
        for _ in range((2 if flags & 2 else 0) + (1 if flags & 4 else 0)):  # owner, attributes: not restored
            number(row)
        size, sha = (number(row), take(row, 32)) if kind == FILE else (0, b"")
        rest = take(row, 0 if kind == FOLDER else number(row) * (16 if kind == FILE else 1))
        need(not row.read(1) and size < 1 << 63 and zigzag < 1 << 64, "row of wrong length")
        mode = mode & 0o777 or (0o600 if kind == FILE else 0o700)  # Windows has none
        yield kind, path, mode, zigzag >> 1 ^ -(zigzag & 1), size, sha, flags & 1, rest

def split_ids(data):
    need(len(data) % 16 == 0, "damaged list of chunks")
    return [data[i:i + 16] for i in range(0, len(data), 16)]

# ---- A copy of a store ---------------------------------------------------------------------------------------------
class Store:
    def __init__(self, path):
        self.path, self.problems = os.path.join(path, ""), 0  # an object's file is the path and its key
        if not os.path.isdir(self.path + "r/s"):
            raise Stop("%s is no copy of a store: there is no folder r/s in it" % path)

    def report(self, what):
        self.problems += 1
        print("damaged:", what, file=sys.stderr)

    def find(self, pattern):
        """Keys of objects. Names that begin with a dot are not part of the store, and * leaves them out."""
        return sorted(p[len(self.path):].replace(os.sep, "/") for p in glob.glob(glob.escape(self.path) + pattern))

    def records(self):
        """All records, oldest day first. Checks where each stands, its PC, and the chain from one to the next."""
        found, hashes, repository = [], {}, None
        try:
            repository = open_envelope(read_file(self.path + "offsite.json"))[0]["repository"]
        except MALFORMED as e:
            self.report("offsite.json: %s" % e)
        for key in self.find("r/s/*/" + 8 * "[0-9]"):
            try:
                r = read_record(read_file(self.path + key), key)
                need(repository in (None, r["repository"]), "belongs to another practice")
            except MALFORMED as e:
                self.report("%s: %s" % (key, e))
                continue
            if not os.path.isfile(self.path + "keys/pc-%s.json" % r["pc"]):
                self.report("%s: keys/pc-%s.json is missing, so nothing says that this PC belongs here" % (key, r["pc"]))
            if r["prev"] not in ("", hashes.get((r["source"], r["seq"] - 1), r["prev"])):
                self.report("%s: the record before it is not the one it was written after" % key)
            hashes[r["source"], r["seq"]] = r["sha256"]
            found.append(r)
        return sorted(found, key=lambda r: (r["date"], r["revision"], r["seq"]))

# ---- Keys: manifest/seal/FORMAT.md ---------------------------------------------------------------------------------
def key_from_file(path):
    """The restore key as age wants it. People copy it from paper, so blanks and small letters are allowed."""
    with open(path, encoding="utf-8-sig") as f:
        key = "".join("".join(line.split()) for line in f if not line.lstrip().startswith("#")).upper()
    if not re.fullmatch("AGE-SECRET-KEY-PQ-1[0-9A-Z]+", key):
        raise Stop("%s holds no restore key (AGE-SECRET-KEY-PQ-1...)" % path)
    return key.encode()

def key_from_holder(store, holder, identity):
    for key in store.find("keys/holder-%s.age" % (holder or "*")):
        scrypt = re.match(rb"age-encryption.org/v1\n-> scrypt \S+ (1?\d|20)\n", read_file(store.path + key))  # 2^20 is the limit
        if identity or scrypt:
            print("unlocking", key, file=sys.stderr)  # age asks for the passphrase on the terminal
            p = subprocess.run(["age", "-d", *(["-i", identity] if identity else []), store.path + key], stdout=subprocess.PIPE)
            found = re.search(rb"^AGE-SECRET-KEY-PQ-1[0-9A-Z]+$", p.stdout, re.MULTILINE)
            if p.returncode == 0 and found:
                return found[0]
    raise Stop("no holder's file was unlocked; for a key instead of a passphrase, add --identity FILE")

def check_programs():
    for program in "age", "zstd":
        if not shutil.which(program):
            raise Stop("the program %s is not installed, or not in PATH; README.md says where to get it" % program)
    if re.match(rb"v?(0|1\.[0-2])\b", subprocess.run(["age", "--version"], stdout=subprocess.PIPE).stdout):
        raise Stop("this age is too old: 1.3 or newer is needed; README.md says where to get it")

# ---- Restoring a day -----------------------------------------------------------------------------------------------
TABLES = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;
CREATE TABLE pack (no INTEGER PRIMARY KEY, key TEXT, name TEXT, size INT, indexed INT DEFAULT 0, done INT);
CREATE TABLE have (id BLOB, pack INT, length INT, PRIMARY KEY (id, pack)) WITHOUT ROWID;        -- where each chunk stands
CREATE TABLE want (id BLOB, item INT, place INT, PRIMARY KEY (id, item, place)) WITHOUT ROWID;  -- where it has to go
CREATE TABLE note (id BLOB PRIMARY KEY, data BLOB);                           -- chunks of the file table, and chunk lists
CREATE TABLE entry (no INTEGER PRIMARY KEY, type INT, path BLOB, mode INT, mtime INT, size INT, sha BLOB, lists INT, rest BLOB);
BEGIN"""

class Restore:
    """One day on its way out. What has to be remembered stands in a database on disk, so that memory stays small."""
    def __init__(self, store, record, key, target):
        self.store, self.record, self.key, self.target = store, record, key, os.fsencode(os.path.abspath(target))
        self.temp = tempfile.tempdir = tempfile.mkdtemp(prefix=".recover-", dir=target)  # only this user can look into it
        db = sqlite3.connect(os.path.join(self.temp, "db"), isolation_level=None)
        db.executescript(TABLES)
        self.db, self.sql, self.many = db, db.execute, db.executemany
        self.opened = self.unopened = self.failures = self.good = 0

    def unseal(self, key, name, size):
        """The plain bytes of a stored object."""
        path = self.store.path + key
        need(os.path.isfile(path) and os.path.getsize(path) == size <= MAX_SEALED, "is missing or has a wrong size")
        if shutil.which("b3sum"):
            out = subprocess.run(["b3sum", "--no-names", path], stdout=subprocess.PIPE).stdout
            need(out.decode().strip() == name, "its bytes do not have its name")
        p = subprocess.run(["age", "-d", "-i", "-", path], input=self.key, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.opened, self.unopened = self.opened + (p.returncode == 0), self.unopened + (b"no identity matched" in p.stderr)
        if self.opened == 0 and self.unopened == 3:
            raise Stop("this restore key opens nothing here; it is not the key of this store")
        need(p.returncode == 0, "age does not open it")
        return p.stdout

    def find_chunks(self, use_index):
        """Fill `have` from the index segments, and from the directories of the packs that no readable segment covers."""
        self.many("INSERT INTO pack (key, name, size) VALUES (?, ?, ?)", self.record["packs"])
        numbers = {bytes.fromhex(name): no for no, name in self.sql("SELECT no, name FROM pack")}
        for key, name, size in self.record["segments"] if use_index else []:
            try:
                packs, chunks = read_segment(self.unseal(key, name, size))
                no = [numbers.get(p) for p in packs]  # None: a pack that this day does not need
                self.many("INSERT OR REPLACE INTO have VALUES (?, ?, ?)", ((c, no[p], n) for c, p, n in chunks if no[p]))
                self.many("UPDATE pack SET indexed = 1 WHERE no = ?", ((n,) for n in no))
            except Damaged as e:
                self.store.report("index segment %s: %s; reading the packs' own directories instead" % (name, e))
        for no, *pack in self.sql("SELECT no, key, name, size FROM pack WHERE NOT indexed ORDER BY no").fetchall():
            rows = ((chunk, no, n) for frame in self.open_pack(*pack)[1] for chunk, n in frame[5])
            self.many("INSERT OR REPLACE INTO have VALUES (?, ?, ?)", rows)

    def open_pack(self, key, name, size):
        """The plain bytes of a pack and its frames; nothing, and a message, if it is damaged."""
        progress("reading pack " + name)
        try:
            plain = self.unseal(key, name, size)
            return plain, read_directory(plain)
        except Damaged as e:
            self.store.report("pack %s: %s" % (name, e))
            return b"", []

    def gather(self, sink):
        """Hand every chunk in `want` to sink. Each pack is opened once; if one is damaged, another that has the chunk is."""
        wanted = lambda frame: any(self.sql("SELECT 1 FROM want WHERE id = ?", (chunk,)).fetchone() for chunk, _ in frame[5])
        self.sql("UPDATE pack SET done = 0")
        while True:
            packs = self.sql("SELECT no, key, name, size FROM pack WHERE no IN (SELECT MIN(no) FROM want JOIN have USING (id) "
                             "JOIN pack ON no = pack WHERE NOT done GROUP BY want.id) ORDER BY no").fetchall()
            if not packs:
                return
            for no, *pack in packs:
                self.sql("UPDATE pack SET done = 1 WHERE no = ?", (no,))
                plain, frames = self.open_pack(*pack)
                for frame, data in read_frames(plain, filter(wanted, frames)):
                    if not data:
                        self.store.report("pack %s: frame at %d" % (pack[1], frame[0]))
                    start = 0
                    for chunk, n in frame[5] if data else []:
                        for item, place in self.sql("SELECT item, place FROM want WHERE id = ?", (chunk,)):
                            sink(chunk, item, place, data[start:start + n])
                        self.sql("DELETE FROM want WHERE id = ?", (chunk,))
                        start += n

    def fetch_notes(self, ids):
        self.many("INSERT OR IGNORE INTO want VALUES (?, 0, 0)", ((i,) for i in ids))
        self.gather(lambda chunk, item, place, data: self.sql("INSERT OR IGNORE INTO note VALUES (?, ?)", (chunk, data)))
        self.sql("DELETE FROM want")

    def note(self, chunk):
        row = self.sql("SELECT data FROM note WHERE id = ?", (chunk,)).fetchone()
        need(row, "chunk %s cannot be had" % chunk.hex())
        return row[0]

    def read_table(self):
        """Fill `entry` with the rows of the file table, as far as it can be read."""
        self.fetch_notes([self.record["root"]])
        root = self.note(self.record["root"])
        need(root[:17] == b"offsite table v1\n" and len(root) == 21 + 16 * int.from_bytes(root[17:21], "little"), "damaged root")
        chunks = split_ids(root[21:])
        self.fetch_notes(chunks)
        before, count = b"", 0
        for i, chunk in enumerate(chunks):
            try:
                for row in read_rows(self.note(chunk)):
                    need(row[1] > before, "paths are out of order")
                    before, count = row[1], count + 1
                    self.sql("INSERT INTO entry VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            except Damaged as e:
                self.store.report("file table, part %d of %d: %s" % (i + 1, len(chunks), e))
        if count != self.record["rows"]:
            self.store.report("file table: it should have %s rows and has %d" % (self.record["rows"], count))
        self.fetch_notes(i for rest, in self.sql("SELECT rest FROM entry WHERE lists").fetchall() for i in split_ids(rest))

    def places(self):
        """Yield (chunk id, number of its file, offset in that file) for every chunk of every file."""
        for no, rest, lists in self.sql("SELECT no, rest, lists FROM entry WHERE type = ?", (FILE,)):
            at = 0
            try:
                for chunk in (c for i in split_ids(rest) for c in split_ids(self.note(i))) if lists else split_ids(rest):
                    self.left[no] += 1
                    row = self.sql("SELECT length FROM have WHERE id = ?", (chunk,)).fetchone()
                    need(row, "chunk is nowhere")  # then nobody knows where those behind it begin
                    yield chunk, no, at
                    at += row[0]
            except Damaged:
                self.left[no] += 1

    def restore_files(self):
        """Put every file together under a temporary name. Once its SHA-256 is right, it gets its own."""
        self.left = array.array("q", bytes(8 + 8 * self.sql("SELECT COUNT(*) FROM entry").fetchone()[0]))  # chunks it lacks; -1: done
        self.many("INSERT OR IGNORE INTO want VALUES (?, ?, ?)", self.places())
        self.gather(self.write)
        for no, in self.sql("SELECT no FROM entry WHERE type = ?", (FILE,)):
            if self.left[no] >= 0:  # empty, or chunks are lacking
                self.finish(no)

    def write(self, chunk, no, place, data):
        part = self.temp + "/file-%d" % no
        with open(part, "r+b" if os.path.exists(part) else "wb") as f:
            f.seek(place)
            f.write(data)
        self.left[no] -= 1
        if self.left[no] == 0:
            self.finish(no)

    def finish(self, no):
        """Name a file that has all chunks it will ever get. What there is of a damaged one is kept under another name."""
        path, mode, mtime, size, sha = self.sql("SELECT path, mode, mtime, size, sha FROM entry WHERE no = ?", (no,)).fetchone()
        part, digest = self.temp + "/file-%d" % no, hashlib.sha256()
        with open(part, "a+b") as f:  # an empty file is made here
            f.seek(0)
            for block in iter(lambda: f.read(1 << 20), b""):
                digest.update(block)
        lacking, self.left[no] = self.left[no], -1
        if lacking == 0 and digest.digest() == sha:
            self.good += self.put(path, lambda final: os.rename(part, final), mode, mtime)
        else:
            self.store.report("file %s: %s" % (show(path), "some chunks cannot be had" if lacking else "its SHA-256 is wrong"))
            if os.path.getsize(part) > 0:
                os.truncate(part, size)  # with zeros for what is lacking
                self.put(path + b".damaged", lambda final: os.rename(part, final), mode, mtime)

    def put(self, path, make, mode=None, mtime=None):
        """Make something in the target folder, unless its name leads elsewhere. As links are made last, none is followed."""
        final = os.path.join(self.target, path)
        try:
            need(b"\0" not in path and not {b"", b".", b".."} & set(path.split(b"/")), "this name leads out of the folder")
            if os.name == "nt" and re.search(rb'(?i)[\0-\x1f\\:*?"<>|]|[. ](/|$)|(^|/)(con|prn|aux|nul|com\d|lpt\d)(\.|/|$)', path):
                raise OSError("Windows reads this name otherwise")
            if make and os.path.lexists(final):
                raise OSError("there is something of this name already")
            if make:
                os.makedirs(os.path.dirname(final), exist_ok=True)
                make(final)
            if mode is not None:
                os.utime(final, ns=(mtime, mtime))
                os.chmod(final, mode)
            return True
        except Damaged as e:
            self.store.report("%s: %s" % (show(path), e))
        except (OSError, ValueError, OverflowError) as e:
            self.failures += 1
            print("not restored: %s: %s" % (show(path), e), file=sys.stderr)
        return False

    def write_sums(self, path):
        """A list for `sha256sum -c`, which wants backslashes and line ends in names escaped."""
        with open(path, "xb") as f:
            for name, sha in self.sql("SELECT path, sha FROM entry WHERE type = ? ORDER BY no", (FILE,)):
                escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
                f.write(b"%s%s  %s\n" % (b"\\" if escaped != name else b"", sha.hex().encode(), escaped))

    def run(self, use_index):
        try:
            self.find_chunks(use_index)
            self.read_table()
        except Damaged as e:
            return self.store.report("file table: %s" % e)
        entries = "SELECT path, rest, mode, mtime FROM entry WHERE type = ? ORDER BY no"
        folders = [row for row in self.sql(entries, (FOLDER,)) if self.put(row[0], lambda final: os.mkdir(final, 0o700))]
        self.restore_files()
        for path, link, _, mtime in self.sql(entries, (LINK,)):
            if self.put(path, lambda final: os.symlink(link, final)) and os.utime in os.supports_follow_symlinks:
                os.utime(os.path.join(self.target, path), ns=(mtime, mtime), follow_symlinks=False)
        for path, _, mode, mtime in reversed(folders):  # now, as whatever is put into a folder changes its time
            self.put(path, None, mode, mtime)

# ---- Verbs ---------------------------------------------------------------------------------------------------------
def list_days(store, args):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = "%-13s %-16s %-8s %9s %15s  %-20s  %-10s  %s"
    print(line % ("DAY", "SOURCE", "VERDICT", "FILES", "BYTES", "TIME", "KEPT UNTIL", "OBJECTS"))
    for r in store.records():
        objects = [(store.path + key, size) for key, _, size in r["segments"] + r["packs"]]
        missing = sum(not os.path.isfile(path) or os.path.getsize(path) != size for path, size in objects)
        state = "%d missing or cut" % missing if missing else "all there"
        print(line % (r["day"], r["source"], r["verdict"], r["files"], r["bytes"], r["time"], r["expiry"][:10], state))
        if missing and r["expiry"] > now:  # what has lapsed may be gone
            store.report("%s: %d of its objects are missing or cut" % (r["day"], missing))

def restore_day(store, args):
    check_programs()
    records = [r for r in store.records() if args.source in (None, r["source"])]
    if len({r["source"] for r in records}) > 1:
        raise Stop("this store holds several sources; `list` shows them; choose one with --source ID")
    records = [r for r in records if args.day in ("latest", r["date"], "%s#%d" % (r["date"], r["revision"]))]
    if not records:
        raise Stop("there is no such day; `list` shows all")
    os.makedirs(args.to, exist_ok=True)
    if os.listdir(args.to):
        raise Stop("%s is not empty; restore into a new folder" % args.to)
    key = key_from_file(args.restore_key) if args.restore_key else key_from_holder(store, args.holder, args.identity)
    restore = Restore(store, records[-1], key, args.to)
    try:
        restore.run(not args.no_index)
        if args.sums:
            restore.write_sums(args.sums)
    finally:
        restore.db.close()
        shutil.rmtree(restore.temp, ignore_errors=True)
    print("%s (%s): %d of %d files restored" % (records[-1]["day"], records[-1]["verdict"], restore.good, records[-1]["files"]))
    if not shutil.which("b3sum"):
        print("note: b3sum is not installed, so objects were not compared with their names", file=sys.stderr)
    return 1 if restore.failures else 0

def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that temporary files are removed
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", metavar="STORE")
    verbs = parser.add_subparsers(required=True, metavar="list|restore")
    verbs.add_parser("list", help="show the days").set_defaults(run=list_days)
    p = verbs.add_parser("restore", help="restore a day")
    p.set_defaults(run=restore_day)
    p.add_argument("day", metavar="DAY|latest")
    p.add_argument("--to", metavar="DIR", required=True, help="a folder that is new or empty")
    key = p.add_mutually_exclusive_group(required=True)
    key.add_argument("--restore-key", metavar="FILE", help="the restore key, as it stands on the recovery sheet")
    key.add_argument("--holder", metavar="ID", nargs="?", const="", help="unlock the restore key as this recovery holder")
    p.add_argument("--identity", metavar="FILE", help="the holder's own age or ssh key, instead of a passphrase")
    p.add_argument("--source", metavar="ID", help="which source, if the store holds several")
    p.add_argument("--no-index", action="store_true", help="read the packs' own directories, not the index segments")
    p.add_argument("--sums", metavar="FILE", help="write the SHA-256 of all files, for `sha256sum -c` in DIR")
    try:
        args = parser.parse_args()
        store = Store(args.store)
        code = args.run(store, args)
        return 6 if store.problems else code or 0
    except (Stop, OSError, sqlite3.Error, KeyboardInterrupt) as e:
        print("recover.py:", str(e) or "interrupted", file=sys.stderr)
    except SystemExit as e:  # argparse: wrong usage, or --help
        return 1 if e.code else 0
    return 1

if __name__ == "__main__":
    sys.exit(main())
