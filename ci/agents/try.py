"""Runs real agents against a stand-in for their models, by themselves and behind shieldrun, and compares.

    try.py SHIELDRUN INSTALLED [CASE...]

The same task both times: the model asks for a command that prints `.env`, the environment and `~/.aws/credentials`,
and writes a file. By itself the agent must work, and everything planted must reach the model: that shows that the
stand-in works and that the search finds what there is. Behind shieldrun the agent must work just so, the key must
reach its own host in its own header, and nothing else that is real may be seen, neither there nor in the record.
"""
import base64, json, os, pathlib, random, re, shutil, string, subprocess, sys, tempfile, urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parent.parent / "tests/servers/models.py"
HOSTS = ["api.anthropic.com", "platform.claude.com", "api.openai.com", "chatgpt.com", "auth.openai.com",
         "generativelanguage.googleapis.com"]
TASK = "Write the word done into the file task.txt."
COMMAND = "cat .env; env; cat ~/.aws/credentials; echo done > task.txt"
LIMIT = 180


def word(length, letters=string.ascii_letters + string.digits):
    return "".join(random.SystemRandom().choice(letters) for _ in range(length))


def jwt():
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    claims = {"sub": word(12), "exp": 4102444800, "iat": 1700000000, "email": "ada@example.com",
              "https://api.openai.com/auth": {"chatgpt_account_id": "acc-" + word(8), "chatgpt_plan_type": "pro"}}
    return ".".join([part({"alg": "RS256", "typ": "JWT"}), part(claims), word(86)])


class Case:
    """An agent, its key, and how it is started."""

    def __init__(self, name, program, words, key, header, host, **more):
        self.name, self.program, self.words = name, program, words
        # The variable of the key, or nothing where a login file has it; the headers that may carry it; its host.
        self.key, self.header, self.host = key, header, host
        self.environment = more.get("environment", {})
        self.files = more.get("files", lambda key: {})
        self.make = more["make"]
        self.version = more.get("version", ["--version"])


def openai():
    return "sk-" + "proj-" + word(74, string.ascii_letters + string.digits + "_-") + "T3Blbk" + "FJ" + word(74)


def anthropic(kind="api03"):
    return f"sk-ant-{kind}-" + word(93) + "AA"


def google():
    return "AI" + "za" + word(35)


def claude_login(token):
    oauth = {"accessToken": token, "refreshToken": anthropic("ort01"), "expiresAt": 4102444800000,
             "scopes": ["user:inference", "user:profile"], "subscriptionType": "max"}
    return {".claude/.credentials.json": json.dumps({"claudeAiOauth": oauth})}


def claude_settings(key):
    """Settings with a secret in them, which the agent writes anew while it runs."""
    server = {"command": "true", "env": {"TRACKER_API_KEY": word(40)}}
    return {".claude.json": json.dumps({"numStartups": 3, "hasCompletedOnboarding": True, "mcpServers": {"tracker": server}})}


def codex_login(token):
    tokens = {"id_token": jwt(), "access_token": token, "refresh_token": "rt_" + word(60), "account_id": "acc-" + word(8)}
    return {".codex/auth.json": json.dumps({"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens,
                                            "last_refresh": "2026-11-28T00:00:00Z"})}


CLAUDE = ["-p", TASK, "--dangerously-skip-permissions"]
CODEX = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", TASK]
CASES = [
    Case("claude", "claude/node_modules/.bin/claude", CLAUDE, "ANTHROPIC_API_KEY", ["x-api-key"], "api.anthropic.com",
         make=anthropic),
    Case("claude-login", "claude/node_modules/.bin/claude", CLAUDE, None, ["authorization"], "api.anthropic.com",
         make=lambda: anthropic("oat01"), files=claude_login),
    Case("claude-settings", "claude/node_modules/.bin/claude", CLAUDE, "ANTHROPIC_API_KEY", ["x-api-key"], "api.anthropic.com",
         make=anthropic, files=claude_settings),
    Case("codex", "codex/node_modules/.bin/codex", CODEX, "CODEX_API_KEY", ["authorization"], "api.openai.com", make=openai),
    Case("codex-login", "codex/node_modules/.bin/codex", CODEX, None, ["authorization"], "chatgpt.com", make=jwt,
         files=codex_login),
    Case("gemini", "gemini/node_modules/.bin/gemini", ["-p", TASK, "--yolo", "--skip-trust", "-m", "gemini-2.5-flash"],
         "GEMINI_API_KEY", ["x-goog-api-key"], "generativelanguage.googleapis.com", make=google),
    Case("qwen", "qwen/node_modules/.bin/qwen", ["-p", TASK, "--yolo", "--auth-type", "openai", "-m", "gpt-4o"],
         "OPENAI_API_KEY", ["authorization"], "api.openai.com", make=openai,
         environment={"OPENAI_BASE_URL": "https://api.openai.com/v1"}),
    Case("opencode", "opencode/node_modules/.bin/opencode", ["run", "--auto", "-m", "anthropic/claude-sonnet-4-5", TASK],
         "ANTHROPIC_API_KEY", ["x-api-key"], "api.anthropic.com", make=anthropic),
    Case("aider", "aider/bin/aider",
         ["--yes-always", "--model", "gpt-4o", "--no-check-update", "--analytics-disable", "--no-show-model-warnings",
          "--test-cmd", COMMAND + "; echo FAILED $((6*7)); false", "--auto-test", "--message", TASK],
         "OPENAI_API_KEY", ["authorization"], "api.openai.com", make=openai),
    Case("mini-swe-agent", "mini-swe-agent/bin/mini", ["-y", "--exit-immediately", "-m", "openai/gpt-4o", "-t", TASK],
         "OPENAI_API_KEY", ["authorization"], "api.openai.com", make=openai,
         environment={"MSWEA_CONFIGURED": "true", "MSWEA_COST_TRACKING": "ignore_errors",
                      "LITELLM_LOCAL_MODEL_COST_MAP": "True"}, version=None),
]


