"""A receiver of events on a unix socket that writes down what it gets.

    receive.py stream PATH LOG [CLOSE_AFTER…]   lines; a connection is closed after so many, with what is unread
    receive.py datagram PATH LOG                one datagram a line of LOG, as a JSON string
    receive.py deaf PATH LOG                    listens, and never reads

Says `ready` when it listens.
"""

import json
import os
import socket
import sys

how, path, log, *rest = sys.argv[1:]
out = open(log, "ab", buffering=0)
kind = socket.SOCK_DGRAM if how == "datagram" else socket.SOCK_STREAM
here = socket.socket(socket.AF_UNIX, kind)
if os.path.exists(path):
    os.unlink(path)
here.bind(path)
if how != "datagram":
    here.listen(1)
print("ready", flush=True)
if how == "deaf":
    while True:
        kept = here.accept()
if how == "datagram":
    while True:
        out.write(json.dumps(here.recv(1 << 20).decode()).encode() + b"\n")
closings = [int(word) for word in rest]
while True:
    stream, _ = here.accept()
    lines = stream.makefile("rb", buffering=0)
    most = closings.pop(0) if closings else None
    count = 0
    while most is None or count < most:
        # One byte after the other: what follows the last line stays unread, as with a receiver that dies.
        line = b""
        while not line.endswith(b"\n"):
            byte = lines.read(1)
            if not byte:
                break
            line += byte
        if not line.endswith(b"\n"):
            break
        out.write(line)
        count += 1
    lines.close()
    stream.close()
