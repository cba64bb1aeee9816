"""Measures shieldrun beside bubblewrap, unshare and nothing, and prints a table.

Everything that is compared is run in turn, round by round, so that a change of the machine's mood meets all
of it; what is printed are medians and the ratio of medians.
"""

import datetime
import fcntl
import json
import os
import pathlib
import pty
import random
import shutil
import statistics
import string
import struct
import subprocess
import sys
import termios
import time

SHIELDRUN, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2])
QUICK = "--quick" in sys.argv[3:]
HOME = SCRATCH / "home"
MICRO = str(SCRATCH / "micro")
# What comes from a registry is kept there between runs.
BENCH = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")).resolve() / "bench"
DEVNULL = os.open(os.devnull, os.O_RDWR)


def word(length):
    return "".join(random.choices(string.ascii_letters + string.digits, k=length))


def environment(secrets):
    made = {"HOME": str(HOME), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "PLAIN_SETTING": "value"}
    made["XDG_STATE_HOME"] = str(SCRATCH / "state")
    made.update({f"SERVICE_{at}_TOKEN": word(40) for at in range(secrets)})
    return made


def project(name, files, dotenvs=0):
    root = SCRATCH / name
    for at in range(files):
        directory = root / f"part{at // 100}"
        if at % 100 == 0:
            directory.mkdir(parents=True)
        (directory / f"file{at}.py").touch()
    root.mkdir(parents=True, exist_ok=True)
    for at in range(dotenvs):
        (root / f"part{at}" / ".env").write_text(f"DEBUG=1\nAPP_{at}_SECRET={word(32)}\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True, env=environment(0))
    return root


def once(words, directory, env):
    """Seconds for one run, its streams on /dev/null."""
    return spent(words, directory, env)[0]


def spent(words, directory, env, watch=lambda pid: None):
    """Seconds for one run, and those of processors, its children's too. Spawned without a copy of this process."""
    actions = [(os.POSIX_SPAWN_DUP2, DEVNULL, fd) for fd in (0, 1, 2)]
    os.chdir(directory)
    begin = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, env, file_actions=actions)
    watch(pid)
    _, status, usage = os.wait4(pid, 0)
    taken = time.perf_counter() - begin
    if status != 0:
        show = subprocess.run(words, cwd=directory, env=env, stdin=subprocess.DEVNULL, capture_output=True)
        sys.exit(f"bench: {words} failed ({status}): {show.stderr.decode(errors='replace')}")
    return taken, usage.ru_utime + usage.ru_stime


def own_time(pid):
    """Seconds of processors that a process itself took, without its children, seen shortly before its end."""
    last = 0.0
    while True:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return last
        if fields[0] in "ZX":
            return last
        last = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        time.sleep(0.02)


def on_screen(words, keys, directory, env):
    """Seconds until a full-screen program has drawn itself, taken these keys and left."""
    begin = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(directory)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        os.execvpe(words[0], words, {**env, "TERM": "xterm-256color"})
    os.write(terminal, keys)
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    taken = time.perf_counter() - begin
    if status != 0:
        sys.exit(f"bench: {words} failed on a terminal ({status})")
    return taken


def in_turn(commands, directory, env, rounds):
    """Medians of all commands, run in turn."""
    times = {name: [] for name in commands}
    for name, words in commands.items():
        once(words, directory, env)
    for _ in range(rounds):
        for name, words in commands.items():
            times[name].append(once(words, directory, env))
    return {name: statistics.median(taken) for name, taken in times.items()}


