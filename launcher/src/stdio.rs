//! Decides what the command gets as 0, 1 and 2, and what the launcher keeps to serve them.
//!
//! No descriptor from outside ever crosses: a terminal becomes our own pseudo-terminal, everything
//! else a pipe that `supervise` pumps. This file only looks and prepares; it moves no byte.

mod file_copy;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fstat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

pub(crate) use file_copy::FileCopy;

use crate::sys::open_file;
use crate::sys::signals::closed_at_start;
use crate::sys::terminal::Terminal;

/// Room for output, so that the command seldom waits for us. The kernel may refuse: then it is less.
const OUTPUT_ROOM: usize = 1 << 20;
/// Room for input that cannot be given back: one page, whose filling and emptying can be seen.
const INPUT_ROOM: usize = 4096;

/// What the command finds at one of 0, 1, 2.
#[derive(Debug)]
pub(crate) enum Inner {
    /// The inner pseudo-terminal.
    Pty,
    /// The inner `/dev/null`, opened afresh.
    Null,
    /// Closed, as it was outside. To be closed last of all, in the process that becomes the command:
    /// a process with a hole at 0 to 2 puts there whatever it opens next.
    Closed,
    /// Our pipe, or for stdin our copy of a small file.
    Pipe(OwnedFd),
}

/// The child's three. To be dropped in the launcher after clone: an end that stays open here would
/// keep the pipe from ending.
#[derive(Debug)]
pub(crate) struct Inside {
    /// For 0, 1 and 2.
    pub(crate) fds: [Inner; 3],
}

/// The launcher's side.
#[derive(Debug)]
pub(crate) struct Outer {
    /// Where stdin comes from, unless it is a terminal.
    pub(crate) input: Option<Input>,
    /// A small file at stdin, which needs no feeding.
    pub(crate) copy: Option<FileCopy>,
    /// Where output goes, the terminal's apart: at most two.
    pub(crate) outputs: Vec<Output>,
    /// The user's terminal, if any of the three is one.
    pub(crate) tty: Option<Tty>,
}

/// One stdin.
#[derive(Debug)]
pub(crate) struct Input {
    /// Outside.
    pub(crate) from: OwnedFd,
    /// Inside.
    pub(crate) to: OwnedFd,
    /// How reading ahead can be undone.
    pub(crate) kind: InputKind,
}

/// How reading ahead can be undone, so that who comes after us finds what the command left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputKind {
    /// A file with a position: nothing is moved until the command has read.
    Seekable,
    /// A pipe: tee(2) looks without taking.
    Pipe,
    /// A socket: MSG_PEEK looks without taking.
    Socket,
    /// Nothing helps: at most a page is read ahead.
    Stream,
}

/// One output.
#[derive(Debug)]
pub(crate) struct Output {
    /// Which one. A stderr that is the same open file as stdout goes with stdout.
    pub(crate) stream: Stream,
    /// Inside.
    pub(crate) from: OwnedFd,
    /// Outside.
    pub(crate) to: OwnedFd,
}

/// The user's terminal.
#[derive(Debug)]
pub(crate) struct Tty {
    /// Modes, size, keyboard.
    pub(crate) terminal: Terminal,
    /// Where the inner terminal's output goes.
    pub(crate) screen: OwnedFd,
    /// Whether the keyboard is ours from the start.
    pub(crate) claim: Claim,
}

/// When the keyboard becomes ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// At once.
    AtStart,
    /// When the command asks for it: in a pipeline another member (a pager, say) may be its user.
    OnDemand,
}

/// A stream of bytes, for whoever records or judges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// What the command reads at 0, unless it is the terminal.
    Stdin,
    /// What it writes at 1 (and 2 where both are one file).
    Stdout,
    /// What it writes at 2.
    Stderr,
    /// What it writes to its terminal.
    Terminal,
    /// What is typed.
    Keyboard,
}

/// What could not be prepared.
#[derive(Debug)]
pub(crate) enum StdioError {
    /// One of the three cannot be looked at or duplicated.
    Inspect(u8, Errno),
    /// No pipe for it.
    Pipe(u8, Errno),
    /// The user's terminal cannot be opened.
    Terminal(Errno),
}

