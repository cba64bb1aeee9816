"""Samples for every rule of a published detector whose form speaks for itself, as `class/rule<TAB>text` lines.

    samples.py COUNT RULES.yml…

The rules are not ours and neither are the words: each sample is drawn from the rule's own regular expression.
Rules that only say "some value near the word acme", and rules for public identifiers (hosts, client ids), are left out.
The class is `form` where the expression has a prefix or shape that the issuer gives its credentials, and `loose` where it
would have anything: any bytes between a key's armour, any characters in a password's place, a name with a value.
An expression is often looser than the format it stands for (no checksum, `\\w` for letters and digits), so some samples
are no valid credentials; the report counts them all the same.
"""

import random
import re
import sys
import warnings

import rstr
import yaml

warnings.filterwarnings("ignore", category=FutureWarning)
PUBLIC = re.compile(r"(-url|-host|-domain|-id|-public-key|-repository|-project-api-key)(\.\d)?$")
LOOSE = re.compile(
    r"private-key$|\.jwt(-base64)?$|temporal-cloud|connection-string|credential-uri|codecommit|aws-session-token"
    r"|hcpclientcredentials|config-password|freemius|incoming-mail"
)
NEARBY = ("{0,50}", "{0,32}", "{0,20}", "{0,16}", ".{0,", r"(?:[\w.-]", r"[ \t\w.-]{")
END = re.compile(r"\(\?:(\[\\x60|\\\\\?\[).*$")


def rules(node):
    """Every (id, pattern) below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("id"), str) and isinstance(node.get("pattern"), str):
            yield node["id"], node["pattern"]
        for value in node.values():
            yield from rules(value)
    elif isinstance(node, list):
        for value in node:
            yield from rules(value)


def has_form(pattern):
    """Whether some text is always in it."""
    bare = re.sub(r"\(\?[a-z:]*|\\.|\[[^]]*\]|\{[^}]*\}", "", pattern)
    return re.search(r"[A-Za-z0-9]{2,}[-_.:]|[A-Z]{4}|[a-z]{3,}", bare)


def for_python(pattern):
    """The expression in Python's dialect, without what looks past the secret."""
    out = pattern.replace(r"\b", "").replace("(?i)", "").replace("(?-i:", "(?:").replace("$", "")
    out = re.sub(r"\(\?P<[^>]+>", "(", out).replace("[[:alnum:]]", "[0-9A-Za-z]")
    out = END.sub("", out)
    result, inside, at = [], False, 0
    while at < len(out):
        two = out[at : at + 2]
        if two in (r"\w", r"\d", r"\s"):
            members = {"w": "0-9A-Za-z_", "d": "0-9", "s": " "}[two[1]]
            result.append(members if inside else f"[{members}]")
            at += 2
            continue
        if two[0] == "\\":
            result.append(two)
            at += 2
            continue
        inside = two[0] == "[" or (inside and two[0] != "]")
        result.append(two[0])
        at += 1
    return "".join(result)


def main():
    count, files = int(sys.argv[1]), sys.argv[2:]
    make = rstr.Rstr(random.Random(7))
    used = skipped = 0
    for path in files:
        with open(path, encoding="utf-8") as file:
            document = yaml.load(file, Loader=yaml.CSafeLoader)
        for name, pattern in rules(document):
            if PUBLIC.search(name) or any(word in pattern for word in NEARBY) or not has_form(pattern):
                skipped += 1
                continue
            try:
                samples = {make.xeger(for_python(pattern)) for _ in range(count)}
            except Exception as error:  # an expression that Python's engine does not know
                print(f"skipped {name}: {error}", file=sys.stderr)
                skipped += 1
                continue
            samples = [s for s in samples if 12 <= len(s) <= 4000 and s.isascii() and s.isprintable()]
            used += bool(samples)
            for sample in sorted(samples):
                print(f"{'loose' if LOOSE.search(name) else 'form'}/{name}\t{sample}")
    print(f"{used} rules used, {skipped} left out", file=sys.stderr)


main()