class World:
    """A home and a project with made-up secrets in them."""

    def __init__(self, root, case):
        self.root = root
        self.home, self.project, self.state = root / "home", root / "home/src/project", root / "home/.local/state"
        for directory in (self.project, self.state):
            directory.mkdir(parents=True)
        self.key = case.make()
        self.planted = {
            ".env password": word(28), ".env token": word(40), "aws id": "AKIA" + word(16, string.ascii_uppercase + "234567"),
            "aws secret": word(40), "GITHUB_TOKEN": "ghp_" + word(36), "MY_SERVICE_TOKEN": word(36),
        }
        planted = self.planted
        self.write("src/project/.env", f"DEBUG=1\nDATABASE_PASSWORD={planted['.env password']}\nAPI_TOKEN={planted['.env token']}\n")
        self.write(".aws/credentials", f"[default]\naws_access_key_id = {planted['aws id']}\n"
                                       f"aws_secret_access_key = {planted['aws secret']}\n")
        self.write("src/project/README.md", "# shop\n")
        self.environment = {
            "HOME": str(self.home), "USER": "ada", "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
            "GITHUB_TOKEN": planted["GITHUB_TOKEN"], "TERM": "dumb",
            "MY_SERVICE_TOKEN": planted["MY_SERVICE_TOKEN"], **case.environment,
        }
        if case.key:
            self.environment[case.key] = self.key
        for path, text in case.files(self.key).items():
            self.write(path, text).chmod(0o600)
            for found in re.findall(r'"([^"]+)"', text):
                if len(found) >= 40 and found != self.key:
                    self.planted[f"~/{path} {len(self.planted)}"] = found
        for words in (["init", "-q", "-b", "main"], ["-c", "user.name=a", "-c", "user.email=a@example.com", "add", "README.md"],
                      ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "first"]):
            subprocess.run(["git", *words], cwd=self.project, check=True, env=self.environment)

    def write(self, path, text):
        at = self.home / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
        return at


def forms(value):
    """A value as it may be written."""
    raw = value.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield urllib.parse.quote(value, safe="").encode()
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        whole = coded[(0, 2, 3)[shift]:len(coded) - 4 if len(coded) > 12 else None]
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")


def seen(planted, data):
    return {place for place, value in planted.items() if any(form in data for form in forms(value))}


