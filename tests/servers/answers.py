"""An HTTP server on loopback that answers by a script and writes down what it was asked.

    answers.py LOG [--tls CERT KEY] STEP…

Each request gets the next step, and the last step again and again: `200`, `200={"body": 1}`, `429;7` (with
Retry-After), `hang`, `close`. The port is the first line of stdout. LOG gets one JSON object a request.
"""

import json
import socket
import ssl
import sys
import threading
import time


def request(stream):
    head = b""
    while b"\r\n\r\n" not in head:
        more = stream.recv(65536)
        if not more:
            return None
        head += more
    head, body = head.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += stream.recv(65536)
        whole, rest = b"", body
        while rest and not rest.startswith(b"0\r\n"):
            size, rest = rest.split(b"\r\n", 1)
            whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        body = whole
    while len(body) < int(headers.get("content-length", 0)):
        body += stream.recv(65536)
    return lines[0], headers, body.decode()


def serve(stream, log, steps, lock):
    try:
        while (asked := request(stream)) is not None:
            line, headers, body = asked
            is_tunnel = line.startswith("CONNECT")
            with lock:
                step = "200" if is_tunnel else steps.pop(0) if len(steps) > 1 else steps[0]
                entry = {"line": line, "headers": headers, "body": body, "at": time.monotonic(), "step": step}
                log.write(json.dumps(entry) + "\n")
                log.flush()
            if is_tunnel:
                stream.sendall(b"HTTP/1.1 200 Established\r\n\r\n")
                continue
            if step == "close":
                return
            if step == "hang":
                time.sleep(3600)
            status, _, text = step.partition("=")
            status, _, wait = status.partition(";")
            more = f"Retry-After: {wait}\r\n" if wait else ""
            answer = f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(text.encode())}\r\n\r\n{text}"
            stream.sendall(answer.encode())
    except OSError:
        pass
    finally:
        stream.close()


def main():
    words = sys.argv[1:]
    log, context = open(words.pop(0), "a"), None
    if words[0] == "--tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(words[1], words[2])
        words = words[3:]
    lock, listener = threading.Lock(), socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        stream, _ = listener.accept()
        if context:
            try:
                stream = context.wrap_socket(stream, server_side=True)
            except OSError:
                continue
        threading.Thread(target=serve, args=(stream, log, words, lock), daemon=True).start()


main()
