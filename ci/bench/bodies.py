"""Bodies of many gigabytes through the broker, both ways, and what memory the launcher has meanwhile.

Arguments: the binary, a scratch directory, and how many bodies of 10^9 bytes make one (10). One download, an upload below
the limit of 8 GiB, which passes, and one above it in chunks, which is cut off there. With `ask`, it is the client, which
runs inside.
"""
import json, os, shutil, socket, ssl, subprocess, sys, threading, time
import network

LIMIT = 8 << 30


def ask(host, way, length):
    """The client: says the status, and how many bytes went through."""
    tls = ssl.create_default_context().wrap_socket(socket.create_connection((host, 443)), server_hostname=host)
    said = {"down": f"GET /down/{length}", "up": "POST /up", "chunks": "POST /up"}[way]
    more = {"down": "", "up": f"Content-Length: {length}\r\n", "chunks": "Transfer-Encoding: chunked\r\n"}[way]
    tls.sendall(f"{said} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
    left = 0 if way == "down" else length
    try:
        while left:
            part = network.BLOCK[:left]
            tls.sendall(part if way == "up" else b"%x\r\n%s\r\n" % (len(part), part))
            left -= len(part)
        if way == "chunks":
            tls.sendall(b"0\r\n\r\n")
    except OSError:
        pass
    head, got, buffer = b"", 0, bytearray(1 << 20)
    while b"\r\n\r\n" not in head and (part := tls.recv(1 << 16)):
        head += part
    got = len(head.partition(b"\r\n\r\n")[2])
    while way == "down" and got < length:
        got += tls.recv_into(buffer) or sys.exit("closed")
    print(json.dumps([int(head.split()[1]), got if way == "down" else length - left]))


def serve(tls):
    """The server of one connection: its bodies are thrown away, and counted."""
    file, buffer = tls.makefile("rb", 1 << 20), bytearray(1 << 20)
    while line := file.readline():
        headers = {}
        while (header := file.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            headers[name.lower()] = value.strip()
        if headers.get(b"transfer-encoding") == b"chunked":
            while size := int(file.readline() or b"0", 16):
                COUNTED.append(len(file.read(size + 2)) - 2)
            file.readline()
        else:
            left = int(headers.get(b"content-length", 0))
            while left and (read := file.readinto(memoryview(buffer)[:min(left, len(buffer))])):
                left -= read
                COUNTED.append(read)
        path = line.split()[1].split(b"/")
        length = int(path[2]) if path[1] == b"down" else 0
        tls.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
        while length:
            part = network.BLOCK[:length]
            tls.sendall(part)
            length -= len(part)


COUNTED = []


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmRSS"].split()[0]) / 1024


def main(binary, directory, count):
    project, home = os.path.join(directory, "bodies"), os.path.join(directory, "home")
    for made in [project, home]:
        os.makedirs(made, exist_ok=True)
    for name in ["network.py", "bodies.py"]:
        shutil.copy(os.path.join(os.path.dirname(__file__), name), project)
    network.serve = serve
    port = network.listen(project)
    environment = {"PATH": os.environ["PATH"], "HOME": home, "SSL_CERT_FILE": os.path.join(project, "ca.pem")}
    environment |= {f"SERVICE_{number}_TOKEN": os.urandom(20).hex() for number in range(20)}
    config = {"network": {"mode": "allowlist", "allow": [network.HOST], "resolve": [f"{network.HOST}:443=127.0.0.1:{port}"]},
              "secrets": {"mode": "broker"}}
    for way, length in [("down", count * 10**9), ("up", min(count * 10**9, LIMIT - 1)), ("chunks", count * 10**9)]:
        COUNTED.clear()
        words = [binary, "--config", json.dumps(config), "--", "/usr/bin/python3", "bodies.py", "ask", network.HOST, way, str(length)]
        begun, sizes = time.monotonic(), []
        running = subprocess.Popen(words, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while running.poll() is None:
            try:
                sizes.append(status(running.pid))
            except (OSError, KeyError):
                break
            time.sleep(0.25)
        said, errors = running.communicate()
        if running.returncode:
            sys.exit(f"{way}: {errors}{said}")
        code, through = json.loads(said)
        took = time.monotonic() - begun
        # The first second is the start, with all that it reads.
        early, late = sizes[4:8] or sizes, sizes[-8:-2] or sizes
        print(f"{way:<7} {length:>12} bytes: {code}, {through} of them through the guest, {sum(COUNTED)} at the server, {took:.0f} s; "
              f"the launcher {max(early):.1f} MiB at the start, {max(late):.1f} at the end, {max(sizes):.1f} at most", flush=True)


if sys.argv[1] == "ask":
    ask(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    main(sys.argv[1], sys.argv[2], int((sys.argv[3:] or ["10"])[0]))