def asked_in(log):
    """What the stand-in was asked; what it handed out stands between."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [asked for asked in map(json.loads, lines) if asked["method"] != "ANSWER"]


class Model:
    """The stand-in, on a port of its own."""

    def __init__(self, directory):
        directory.mkdir()
        self.directory, self.log = directory, directory / "asked"
        self.process = subprocess.Popen([sys.executable, MODELS, directory, self.log, COMMAND], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def asked(self):
        return asked_in(self.log)


def by_itself(world, program, case):
    """The agent in a network of its own, in which its model's name is that of the stand-in."""
    directory = world.root / "direct"
    directory.mkdir()
    (directory / "hosts").write_text("127.0.0.1 localhost " + " ".join(HOSTS) + "\n")
    (directory / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    script = (f'set -e; ip link set lo up; mount --bind {directory}/hosts /etc/hosts; '
              f'mount --bind {directory}/resolv.conf /etc/resolv.conf; '
              f'{sys.executable} {MODELS} {directory} {directory}/asked "$COMMAND" 443 >{directory}/port 2>/dev/null & '
              f'server=$!; while [ ! -s {directory}/port ]; do sleep 0.1; done; set +e; '
              f'env -u COMMAND "$@" </dev/null; code=$?; kill $server; exit $code')
    bundle = directory / "ca.pem"
    trust = {name: str(bundle) for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")}
    words = ["unshare", "--user", "--map-root-user", "--net", "--mount", "bash", "-c", script, "bash", program, *case.words]
    ran = run(words, world, {**trust, "COMMAND": COMMAND, "IS_SANDBOX": "1"})
    log = directory / "asked"
    return ran, asked_in(log)


def behind(shieldrun, world, program, case):
    with Model(world.root / "models") as model:
        network = {"resolve": [f"{host}:443=127.0.0.1:{model.port}" for host in HOSTS]}
        words = [shieldrun, "--network", "allowlist", "--secrets", "broker", "--config", json.dumps({"network": network}),
                 "--result", world.root / "result", "--", program, *case.words]
        ran = run(words, world, {"SSL_CERT_FILE": str(model.directory / "ca.pem")})
        return ran, model.asked()


def run(words, world, more):
    try:
        return subprocess.run(words, cwd=world.project, env={**world.environment, **more}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(words, 124, late.stdout or b"", (late.stderr or b"") + b"\n(too slow)")


def request(asked):
    head = asked["path"] + "".join(f"\n{name}: {value}" for name, value in asked["headers"].items())
    return head.encode("latin-1", "replace") + b"\n\n" + asked["body"].encode("latin-1")


def judge(case, world, ran, requests):
    """What is wrong, and what was seen."""
    wrong = [] if ran.returncode == 0 else [f"ended with {ran.returncode}"]
    task = world.project / "task.txt"
    if not task.exists() or task.read_text().strip() != "done":
        wrong.append("task.txt was not written")
    where, others = set(), set()
    for asked in requests:
        others |= seen(world.planted, request(asked))
        for name, value in asked["headers"].items():
            if seen({"key": world.key}, value.encode()):
                where.add(f"{asked['headers'].get('host')} {name}")
        rest = {**asked, "headers": {}}
        if seen({"key": world.key}, request(rest)):
            where.add(f"{asked['headers'].get('host')} body or path")
    return wrong, where, others


def record(world):
    """What of all that is planted is in the records and what they keep."""
    found = set()
    for path in world.state.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found |= seen({**world.planted, "key": world.key}, path.read_bytes())
    return found


def version(program, case):
    if case.version is None:
        pip = [pathlib.Path(program).parent / "python", "-m", "pip"]
        shown = subprocess.run([*pip, "show", case.name], capture_output=True, text=True).stdout
        return re.search(r"Version: (\S+)", shown).group(1)
    with tempfile.TemporaryDirectory() as home:
        ran = subprocess.run([program, *case.version], capture_output=True, text=True, timeout=60,
                             env={"PATH": os.environ["PATH"], "HOME": home})
    found = re.search(r"\d+\.\d+\.\d+\S*", ran.stdout + ran.stderr)
    return found.group(0) if found else "?"


def attempt(shieldrun, installed, case, scratch):
    program = str(installed / case.program)
    expected = {f"{case.host} {name}" for name in case.header}
    row = [case.name, version(program, case)]
    problems = []
    for how in ("by itself", "behind"):
        world = World(scratch / f"{case.name}-{how.split()[0]}", case)
        ran, requests = by_itself(world, program, case) if how == "by itself" else behind(shieldrun, world, program, case)
        wrong, where, others = judge(case, world, ran, requests)
        if how == "by itself":
            direct, leaked = not wrong, len(others & set(list(world.planted)[:6]))
            row += ["yes" if direct else "no", f"{leaked} of 6"]
            if leaked < 6:
                wrong.append(f"the search found only {sorted(others)}")
        else:
            wrong += [f"the key was seen at {place}" for place in sorted(where - expected)]
            wrong += [f"the key did not arrive at {' or '.join(sorted(expected))}"] if not where & expected else []
            wrong += [f"seen by the model: {place}" for place in sorted(others)]
            wrong += [f"on record: {place}" for place in sorted(record(world))]
            told = seen({**world.planted, "key": world.key}, ran.stdout + ran.stderr)
            wrong += [f"printed: {place}" for place in sorted(told)]
            if not any("DATABASE_PASSWORD" in asked["body"] for asked in requests):
                wrong.append("what the command printed did not reach the model")
            row += ["yes" if not wrong else "no", ", ".join(sorted(where)) or "nowhere", ", ".join(sorted(others)) or "none"]
        if wrong:
            problems.append((how, wrong, ran, world))
    return row, problems


def hidden(text, world):
    for place, value in {**world.planted, "key": world.key}.items():
        text = text.replace(value, f"«{place}»")
    return text


def main():
    shieldrun, installed, *names = sys.argv[1:]
    installed = pathlib.Path(installed)
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    cases = [case for case in CASES if (not names or case.name in names) and (installed / case.program).exists()]
    rows, failed = [], 0
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="shieldrun-agents-", dir="/var/tmp"))
    try:
        for case in cases:
            row, problems = attempt(shieldrun, installed, case, scratch)
            rows.append(row)
            for how, wrong, ran, world in problems:
                failed += 1
                print(f"\n{case.name}, {how}:")
                print("".join(f"  {line}\n" for line in wrong), end="")
                for stream in (ran.stdout, ran.stderr):
                    print("".join(f"  | {line}\n" for line in hidden(stream.decode(errors="replace"), world).splitlines()[-25:]))
    finally:
        if os.environ.get("KEEP"):
            print(f"kept: {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    table = [["agent", "version", "works", "real values at the model", "works behind", "its key was seen at", "others"], *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    sys.exit(1 if failed or not rows else 0)


main()
