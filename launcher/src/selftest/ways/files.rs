//! Ways to a secret file of the project, and to the same value elsewhere in it.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::{Way, read, shell};

/// Relative to the planted project, which is the working directory.
const SECRET: &str = ".env";

pub(super) const WAYS: &[Way] = &[
    read("libc-open", "libc's open", |_| fs::read(SECRET)),
    read("raw-openat", "a bare openat", |_| contents(raw(SECRET, OFlags::RDONLY)?)),
    read("raw-openat2", "a bare openat2", |_| {
        contents(rustix::fs::openat2(CWD, SECRET, OFlags::RDONLY, Mode::empty(), ResolveFlags::empty())?)
    }),
    read("o-path", "an O_PATH descriptor, opened once more", |_| {
        let path = raw(SECRET, OFlags::PATH)?;
        fs::read(format!("/proc/self/fd/{}", path.as_raw_fd()))
    }),
    read("proc-self-root", "/proc/self/root", |field| {
        fs::read(
            Path::new("/proc/self/root")
                .join(field.project.strip_prefix("/").map_err(io::Error::other)?)
                .join(SECRET),
        )
    }),
    read("proc-parent-root", "/proc/PPID/root", |field| {
        let root = format!("/proc/{}/root", std::os::unix::process::parent_id());
        fs::read(
            Path::new(&root).join(field.project.strip_prefix("/").map_err(io::Error::other)?).join(SECRET),
        )
    }),
    read("proc-self-cwd", "/proc/self/cwd", |_| fs::read(Path::new("/proc/self/cwd").join(SECRET))),
    read("proc-parent-cwd", "/proc/PPID/cwd", |_| {
        fs::read(format!("/proc/{}/cwd/{SECRET}", std::os::unix::process::parent_id()))
    }),
    read("spelling-dots", "another spelling with ..", |_| fs::read(format!("config/../{SECRET}"))),
    read("spelling-slashes", "another spelling with //", |field| {
        fs::read(format!("//{}//.//{SECRET}", field.project.display()))
    }),
    read("directory-descriptor", "relative to a descriptor of the directory", |field| {
        let directory = rustix::fs::open(&field.project, OFlags::PATH, Mode::empty())?;
        contents(rustix::fs::openat(&directory, SECRET, OFlags::RDONLY, Mode::empty())?)
    }),
    read("new-symlink", "a symbolic link made inside", |_| {
        rustix::fs::symlink(SECRET, "made-link")?;
        fs::read("made-link")
    }),
    read("new-hard-link", "a hard link made inside", |_| {
        fs::hard_link(SECRET, "made-hard-link")?;
        fs::read("made-hard-link")
    }),
    read("old-symlink", "a symbolic link that was there", |_| fs::read("there-link")),
    shell("secret-by-link", "a secret file that is a link to one outside", "cat deploy/.env"),
    read("old-hard-link", "a hard link that was there", |_| fs::read("notes.bak")),
    read("rename-parent", "its directory, renamed", |_| {
        fs::rename("service", "renamed")?;
        let content = fs::read(Path::new("renamed").join(SECRET));
        fs::rename("renamed", "service")?;
        content
    }),
    read("pread", "pread", |_| {
        let file = raw(SECRET, OFlags::RDONLY)?;
        let mut bytes = vec![0; 4096];
        let got = rustix::io::pread(&file, bytes.as_mut_slice(), 0)?;
        bytes.truncate(got);
        Ok(bytes)
    }),
    read("sendfile", "sendfile into a file of ours", |_| {
        let (from, to) = (raw(SECRET, OFlags::RDONLY)?, ours("sendfile")?);
        rustix::fs::sendfile(&to, &from, None, 4096)?;
        rewound(to)
    }),
    read("copy-file-range", "copy_file_range into a file of ours", |_| {
        let (from, to) = (raw(SECRET, OFlags::RDONLY)?, ours("copied-range")?);
        rustix::fs::copy_file_range(&from, None, &to, None, 4096)?;
        rewound(to)
    }),
    read("splice", "splice through a pipe", |_| {
        let from = raw(SECRET, OFlags::RDONLY)?;
        let (reader, writer) = rustix::pipe::pipe()?;
        let flags = rustix::pipe::SpliceFlags::empty();
        let count = rustix::pipe::splice(from.as_fd(), None, writer.as_fd(), None, 4096, flags)?;
        drop(writer);
        let mut bytes = Vec::with_capacity(count);
        File::from(reader).read_to_end(&mut bytes)?;
        Ok(bytes)
    }),
    shell("cat", "cat", "cat .env"),
    shell("static-cat", "a static program", "./prober read .env"),
    shell(
        "loader",
        "the dynamic loader as a program",
        "$(ls /lib64/ld-linux* /lib/ld-linux* 2>/dev/null | head -n1) /bin/cat .env",
    ),
    shell("copied-cat", "a copy of cat", "cp /bin/cat ./my-cat && ./my-cat .env"),
    shell("source", "a shell's dot", ". ./.env && echo \"$API_TOKEN\""),
    shell("redirect", "a shell's redirection", "read -r line < .env; echo \"$line\""),
    shell("copy", "cp", "cp .env copied.txt && cat copied.txt"),
    shell("move", "mv", "mv .env moved.txt && cat moved.txt && mv moved.txt .env"),
    shell("dd", "dd", "dd if=.env status=none"),
    shell("tar", "tar", "tar cf - .env"),
    shell("grep", "grep over all files", "grep -rh API_TOKEN ."),
    shell("find", "find and its -exec", "find . -name '.e*' -exec head -c 4096 {} +"),
    shell("python-open", "python's open", "/usr/bin/python3 -c 'print(open(\".env\").read())'"),
    shell("perl-open", "perl's open", "perl -ne print .env"),
    shell("node-open", "node's fs", "node -e 'console.log(fs.readFileSync(\".env\", \"utf8\"))'"),
    shell("git-diff", "git as a reader of files", "git diff --no-index /dev/null .env; true"),
    shell("archive", "git add and show", "git add -f .env && git show :.env"),
    shell("same-value-text", "the same value in a settings file", "cat config/settings.py"),
    shell("same-value-binary", "the same value in a binary file", "cat cache.bin"),
    shell("same-value-odd-name", "the same value under an odd name", "cat 'odd name~'"),
    shell("git-show", "a commit of last year", "git show HEAD~1:.env"),
    shell("git-log", "git log -p", "git --no-pager log -p --all"),
    shell("git-objects", "every object of the repository", "git cat-file --batch-all-objects --batch"),
    shell("git-stash", "a stash", "git stash show -p 'stash@{0}'"),
    shell("git-clone", "a local clone", "git clone -q . cloned && git -C cloned show HEAD~1:.env"),
    shell(
        "git-raw-objects",
        "zlib over the raw objects",
        "/usr/bin/python3 -c 'import glob, zlib; [print(zlib.decompress(open(name, \"rb\").read())) for name in glob.glob(\".git/objects/??/*\")]'",
    ),
];

fn raw(path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

fn contents(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn ours(name: &str) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(true).open(name)
}

fn rewound(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