def said(words, directory, env):
    done = subprocess.run(words, cwd=directory, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return float(done.stdout)


def heading(text):
    print(f"\n{text}\n" + "-" * len(text), flush=True)


def row(name, value, unit, ratio=None, against="", aim=""):
    right = f"{ratio:6.2f} x {against}" if ratio is not None else ""
    print(f"  {name:<46}{value:>11.2f} {unit:<5}{right:<24}{aim}", flush=True)


def shield(*words):
    return [SHIELDRUN, "--", *words]


def bwrap(root, *words):
    sandbox = "bwrap --unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts --ro-bind / /".split()
    sandbox += "--proc /proc --dev /dev --tmpfs /tmp --tmpfs /run --bind".split()
    return [*sandbox, str(root), str(root), *words]


def start_up():
    root = project("small", 1000, dotenvs=10)
    commands = {
        "nothing": ["/bin/true"],
        "unshare": ["unshare", "-Urmpfin", "--mount-proc", "/bin/true"],
        "bubblewrap": bwrap(root, "/bin/true"),
        "shieldrun": shield("/bin/true"),
    }
    found = in_turn(commands, root, environment(10), 10 if QUICK else 200)
    heading("start: /bin/true, project of 1,000 files, 20 secrets (10 variables, 10 .env files)")
    for name, seconds in found.items():
        aim = "aim 1.0, at most 2.0" if name == "shieldrun" else ""
        row(name, seconds * 1e3, "ms", seconds / found["bubblewrap"], "bubblewrap", aim)


def walk():
    files = 5_000 if QUICK else 100_000
    large, small = project("large", files), project("empty", 0)
    rounds = 3 if QUICK else 15
    env = environment(10)
    times = {"large": [], "small": []}
    for _ in range(rounds + 1):
        times["large"].append(once(shield("/bin/true"), large, env))
        times["small"].append(once(shield("/bin/true"), small, env))
    difference = statistics.median(l - s for l, s in list(zip(times["large"], times["small"]))[1:])
    heading(f"walk for .env files: {files:,} files, warm cache")
    row("a run there less a run in an empty project", difference * 1e3, "ms", aim="at most 300 for 100,000")
    find = in_turn({"find": ["find", ".", "-name", ".env*"]}, large, env, rounds)["find"]
    row("find -name '.env*' there", find * 1e3, "ms", difference / find, "find", "")


def through_the_shim():
    root = SCRATCH / "small"
    count = 200_000 if QUICK else 5_000_000
    rounds = 3 if QUICK else 11
    env = environment(10)
    heading("through the shim, for one call")
    for name, words, aim in [
        ("getenv of an ordinary variable", ["getenv", "PLAIN_SETTING", str(count)], "at most +30 ns"),
        ("getenv of a variable that is not set", ["getenv", "NOT_SET_AT_ALL", str(count)], "at most +30 ns"),
        ("getenv of a secret", ["getenv", "SERVICE_3_TOKEN", str(count)], ""),
        ("open and close of an ordinary file", ["open", "part0/file1.py", str(count // 10)], "at most 1.1"),
        # Each is a question to the launcher, and an event.
        ("open and close of a synthetic file", ["open", "part0/.env", str(count // 250)], ""),
    ]:
        native, inside = [], []
        for _ in range(rounds):
            native.append(said([MICRO, *words], root, env))
            inside.append(said(shield(MICRO, *words), root, env))
        native, inside = statistics.median(native), statistics.median(inside)
        row(f"{name}, native", native, "ns")
        row(f"{name}, inside", inside, "ns", inside / native, f"native ({inside - native:+.1f})", aim)


def once_started():
    root = SCRATCH / "small"
    env = environment(10)
    heading("programs once started: spawned again and again inside, and the same natively")
    for words, count in [
        (["/bin/true"], 1000),
        (["/usr/bin/python3", "-c", "pass"], 200),
        (["git", "status"], 400),
        (["/usr/bin/node", "-e", "0"], 60),
    ]:
        count = 20 if QUICK else count
        loop = [MICRO, "spawn", str(count), *words]
        native, inside = [], []
        for _ in range(3 if QUICK else 9):
            native.append(said(loop, root, env))
            inside.append(said(shield(*loop), root, env))
        native, inside = statistics.median(native) / 1e6, statistics.median(inside) / 1e6
        row(f"{' '.join(words)}, native", native, "ms")
        row(f"{' '.join(words)}, inside", inside, "ms", inside / native, "native", "at most 1.05")


def less(commands, directories, env, rounds, before=lambda: None):
    """The median of what one run takes longer than another, in turn."""
    difference = []
    for turn in range(rounds + 1):
        times = []
        for words, directory in zip(commands, directories):
            before()
            times.append(once(words, directory, env))
        if turn > 0:
            difference.append(times[0] - times[1])
    return statistics.median(difference)


def workspace():
    """What a large workspace costs: looked through at the start, and its changes at the end."""
    env = environment(10)
    cache = HOME / ".cache/shieldrun"
    heading("a workspace: looked through for real values, and what changed at the end")
    count, size = (200, 1 << 14) if QUICK else (10_000, 100_000)
    root = project("source", 0)
    text = "".join(random.choices(string.ascii_lowercase + " \n", k=size)).encode()
    for at in range(count):
        directory = root / f"part{at // 100}"
        directory.mkdir(exist_ok=True)
        (directory / f"file{at}.txt").write_bytes(text[at % 997 :] + str(at).encode())
    empty = project("bare", 0)
    true = shield("/bin/true")
    forget = lambda: subprocess.run(["rm", "-rf", str(cache)], check=True)
    first = less([true, true], [root, empty], env, 2 if QUICK else 5, forget)
    row(f"{count * size / 1e9:.2f} GB of text in {count:,} files, the first time", first * 1e3, "ms", aim="at most 1000 for 1 GB")
    large = SCRATCH / "large"
    again = less([true, true], [large, empty], env, 3 if QUICK else 15)
    row("100,000 unchanged files, after that", again * 1e3, "ms", aim="at most 150")
    write = shield("sh", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do echo $RANDOM$$ > changed$i; done")
    more = less([write, write], [large, empty], env, 3 if QUICK else 15) - again
    row("10 changed files there, beyond that", more * 1e3, "ms", aim="at most 15")


def at_work():
    """Programs that do many things: whole runs, start and end included."""
    env = environment(10)
    heading("programs at work: whole runs, start and end included")
    count = 50 if QUICK else 2000
    loop = ["sh", "-c", f"i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done"]
    root = project("work", 200 if QUICK else 20_000)
    subprocess.run(["git", "add", "."], cwd=root, env=env, check=True)
    git = ["git", "-c", "user.name=u", "-c", "user.email=u@host.example", "commit", "-qm", "all"]
    subprocess.run(git, cwd=root, env=env, check=True)
    times = [MICRO, "spawn", "20", "git", "status"]
    for name, words, rounds, aim in [
        (f"a shell that executes {count:,} programs", loop, 5, "at most 1.15"),
        ("git status, 20,000 files, 20 times", times, 7, "at most 1.05"),
    ]:
        commands = {"native": words, "bubblewrap": bwrap(root, *words), "shieldrun": shield(*words)}
        for via, seconds in in_turn(commands, root, env, 2 if QUICK else rounds).items():
            native = seconds if via == "native" else native
            row(f"{name}, {via}", seconds * 1e3, "ms", seconds / native, "native", aim if via == "shieldrun" else "")


def promotion():
    """What comes after a run that changed many files: diff and gate, then the way into a tree."""
    env = environment(10)
    count = 200 if QUICK else 10_000
    heading(f"{count:,} changed files of 4 KiB")
    many, root = SCRATCH / "many", project("promoted", 100)
    for at in range(count):
        (many / f"d{at // 100}").mkdir(parents=True, exist_ok=True)
        (many / f"d{at // 100}" / f"f{at}.py").write_text(f"# {at}\n" + "x = 1\n" * 680)
    made = shield("cp", "-r", str(many), "made")
    made[1:1] = ["--review", "always"]
    elsewhere = shield("cp", "-r", str(many), "/tmp/made")
    copied, promoted, judged = [], [], []
    for at in range(2 if QUICK else 5):
        judged.append(once(made, root, env) - once(elsewhere, root, env))
        runs = SCRATCH / "state/shieldrun/runs"
        # Without an answer for the run that went elsewhere: it changed nothing.
        run = sorted(path for path in runs.iterdir() if (path / "upper/made").exists())[-1]
        (copy, into) = (SCRATCH / f"copy{at}", SCRATCH / f"into{at}")
        copy.mkdir()
        copied.append(once(["cp", "-a", f"{run}/upper/.", str(copy)], root, env))
        promoted.append(once([SHIELDRUN, "approve", run.name, "--promote-to", str(into)], root, env))
        found = sum(len(files) for _, _, files in os.walk(into))
        if found != count:
            sys.exit(f"bench: {found} files were promoted, not {count}")
    native = statistics.median(copied)
    row("diff and gate, and what the overlay costs", statistics.median(judged) * 1e3, "ms", aim="at most 1500")
    row("cp -a", native * 1e3, "ms")
    whole = statistics.median(promoted)
    row("shieldrun approve --promote-to", whole * 1e3, "ms", whole / native, "cp -a", "at most 2.0")
    few = 100 if QUICK else 2000
    part = SCRATCH / "some"
    for at in range(few):
        (part / f"d{at // 100}").mkdir(parents=True, exist_ok=True)
        (part / f"d{at // 100}" / f"f{at}.py").write_text(f"# {at}\n" + "x = 1\n" * 40)
    words = shield("cp", "-r", str(part), "some")
    words[1:1] = ["--review", "always"]
    once(words, root, env)
    review = [SHIELDRUN, "review", "last"]
    opened = statistics.median(on_screen(review, b"q", root, env) for _ in range(5))
    scrolled = statistics.median(on_screen(review, b"j" * 200 + b"q", root, env) for _ in range(5))
    row(f"review of {few:,} files: open and leave", opened * 1e3, "ms", aim="at most 300")
    row("review: one file further, drawn", (scrolled - opened) / 200 * 1e3, "ms")


def since_command(words, directory, env):
    """Milliseconds from the end of the command to the end of the run: its changes are read and judged then."""
    log = SCRATCH / "events"
    log.unlink(missing_ok=True)
    once([words[0], "--review", "always", "--events", str(log), *words[1:]], directory, env)
    at = {}
    for line in log.read_text().splitlines():
        event = json.loads(line)
        at[event["event"]["action"]] = datetime.datetime.fromisoformat(event["@timestamp"])
    return (at["run-ended"] - at["process-exited"]).total_seconds() * 1e3


def million():
    """Whether the end of a run costs what changed, and not what there is. Only by name: it makes a million files."""
    env = environment(10)
    count = 10_000 if QUICK else 1_000_000
    root, empty = project("million", 0), project("none", 0)
    for at in range(count // 1000):
        (root / f"d{at}").mkdir()
        for name in range(1000):
            os.mknod(root / f"d{at}/f{name}")
    heading(f"10 changed files in a tree of {count:,}: from the end of the command to the end of the run")
    write = shield("sh", "-c", "mkdir -p d1; for i in 0 1 2 3 4 5 6 7 8 9; do echo $$ > d1/changed$i; done")
    times = {"there": [], "in an empty tree": []}
    for _ in range(3 if QUICK else 9):
        for name, directory in zip(times, (root, empty)):
            times[name].append(since_command(write, directory, env))
    found = {name: statistics.median(taken) for name, taken in times.items()}
    for name, taken in found.items():
        row(name, taken, "ms")
    row("the difference", found["there"] - found["in an empty tree"], "ms", aim="at most 15")


def building():
    """What walls and record cost a build. Only by name: it needs cargo and a crate that lies in its registry."""
    env = environment(10)
    # The toolchain is in the home, and seen inside only where that is the home.
    env.update(HOME=str(pathlib.Path.home()), XDG_CACHE_HOME=str(SCRATCH / "cache"))
    env["PATH"] = f"{env['HOME']}/.cargo/bin:{env['PATH']}"
    crates = sorted(pathlib.Path.home().glob(".cargo/registry/src/*/regex-syntax-*"))
    if not crates:
        sys.exit("bench: no regex-syntax in cargo's registry; `cargo fetch` brings it")
    root = project("crate", 0)
    subprocess.run(["cp", "-r", f"{crates[-1]}/.", str(root)], check=True)
    # Its own list of dependencies is for its tests.
    (root / "Cargo.toml").write_text('[package]\nname = "regex-syntax"\nversion = "0.0.0"\nedition = "2021"\n'
                                     '[features]\ndefault = ["std"]\nstd = []\n')
    (root / "Cargo.lock").unlink(missing_ok=True)
    (root / ".gitignore").write_text("target\n")
    heading("cargo build -j1 of regex-syntax, without what it depends on")
    # One job, and processor time beside that of the clock: on a busy machine only that tells two runs apart.
    of_a_build(root, "rm -rf target; exec cargo build --offline --quiet -j1", env, [])


def installing():
    """The same for `npm ci` of some hundred packages. Only by name: it fetches them the first time."""
    env = environment(10)
    kept = BENCH / "npm"
    # The cache is in the home, and seen inside only where that is the home.
    env.update(HOME=str(kept / "home"), XDG_CACHE_HOME=str(SCRATCH / "cache"), npm_config_audit="false", npm_config_fund="false")
    root = project("packages", 0)
    (root / "package.json").write_text(json.dumps({"name": "bench", "version": "0.0.0", "dependencies": {
        "eslint": "9.17.0", "express": "4.21.2", "jest": "29.7.0", "webpack": "5.97.1"}}))
    if not (kept / "package-lock.json").exists():
        (kept / "home").mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--silent"], cwd=root, env=env, check=True)
        shutil.copy(root / "package-lock.json", kept)
    shutil.copy(kept / "package-lock.json", root)
    (root / ".gitignore").write_text("node_modules\n")
    count = len(json.loads((root / "package-lock.json").read_text())["packages"]) - 1
    cache = f"{kept}/home/.npm"
    for title, before in [("where nothing is", "rm -rf node_modules"), ("in the place of the one before", "true")]:
        heading(f"npm ci --offline of {count} packages, {title}")
        of_a_build(root, "exec npm ci --offline --silent", env, ["--bind", cache, cache], before)


def of_a_build(root, script, env, bound, before="true"):
    """The table of one build: native, under bubblewrap (which binds what it is told to) and under shieldrun."""
    walled = bwrap(root, "sh", "-c", script)
    at = walled.index("sh")
    commands = {"native": ["sh", "-c", script], "bubblewrap": [*walled[:at], *bound, *walled[at:]]}
    commands["shieldrun"] = shield("sh", "-c", script)
    clock, processors, launcher = {}, {}, []
    for at in range(3 if QUICK else 6):
        for via, words in commands.items():
            subprocess.run(["sh", "-c", before], cwd=root, check=True)
            own = []
            watch = (lambda pid: own.append(own_time(pid))) if via == "shieldrun" else (lambda pid: None)
            taken = spent(words, root, env, watch)
            # The first of each fills caches.
            if at > 0:
                clock.setdefault(via, []).append(taken[0])
                processors.setdefault(via, []).append(taken[1])
                launcher += [one / taken[1] for one in own]
    # Whoever starts bubblewrap is not told what ran in it took.
    del processors["bubblewrap"]
    for name, found in [("clock", clock), ("processors", processors)]:
        for via, seconds in found.items():
            ratio = statistics.median(one / other for one, other in zip(seconds, found["native"]))
            aim = "at most 1.05" if via == "shieldrun" else ""
            row(f"{via}, by the {name}", statistics.median(seconds) * 1e3, "ms", ratio, "native", aim)
    # Start, record, scan, diff and gate together.
    row("the launcher's own share of it", statistics.median(launcher) * 100, "%")
    logs = sorted((SCRATCH / "state/shieldrun/runs").glob("*/events.jsonl"))
    lines = len(logs[-1].read_bytes().splitlines())
    # `ci/bench.sh record` says what an event costs; a trace that takes 2 % would have so many.
    row("events on record", lines, "")
    row("what they may take each", statistics.median(processors["native"]) * 0.02 / lines * 1e6, "us")
    # Each program waits at its exec until the launcher has heard of it. What it costs beside a sandbox without a
    # trace is more than that wait: the shim is in it too.
    executed = sum(b'"process-started"' in line for line in logs[-1].read_bytes().splitlines())
    count = 50 if QUICK else 1000
    loop = ["sh", "-c", f"i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done"]
    walls, trace = bwrap(root, *loop), shield(*loop)
    each = [(once(trace, root, env) - once(walls, root, env)) / count for _ in range(3 if QUICK else 7)]
    wait = statistics.median(each)
    row("an executed program, beside bubblewrap", wait * 1e6, "us")
    row(f"{executed} of them, as a share of the build", 100 * wait * executed / statistics.median(clock["native"]), "%",
        aim="at most 2, with the launcher's share")


def output():
    root = SCRATCH / "small"
    size = (16 if QUICK else 256) << 20
    times = 2 if QUICK else 8
    (root / "text").write_bytes("".join(random.choices(string.printable, k=1 << 20)).encode() * (size >> 20))
    with open(root / "random", "wb") as random_file:
        for _ in range(size >> 20):
            random_file.write(os.urandom(1 << 20))
    env = environment(100)
    heading("output through the scan, 100 secrets")
    for name in ["text", "random"]:
        files = " ".join([name] * times)
        commands = {
            "a pipe": ["sh", "-c", f"cat {files} | cat >/dev/null"],
            "shieldrun": ["sh", "-c", f"{SHIELDRUN} -- cat {files} | cat >/dev/null"],
        }
        found = in_turn(commands, root, env, 2 if QUICK else 5)
        for via, seconds in found.items():
            speed = size * times / seconds / 1e9
            aim = "at least 1 GB/s" if via == "shieldrun" else ""
            row(f"{name}, {size * times >> 20} MiB, {via}", speed, "GB/s", found["a pipe"] / seconds, "a pipe", aim)


TEN = "|".join([
    "AKIA[0-9A-Z]{16}", "gh[pousr]_[A-Za-z0-9]{36}", "glpat-[A-Za-z0-9_-]{20}", "xox[baprs]-[A-Za-z0-9-]{10,}",
    "sk_live_[A-Za-z0-9]{24}", "AIza[0-9A-Za-z_-]{35}", "sk-ant-[A-Za-z0-9_-]{20,}", "npm_[A-Za-z0-9]{36}",
    "-----BEGIN [A-Z ]*PRIVATE KEY", "eyJ[A-Za-z0-9_-]{10,}\\.",
])  # fmt: skip


def scan_tree():
    """`secrets scan` beside ripgrep, on trees that are there: SHIELDRUN_BENCH_TREES, else the registry's crates."""
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    named = os.environ.get("SHIELDRUN_BENCH_TREES")
    trees = [pathlib.Path(tree) for tree in named.split(":")] if named else [home / "registry/src"]
    heading("secrets scan of a tree, all cores, beside ripgrep with ten alternations")
    for tree in trees:
        if shutil.which("rg") is None or not tree.is_dir():
            print(f"  {tree}: not there, or no ripgrep")
            continue
        # Both say by their exit code whether they found something, which is not what is asked.
        found = in_turn(
            {
                "rg": ["sh", "-c", 'rg --no-ignore --hidden -c -e "$1" "$2"; true', "-", TEN, str(tree)],
                "shieldrun": ["sh", "-c", '"$1" secrets scan --json "$2"; true', "-", SHIELDRUN, str(tree)],
            },
            SCRATCH,
            environment(0),
            3 if QUICK else 15,
        )
        row(f"{tree}, rg", found["rg"] * 1e3, "ms")
        speed = found["rg"] / found["shieldrun"]
        row(f"{tree}, shieldrun", found["shieldrun"] * 1e3, "ms", speed, "rg's speed", "at least 0.5")


def main():
    HOME.mkdir()
    load = os.getloadavg()[0]
    print(f"{os.uname().release}, {os.cpu_count()} cores, load {load:.1f}" + (", quick: figures say little" if QUICK else ""))
    parts = (start_up, walk, through_the_shim, once_started, workspace, at_work, promotion, output, scan_tree)
    only_by_name = (million, building, installing)
    wanted = [word for word in sys.argv[3:] if not word.startswith("--")]
    # The first two make what the others work in, but for those that make their own.
    names = {part.__name__ for part in only_by_name}
    first = [] if set(wanted) <= names else ["start_up", "walk"]
    chosen = [part for part in (*parts, *only_by_name) if part.__name__ in [*first, *wanted]]
    for part in chosen if wanted else parts:
        part()
        os.chdir(SCRATCH)


main()