impl fmt::Display for StdioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inspect(fd, _) => write!(f, "cannot use {}", name(*fd)),
            Self::Pipe(fd, _) => write!(f, "cannot make a pipe for {}", name(*fd)),
            Self::Terminal(_) => write!(f, "cannot use the terminal"),
        }
    }
}

impl std::error::Error for StdioError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Inspect(_, errno) | Self::Pipe(_, errno) | Self::Terminal(errno) => Some(errno),
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Terminal => "terminal",
            Self::Keyboard => "keyboard",
        })
    }
}

/// Both sides of standard input, output and error.
#[derive(Debug)]
pub(crate) struct Stdio {
    /// For the set-up child.
    pub(crate) inside: Inside,
    /// For `supervise`.
    pub(crate) outer: Outer,
}

/// What one descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Closed,
    Null,
    Tty,
    Fifo,
    Socket,
    File,
    Other,
}

impl Stdio {
    /// Looks at the launcher's own 0, 1 and 2.
    pub(crate) fn inspect() -> Result<Self, StdioError> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        Self::of([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], closed_at_start())
    }

    /// Whether the set-up child has to make a pseudo-terminal.
    #[cfg(test)]
    pub(crate) fn wants_pty(&self) -> bool {
        self.outer.tty.is_some()
    }

    fn of(fds: [BorrowedFd<'_>; 3], closed: [bool; 3]) -> Result<Self, StdioError> {
        let [stdin, stdout, stderr] = fds;
        let mut kinds = [Kind::Closed; 3];
        for (index, kind) in kinds.iter_mut().enumerate().filter(|(index, _)| !closed[*index]) {
            *kind = kind_of(fds[index]).map_err(|errno| StdioError::Inspect(index as u8, errno))?;
        }

        let tty = tty(fds, kinds)?;
        let mut outer = Outer { input: None, copy: None, outputs: Vec::with_capacity(2), tty };

        let copy = if kinds[0] == Kind::File { FileCopy::of(stdin) } else { None };
        let first = match (simple(kinds[0]), copy) {
            (Some(inner), _) => inner,
            (None, Some(copy)) => {
                let theirs = keep(copy.as_fd(), 0)?;
                outer.copy = Some(copy);
                Inner::Pipe(theirs)
            }
            (None, None) => {
                let from = keep(stdin, 0)?;
                let kind = input_kind(kinds[0], stdin);
                let (ours, theirs) = input_pipe(kind).map_err(|errno| StdioError::Pipe(0, errno))?;
                outer.input = Some(Input { from, to: ours, kind });
                Inner::Pipe(theirs)
            }
        };
        let second = match simple(kinds[1]) {
            Some(inner) => inner,
            None => {
                let (from, theirs) = output_pipe().map_err(|errno| StdioError::Pipe(1, errno))?;
                outer.outputs.push(Output { stream: Stream::Stdout, from, to: keep(stdout, 1)? });
                Inner::Pipe(theirs)
            }
        };
        let third = match (simple(kinds[2]), &second) {
            (Some(inner), _) => inner,
            (None, Inner::Pipe(theirs)) if is_one_file(stdout, stderr, kinds) => {
                Inner::Pipe(keep(theirs.as_fd(), 2)?)
            }
            (None, _) => {
                let (from, theirs) = output_pipe().map_err(|errno| StdioError::Pipe(2, errno))?;
                outer.outputs.push(Output { stream: Stream::Stderr, from, to: keep(stderr, 2)? });
                Inner::Pipe(theirs)
            }
        };
        Ok(Self { inside: Inside { fds: [first, second, third] }, outer })
    }
}

impl Outer {
    /// Lets go of the launcher's own 0 and 1, whose copies we hold: when the command closes its side,
    /// the neighbour outside must notice at once and not at our exit. 2 stays, for our own messages.
    pub(crate) fn release_standard_descriptors(&self) -> Result<(), Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let null = rustix::fs::open("/dev/null", flags, Mode::empty())?;
        if self.input.is_some() || self.copy.is_some() {
            rustix::stdio::dup2_stdin(&null)?;
        }
        if self.outputs.iter().any(|output| output.stream == Stream::Stdout) {
            rustix::stdio::dup2_stdout(&null)?;
        }
        Ok(())
    }
}

