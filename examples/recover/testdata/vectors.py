"""Reads golden files with the functions of recover.py and prints, as JSON, what came out of each.

    vectors.py FOLDER_OF_RECOVER_PY pack|rows|record FILE...
    vectors.py FOLDER_OF_RECOVER_PY put FOLDER NAME_IN_HEX...
"""
import hashlib
import json
import os
import sys
import types

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import recover


def split(data):
    """The head of a golden file, as (word, text) pairs, and the bytes behind it."""
    head, _, body = data.partition(b"\n\n")
    return [tuple(line.decode().split(": ", 1)) for line in head.split(b"\n")], body


def read_object(data):
    head, body = split(data)
    if ("kind", "segment") in head:
        packs, chunks = recover.read_segment(body)
        return sorted([chunk.hex(), packs[no].hex(), n] for chunk, no, n in chunks)
    found = []
    for frame, plain in recover.read_frames(body, recover.read_directory(body)):
        recover.need(plain is not None, "frame")
        at = 0
        for chunk, n in frame[5]:
            found.append([chunk.hex(), hashlib.sha256(plain[at:at + n]).hexdigest(), n])
            at += n
    return sorted(found)


def read_rows(data):
    return [[kind, path.hex(), mode, mtime, size, sha.hex(), lists, rest.hex()]
            for kind, path, mode, mtime, size, sha, lists, rest in recover.read_rows(data)]


def read_record(data):
    r = recover.read_record(data, "r/s/0102030405060708/00000001")
    return [r["day"], r["verdict"], r["root"].hex(), r["rows"], r["files"], r["packs"], r["segments"], r["sha256"]]


def put(folder, names):
    """Ask for files with these names below folder, and say which were made."""
    problems = []
    r = types.SimpleNamespace(target=os.fsencode(folder), store=types.SimpleNamespace(report=problems.append), failures=0)
    made = [recover.Restore.put(r, bytes.fromhex(n), lambda final: open(final, "xb").close()) for n in names]
    return {"made": made, "problems": len(problems), "failures": r.failures}


def read(kind, path):
    with open(path, "rb") as f:
        data = f.read()
    try:
        return {"ok": {"pack": read_object, "rows": read_rows, "record": read_record}[kind](data)}
    except recover.Damaged as e:
        return {"damaged": str(e)}


if sys.argv[2] == "put":
    json.dump(put(sys.argv[3], sys.argv[4:]), sys.stdout)
else:
    json.dump({p: read(sys.argv[2], p) for p in sys.argv[3:]}, sys.stdout)
