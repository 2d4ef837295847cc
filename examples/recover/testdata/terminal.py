"""Runs a program on a terminal of its own and types an answer when it asks for a passphrase: terminal.py ANSWER PROGRAM ARG..."""
import os
import pty
import sys

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
said = b""
try:
    while b"passphrase:" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, sys.argv[1].encode() + b"\n")
    while True:
        said += os.read(terminal, 4096)
except OSError:
    pass  # the program has ended
status = os.waitpid(pid, 0)[1]
print(said.decode("utf-8", "replace"))
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