fn name(fd: u8) -> &'static str {
    match fd {
        0 => "standard input",
        1 => "standard output",
        _ => "standard error",
    }
}

/// A copy of our own, out of the way of 0, 1 and 2, that no exec keeps.
fn keep(fd: BorrowedFd<'_>, number: u8) -> Result<OwnedFd, StdioError> {
    fcntl_dupfd_cloexec(fd, 3).map_err(|errno| StdioError::Inspect(number, errno))
}

fn kind_of(fd: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let stat = fstat(fd)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::RegularFile => Kind::File,
        FileType::CharacterDevice if stat.st_rdev == rustix::fs::makedev(1, 3) => Kind::Null,
        FileType::CharacterDevice if rustix::termios::isatty(fd) => Kind::Tty,
        _ => Kind::Other,
    })
}

fn simple(kind: Kind) -> Option<Inner> {
    match kind {
        Kind::Closed => Some(Inner::Closed),
        Kind::Null => Some(Inner::Null),
        Kind::Tty => Some(Inner::Pty),
        Kind::Fifo | Kind::Socket | Kind::File | Kind::Other => None,
    }
}

fn input_kind(kind: Kind, stdin: BorrowedFd<'_>) -> InputKind {
    match kind {
        Kind::File => InputKind::Seekable,
        Kind::Fifo => InputKind::Pipe,
        Kind::Socket => InputKind::Socket,
        // A block device has a position; a character device that claims one may not mean it.
        _ if fstat(stdin)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice) =>
        {
            InputKind::Seekable
        }
        _ => InputKind::Stream,
    }
}

/// Our end does not block: the command may stop reading and still end.
fn input_pipe(kind: InputKind) -> Result<(OwnedFd, OwnedFd), Errno> {
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
    if kind != InputKind::Seekable {
        let _ = fcntl_setpipe_size(&ours, INPUT_ROOM);
    }
    rustix::fs::fcntl_setfl(&ours, OFlags::NONBLOCK)?;
    Ok((ours, theirs))
}

fn output_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let _ = fcntl_setpipe_size(&ours, OUTPUT_ROOM);
    Ok((ours, theirs))
}

fn tty(fds: [BorrowedFd<'_>; 3], kinds: [Kind; 3]) -> Result<Option<Tty>, StdioError> {
    // The keyboard is at 0 by custom; the screen at 1 or 2.
    let first = |order: [usize; 3]| order.into_iter().find(|index| kinds[*index] == Kind::Tty);
    let (Some(keyboard), Some(screen)) = (first([0, 1, 2]), first([1, 2, 0])) else {
        return Ok(None);
    };
    let terminal = Terminal::new(fds[keyboard]).map_err(StdioError::Terminal)?;
    let in_pipeline = kinds[..2].iter().any(|kind| matches!(kind, Kind::Fifo | Kind::Socket));
    let claim = if in_pipeline { Claim::OnDemand } else { Claim::AtStart };
    Ok(Some(Tty { terminal, screen: keep(fds[screen], screen as u8)?, claim }))
}

/// Whether stdout and stderr are one open file, or behave like one: pipes and sockets need the same
/// inode only, and so do files that are appended to. Where the kernel does not answer, the same file at
/// the same place is taken for it.
fn is_one_file(stdout: BorrowedFd<'_>, stderr: BorrowedFd<'_>, kinds: [Kind; 3]) -> bool {
    let (Ok(one), Ok(other)) = (fstat(stdout), fstat(stderr)) else { return false };
    if (one.st_dev, one.st_ino) != (other.st_dev, other.st_ino) {
        return false;
    }
    let (flags, others) = (fcntl_getfl(stdout).ok(), fcntl_getfl(stderr).ok());
    let appends = |flags: Option<OFlags>| flags.is_some_and(|flags| flags.contains(OFlags::APPEND));
    if matches!(kinds[1], Kind::Fifo | Kind::Socket) || (appends(flags) && appends(others)) {
        return true;
    }
    open_file::is_same(stdout, stderr)
        .unwrap_or_else(|| flags == others && rustix::fs::tell(stdout).ok() == rustix::fs::tell(stderr).ok())
}
