"""A TLS server with one package for each of pip, npm and cargo, and an authority of its own; says its port.

Argument: a directory. Each package is called `hello`; cargo's index is a repository, as its older form has it.
"""
import functools, hashlib, http.server, io, json, os, ssl, subprocess, sys, tarfile, zipfile

directory = sys.argv[1]
root = os.path.join(directory, "root")
HOST = "index.example.com"


def run(*words, at=directory):
    environment = {"PATH": os.environ["PATH"], "HOME": directory, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(words, check=True, cwd=at, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def certificates():
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=suite")
    run("openssl", "req", *curve, "-keyout", "key", "-out", "request", "-subj", "/CN=suite")
    with open(os.path.join(directory, "names"), "w") as names:
        names.write("subjectAltName=DNS:" + HOST)
    run("openssl", "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
        "cert", "-days", "2", "-extfile", "names")


def put(path, content):
    path = os.path.join(root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def packed(files):
    """A tar of these, compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


def for_pip():
    wheel, about = "hello-1.0-py3-none-any.whl", "hello-1.0.dist-info"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("hello.py", "print('hello from pip')\n")
        archive.writestr(about + "/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
        archive.writestr(about + "/WHEEL", "Wheel-Version: 1.0\nGenerator: suite\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(about + "/RECORD", f"hello.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    put("files/" + wheel, out.getvalue())
    put("simple/hello/index.html", f'<!DOCTYPE html><a href="/files/{wheel}">{wheel}</a>'.encode())


def for_npm():
    package = {"name": "hello", "version": "1.0.0", "main": "index.js"}
    archive = packed({"package/package.json": json.dumps(package), "package/index.js": "console.log('hello from npm')\n"})
    put("files/hello-1.0.0.tgz", archive)
    tarball = {"tarball": f"https://{HOST}/files/hello-1.0.0.tgz", "shasum": hashlib.sha1(archive).hexdigest()}
    about = {"name": "hello", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {**package, "dist": tarball}}}
    put("npm/hello", json.dumps(about).encode())


def for_cargo():
    manifest = '[package]\nname = "hello"\nversion = "1.0.0"\nedition = "2021"\n'
    code = 'pub fn hello() -> &\'static str { "hello from cargo" }\n'
    crate = packed({"hello-1.0.0/Cargo.toml": manifest, "hello-1.0.0/src/lib.rs": code})
    put("crates/hello/1.0.0/download", crate)
    line = {"name": "hello", "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate).hexdigest(), "features": {},
            "yanked": False}
    work = os.path.join(directory, "work")
    os.makedirs(os.path.join(work, "he/ll"))
    with open(os.path.join(work, "config.json"), "w") as file:
        json.dump({"dl": f"https://{HOST}/crates"}, file)
    with open(os.path.join(work, "he/ll/hello"), "w") as file:
        file.write(json.dumps(line) + "\n")
    git = ["git", "-c", "user.name=suite", "-c", "user.email=suite@example.com"]
    run("git", "init", "-q", "--initial-branch=master", at=work)
    run(*git, "add", ".", at=work)
    run(*git, "commit", "-q", "-m", "the index", at=work)
    run("git", "clone", "-q", "--bare", work, os.path.join(root, "cargo.git"))
    run("git", "update-server-info", at=os.path.join(root, "cargo.git"))


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass


certificates()
for_pip()
for_npm()
for_cargo()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=root))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(directory, "cert"), os.path.join(directory, "key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
