"""A TLS server that stands for several hosts, with an authority of its own, and beside it one without TLS; says
their ports.

Arguments: a directory for key and certificates, a file for what it was asked, an AWS key id and its secret.
What is asked goes to the file, a JSON object a line. Of AWS requests the signature is checked. `/repo.git` is a
repository, for those who name themselves.
"""
import hashlib, hmac, http.server, json, os, secrets, ssl, subprocess, sys, threading

directory, log, key_id, secret = sys.argv[1:5]
HOSTS = ["api.anthropic.com", "api.github.com", "api.example.com", "api.openai.com", "github.com",
         "sts.us-east-1.amazonaws.com"]


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificates():
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=suite")
    openssl("req", *curve, "-keyout", "key", "-out", "request", "-subj", "/CN=suite")
    with open(os.path.join(directory, "names"), "w") as names:
        names.write("subjectAltName=" + ",".join("DNS:" + host for host in HOSTS))
    openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "cert",
            "-days", "2", "-extfile", "names")


def signed(handler, body):
    """Whether an AWS signature (version 4, in the header) is that of our secret."""
    words = handler.headers["Authorization"].split(" ", 1)[1].split(", ")
    fields = dict(word.strip().split("=", 1) for word in words)
    own, date, region, service, _ = fields["Credential"].split("/")
    names = fields["SignedHeaders"].split(";")
    headers = "".join(f"{name}:{' '.join(handler.headers[name].split())}\n" for name in names)
    path, _, query = handler.path.partition("?")
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join([handler.command, path, query, headers, fields["SignedHeaders"], digest])
    scope = "/".join([date, region, service, "aws4_request"])
    text = "\n".join(["AWS4-HMAC-SHA256", handler.headers["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for word in [date, region, service, "aws4_request"]:
        key = hmac.new(key, word.encode(), "sha256").digest()
    return own == key_id and hmac.compare_digest(hmac.new(key, text.encode(), "sha256").hexdigest(), fields["Signature"])


def repository():
    def git(*words):
        own = ["-c", "user.name=suite", "-c", "user.email=suite@example.com", "-c", "safe.directory=*"]
        subprocess.run(["git", *own, *words], check=True, cwd=directory, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"], "HOME": directory})

    git("init", "-q", "--bare", "repo.git")
    tree = subprocess.run(["git", "--git-dir=repo.git", "mktree"], cwd=directory, input=b"", stdout=subprocess.PIPE,
                          check=True).stdout.decode().strip()
    commit = subprocess.run(["git", "--git-dir=repo.git", "-c", "user.name=suite", "-c", "user.email=s@example.com",
                             "commit-tree", tree, "-m", "the only one"], cwd=directory, stdout=subprocess.PIPE,
                            check=True).stdout.decode().strip()
    git("--git-dir=repo.git", "update-ref", "refs/heads/main", commit)
    git("--git-dir=repo.git", "symbolic-ref", "HEAD", "refs/heads/main")
    git("--git-dir=repo.git", "update-server-info")


def from_repository(handler):
    """The file of a repository that is asked for, as the dumb protocol has it."""
    if not handler.headers.get("Authorization"):
        return 401, b"who are you?"
    path = os.path.normpath(os.path.join(directory, handler.path.partition("?")[0].lstrip("/")))
    if not path.startswith(os.path.join(directory, "repo.git")) or not os.path.isfile(path):
        return 404, b"no such file"
    return 200, open(path, "rb").read()


IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/suite</Arn><UserId>U</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
DENIED = b"""<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>
<Message>no</Message></Error></ErrorResponse>"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def chunks(self):
        """A body of chunks; none where it broke off."""
        body = b""
        while line := self.rfile.readline():
            size = int(line, 16)
            body += self.rfile.read(size + 2)[:size]
            if not size:
                return body

    def answer(self):
        chunked = self.headers.get("Transfer-Encoding") == "chunked"
        body = self.chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if body is None:
            self.close_connection = True
            return
        with open(log, "a") as seen:
            headers = {name.lower(): value for name, value in self.headers.items()}
            json.dump({"method": self.command, "path": self.path, "headers": headers, "body": body.decode("latin-1")}, seen)
            seen.write("\n")
        kind = "text/plain"
        code, said = 200, ("you are " + str(self.headers.get("Authorization") or self.headers.get("x-api-key"))).encode()
        if self.headers["Host"].startswith("sts."):
            code, said = (200, IDENTITY) if signed(self, body) else (403, DENIED)
        if self.path == "/login/oauth/access_token":
            tokens = {name: "made-" + secrets.token_hex(20) for name in ("access_token", "refresh_token")}
            with open(log, "a") as seen:
                seen.write(json.dumps({"method": "ANSWER", "path": self.path, "body": tokens}) + "\n")
            kind, said = "application/json", json.dumps(tokens).encode()
        if self.path.startswith("/repo.git"):
            code, said = from_repository(self)
        self.send_response(code)
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="suite"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *words):
        pass


certificates()
repository()
plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=plain.serve_forever, daemon=True).start()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(directory, "cert"), os.path.join(directory, "key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, plain.server_port, flush=True)
server.serve_forever()
