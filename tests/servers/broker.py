"""A TLS server that stands for several hosts, with an authority of its own; says its port.

Arguments: a directory for key and certificates, a file for what it was asked, an AWS key id and its secret.
What is asked goes to the file, a JSON object a line. Of AWS requests the signature is checked.
"""
import hashlib, hmac, http.server, json, os, ssl, subprocess, sys

directory, log, key_id, secret = sys.argv[1:5]
HOSTS = ["api.anthropic.com", "api.github.com", "api.example.com", "sts.us-east-1.amazonaws.com"]


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


IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/suite</Arn><UserId>U</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
DENIED = b"""<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>
<Message>no</Message></Error></ErrorResponse>"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with open(log, "a") as seen:
            headers = {name.lower(): value for name, value in self.headers.items()}
            json.dump({"path": self.path, "headers": headers, "body": body.decode("latin-1")}, seen)
            seen.write("\n")
        code, said = 200, ("you are " + str(self.headers.get("Authorization") or self.headers.get("x-api-key"))).encode()
        if self.headers["Host"].startswith("sts."):
            code, said = (200, IDENTITY) if signed(self, body) else (403, DENIED)
        self.send_response(code)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *words):
        pass


certificates()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(directory, "cert"), os.path.join(directory, "key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
