"""Pictures of the review for the README, from the real program on a terminal of its own.

    python3 -m venv V && V/bin/pip install pyte==0.8.2
    V/bin/python ci/screenshot.py target/release/shieldrun launcher/docs

The repository that is worked in is made up here, below /tmp/demo, so no path of this machine is in the picture.
"""
import html, os, pathlib, pty, select, shutil, signal, struct, subprocess, sys, termios, time, fcntl

import pyte

ROWS, COLUMNS = 24, 108
WIDTH, HEIGHT = 8.4, 18
DEMO = pathlib.Path("/tmp/demo")
NAMED = {
    "black": "#1d1f21", "red": "#ff6b68", "green": "#8fd460", "brown": "#e5c07b", "yellow": "#e5c07b", "blue": "#6cb2ff",
    "magenta": "#d38aea", "cyan": "#5fd7d7", "white": "#d0d0d0", "brightblack": "#8a8a8a", "brightred": "#ff8a87",
    "brightgreen": "#a9e67c", "brightbrown": "#ffd787", "brightyellow": "#ffd787", "brightblue": "#8cc5ff",
    "brightmagenta": "#e3a6f5", "brightcyan": "#87ffff", "brightwhite": "#ffffff",
}
INK, PAPER = "#d0d0d0", "#16181c"

AGENT = r"""
sed -i 's/return total/return round(total, 2)/; s/def price/def price_of/' shop/cart.py
printf '\n\ndef empty():\n    return []\n' >> shop/cart.py
git mv shop/old.py shop/tax.py
mkdir -p .github/workflows
printf 'on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make test\n' > .github/workflows/test.yml
printf 'test:\n\tpython3 -m unittest\n' > Makefile
printf '#!/bin/sh\nmake test\n' > .git/hooks/pre-push; chmod 755 .git/hooks/pre-push
"""


def main():
    program, into = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(DEMO, ignore_errors=True)
    shop, home = DEMO / "shop-api", DEMO / "home"
    (shop / "shop").mkdir(parents=True)
    home.mkdir()
    environment = {
        "PATH": "/usr/bin:/bin", "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TERM": "xterm-256color",
        "LANG": "C.UTF-8", "COLORTERM": "truecolor", "USER": "ada", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
    }
    (shop / "shop/cart.py").write_text(
        "PRICES = {'tea': 2.5, 'milk': 1.2}\n\n\ndef price(name):\n    return PRICES[name]\n\n\n"
        "def total(names):\n    total = sum(price(name) for name in names)\n    return total\n")
    (shop / "shop/old.py").write_text("RATE = 0.19\n\n\ndef with_tax(net):\n    return net * (1 + RATE)\n")
    (shop / "agent.sh").write_text(AGENT)
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "shop"]):
        subprocess.run(["git", *words], cwd=shop, env=environment, check=True)
    subprocess.run([program, "--review", "always", "--", "sh", "agent.sh"], cwd=shop, env=environment, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    into.mkdir(parents=True, exist_ok=True)
    for name, keys in {"review": b"", "review-side-by-side": b"jjjjjs"}.items():
        screen = at_terminal([program, "review", "last"], keys, shop, environment)
        text = "\n".join(screen.display)
        if "cart.py" not in text:
            sys.exit(f"the review does not show what was changed:\n{text}")
        (into / f"{name}.svg").write_text(svg(screen))
    shutil.rmtree(DEMO)


def at_terminal(words, keys, directory, environment):
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(directory)
        os.execve(words[0], [str(word) for word in words], environment)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    drain(master, stream, 3)
    for key in keys:
        os.write(master, bytes([key]))
        drain(master, stream, 0.5)
    os.kill(pid, signal.SIGTERM)
    os.close(master)
    os.waitpid(pid, 0)
    return screen


def drain(master, stream, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if select.select([master], [], [], 0.1)[0]:
            stream.feed(os.read(master, 1 << 16))


def colour(name, default):
    if name == "default":
        return default
    return NAMED.get(name, f"#{name}" if len(name) == 6 else default)


def svg(screen):
    width, height = COLUMNS * WIDTH + 20, ROWS * HEIGHT + 20
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
           'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14">',
           f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>']
    for row in range(ROWS):
        for start, text, ink, paper, bold in runs(screen.buffer[row]):
            x, y = 10 + start * WIDTH, 10 + row * HEIGHT
            if paper != PAPER:
                out.append(f'<rect x="{x:.1f}" y="{y}" width="{len(text) * WIDTH:.1f}" height="{HEIGHT}" fill="{paper}"/>')
            if text.strip():
                weight = ' font-weight="bold"' if bold else ""
                out.append(f'<text x="{x:.1f}" y="{y + 14}" fill="{ink}"{weight} xml:space="preserve" '
                           f'textLength="{len(text) * WIDTH:.1f}">{html.escape(text)}</text>')
    return "\n".join([*out, "</svg>", ""])


def runs(line):
    """Neighbours that look alike, as one."""
    start, text, look = 0, "", None
    for column in range(COLUMNS + 1):
        now = None
        if column < COLUMNS:
            cell = line[column]
            ink, paper = colour(cell.fg, INK), colour(cell.bg, PAPER)
            now = (paper, ink, cell.bold) if cell.reverse else (ink, paper, cell.bold)
        if now != look:
            if text:
                yield start, text, *look
            start, text, look = column, "", now
        if now:
            text += cell.data or " "


main()
