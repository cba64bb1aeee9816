"""What the way to the network costs: requests on a warm connection, and bytes a second both ways, to a TLS server on
loopback. Direct, through shieldrun without and with its broker, and through the proxies of others where they are there
(`MITMDUMP`, `SRT`).

Arguments: the binary and a scratch directory. With `ask`, it is the client, which runs inside.
"""
import atexit, base64, json, os, shlex, shutil, socket, ssl, statistics, subprocess, sys, threading, time, urllib.parse

HOST, REQUESTS, MEGABYTES = "api.example.com", 400, 256
# Text, which costs a scan more than zeros do.
BLOCK = base64.b64encode(os.urandom(3 << 18))


def ask(host, port, proxy, authority):
    """The client: prints its figures as JSON."""
    if proxy:
        proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"] if proxy == "told" else proxy)
        plain = socket.create_connection((proxy.hostname, proxy.port))
        login = f"{proxy.username}:{proxy.password}".encode()
        login = f"Proxy-Authorization: Basic {base64.b64encode(login).decode()}\r\n" if proxy.username else ""
        plain.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{login}\r\n".encode())
        if b" 200" not in plain.recv(4096):
            sys.exit("the proxy refuses")
    else:
        plain = socket.create_connection((host, port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = ssl.create_default_context(cafile=authority or None)
    tls = context.wrap_socket(plain, server_hostname=host)
    buffer = bytearray(1 << 20)

    def request(path, length=0):
        tls.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n".encode())

    def answer():
        head = b""
        while b"\r\n\r\n" not in head:
            got = tls.recv(1 << 16)
            if not got:
                sys.exit(f"closed: {head[:300]}")
            head += got
        head, rest = head.split(b"\r\n\r\n", 1)
        if b" 200 " not in head.split(b"\r\n")[0]:
            sys.exit(f"refused: {head} {rest[:300]}")
        if b"chunked" in head.lower():
            # The text has no end of a line in it.
            while not rest.endswith(b"0\r\n\r\n"):
                got = tls.recv_into(buffer) or sys.exit("closed")
                rest = (rest + bytes(buffer[max(0, got - 8):got]))[-8:]
            return
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        left = length - len(rest)
        while left:
            left -= tls.recv_into(buffer, min(left, len(buffer))) or sys.exit("closed")

    times = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        request("/small")
        answer()
        times.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    request("/down")
    answer()
    down = (MEGABYTES << 20) * 8 / (time.perf_counter() - begun)
    begun = time.perf_counter()
    request("/up", MEGABYTES << 20)
    for _ in range(MEGABYTES):
        tls.sendall(BLOCK)
    answer()
    up = (MEGABYTES << 20) * 8 / (time.perf_counter() - begun)
    print(json.dumps([statistics.median(times) * 1000, down / 1e9, up / 1e9]))


def serve(tls):
    """The server of one connection."""
    buffer, waiting = bytearray(1 << 20), b""
    while True:
        while b"\r\n\r\n" not in waiting:
            got = tls.recv(1 << 16)
            if not got:
                return
            waiting += got
        head, waiting = waiting.split(b"\r\n\r\n", 1)
        lines = head.lower().split(b"\r\n")
        left = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
        left, waiting = left - len(waiting[:left]), waiting[left:]
        while left:
            left -= tls.recv_into(buffer, min(left, len(buffer)))
        large = b" /down " in head.split(b"\r\n")[0]
        length = MEGABYTES << 20 if large else 2
        tls.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + (b"" if large else b"{}"))
        for _ in range(MEGABYTES if large else 0):
            tls.sendall(BLOCK)


def listen(directory):
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=bench")
    openssl("req", *curve, "-keyout", "key", "-out", "request", "-subj", "/CN=bench")
    with open(os.path.join(directory, "names"), "w") as names:
        names.write(f"subjectAltName=DNS:{HOST},DNS:localhost")
    openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "cert",
            "-days", "2", "-extfile", "names")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, "cert"), os.path.join(directory, "key"))
    server = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            plain, _ = server.accept()
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def one(plain=plain):
                try:
                    serve(context.wrap_socket(plain, server_side=True))
                except OSError:
                    pass

            threading.Thread(target=one, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server.getsockname()[1]


def client(*words):
    return ["/usr/bin/python3", "network.py", "ask", *map(str, words)]


def shieldrun(binary, port, secrets):
    network = {"mode": "allowlist", "allow": [HOST], "resolve": [f"{HOST}:443=127.0.0.1:{port}"]}
    config = json.dumps({"network": network, "secrets": {"mode": secrets}})
    authority = "" if secrets == "broker" else "ca.pem"
    return [binary, "--config", config, "--", *client(HOST, 443, "", authority)]


def mitmproxy(program, directory):
    """Starts it; its port, and whom its clients have to trust."""
    home = os.path.join(directory, "mitm")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["-q", "--listen-host", "127.0.0.1", "-p", str(port), "--ssl-insecure", "--set", f"confdir={home}",
             "--set", "stream_large_bodies=1m"]
    process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL)
    # Also where a figure cannot be had and all ends there.
    atexit.register(process.wait)
    atexit.register(process.terminate)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return port, os.path.join(home, "mitmproxy-ca-cert.pem")
        except OSError:
            time.sleep(0.1)
    sys.exit("mitmproxy does not start")


def main(binary, directory):
    # All that the client reads lies in the workspace: inside there is nothing else of these directories.
    project, home = os.path.join(directory, "network"), os.path.join(directory, "home")
    for made in [project, home]:
        os.makedirs(made, exist_ok=True)
    shutil.copy(__file__, os.path.join(project, "network.py"))
    port = listen(project)
    cert = os.path.join(project, "ca.pem")
    environment = {"PATH": os.environ["PATH"], "HOME": home, "SSL_CERT_FILE": cert}
    environment |= {f"SERVICE_{number}_TOKEN": os.urandom(20).hex() for number in range(20)}
    ways = {"direct": client("localhost", port, "", cert)}
    for name, secrets in [("shieldrun", "synthetic"), ("shieldrun, broker", "broker")]:
        ways[name] = shieldrun(binary, port, secrets)
    if os.environ.get("MITMDUMP"):
        at, authority = mitmproxy(os.environ["MITMDUMP"], directory)
        ways["mitmproxy"] = client("localhost", port, f"http://127.0.0.1:{at}", authority)
    if os.environ.get("SRT"):
        settings = os.path.join(directory, "srt.json")
        with open(settings, "w") as file:
            network = {"allowedDomains": ["localhost"], "deniedDomains": [], "allowLocalBinding": True}
            rules = {"denyRead": [], "allowWrite": [project], "denyWrite": []}
            json.dump({"network": network, "filesystem": rules}, file)
        ways["srt"] = [os.environ["SRT"], "-s", settings, "-c", shlex.join(client("localhost", port, "told", cert))]
    rounds = {name: [] for name in ways}
    for _ in range(3):
        for name, words in ways.items():
            ran = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True)
            if ran.returncode:
                sys.exit(f"{name}: {ran.stderr}{ran.stdout}")
            rounds[name].append(json.loads(ran.stdout))
    print(f"{'a request, bytes down, bytes up':<34} {'ms':>9} {'Gbit/s':>9} {'Gbit/s':>9}")
    for name, figures in rounds.items():
        request, down, up = (statistics.median(column) for column in zip(*figures))
        print(f"{name:<34} {request:>9.3f} {down:>9.2f} {up:>9.2f}")


if __name__ != "__main__":
    pass
elif sys.argv[1] == "ask":
    ask(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
else:
    main(*sys.argv[1:3])
