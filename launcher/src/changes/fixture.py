"""Works in a tree by a list of steps, or tells what is in it. For tests: stands for the agent of a run."""
import hashlib, json, os, shutil, signal, stat, sys


def step(words):
    kind, path = words[0], words[1]
    if kind in ("write", "append") and os.path.lexists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        # A FIFO would wait for a reader, a link might lead out.
        return
    if kind == "write":
        with open(path, "wb") as file:
            file.write(bytes.fromhex(words[2]))
    elif kind == "append":
        with open(path, "ab") as file:
            file.write(bytes.fromhex(words[2]))
    elif kind == "rename":
        # As mv does: where the kernel cannot, by a copy.
        if not os.path.islink(path) and not os.path.isfile(path) and not os.path.isdir(path):
            return
        shutil.move(path, words[2])
    elif kind == "link":
        os.link(path, words[2], follow_symlinks=False)
    elif kind == "symlink":
        os.symlink(words[2], path)
    elif kind == "chmod":
        if not os.path.islink(path):
            os.chmod(path, int(words[2], 8))
    elif kind == "remove":
        os.unlink(path)
    elif kind == "clear":
        # It would wait at a FIFO.
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
    elif kind == "mkdir":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "touch":
        os.utime(path, ns=(int(words[2]), int(words[2])), follow_symlinks=False)
    elif kind == "attribute":
        os.setxattr(path, "user.note", words[2].encode(), follow_symlinks=False)
    elif kind == "unattribute":
        os.removexattr(path, "user.note", follow_symlinks=False)


def tell(root):
    found = {}
    for above, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = os.path.join(above, name)
            at = os.lstat(path)
            key = os.path.relpath(path, os.fsencode(root)).decode("utf-8", "backslashreplace")
            one = {"mode": at.st_mode & 0o7777}
            if stat.S_ISDIR(at.st_mode):
                one["type"] = "directory"
            elif stat.S_ISLNK(at.st_mode):
                one = {"type": "symlink", "target": os.fsdecode(os.readlink(path)), "mode": 0o777}
            elif stat.S_ISREG(at.st_mode):
                one["type"] = "file"
                one["sha256"] = hashlib.sha256(open(path, "rb").read()).hexdigest()
                one["modified"] = at.st_mtime_ns
            else:
                one["type"] = "fifo"
            names = [] if "target" in one or one["type"] == "fifo" else os.listxattr(path)
            values = {n: os.getxattr(path, n).decode() for n in names if n.startswith("user.") and not n.startswith("user.overlay.")}
            if values:
                one["attributes"] = values
            found[key] = one
    return found


def main():
    # Whatever waits is a mistake of the worker's, not of what it works on. A busy machine takes its time.
    signal.alarm(300)
    root, steps = sys.argv[1], json.load(open(sys.argv[2])) if len(sys.argv) > 2 else []
    os.umask(0o022)
    os.chdir(root)
    for words in steps:
        try:
            step(words)
        except (OSError, shutil.Error):
            # Random steps meet what is not there.
            pass
    json.dump(tell("."), sys.stdout)


main()
