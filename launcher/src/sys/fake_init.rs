//! For the tests of `supervise`: an `init` that speaks the real protocol but needs no namespace.
//!
//! It is forked by a test's launcher process, which is the test binary itself, started again and
//! diverted before libtest: only there is one thread, and only there is stdout the command's alone.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::{Pid, Signal, WaitOptions, wait};

use super::control::{Message, RESUME_BACKGROUND, SIZE, go, tag};
use super::signals::{InheritedSignals, Signals};
use crate::stdio::{Inner, Inside};

/// The loader calls this before `main`, as it does for [`super::signals`].
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_LIBTEST: extern "C" fn() = before_libtest;

extern "C" fn before_libtest() {
    crate::supervise::tests::driver::run_if_asked();
}

/// What the real runtime does before `main`, and what makes SIGPIPE worth a test.
pub(crate) fn ignore_sigpipe_as_the_runtime_does() {
    // SAFETY: SIG_IGN is no code; there is one thread.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// `None` in the child.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the calling process has one thread, so the child may do whatever the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// What the fake is to do.
pub(crate) struct Script {
    pub(crate) control: OwnedFd,
    pub(crate) inside: Inside,
    pub(crate) pty: Option<OwnedFd>,
    pub(crate) argv: Vec<String>,
    pub(crate) inherited: InheritedSignals,
}

/// The whole life of the fake. Never returns.
pub(crate) fn play(script: Script) -> ! {
    let code = match serve(script) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("fake init: {error}");
            1
        }
    };
    // SAFETY: _exit takes no pointer; it skips the exit handlers, which are the parent's.
    unsafe { libc::_exit(code) }
}

fn serve(script: Script) -> io::Result<()> {
    let Script { control, inside, pty, argv, inherited } = script;
    inherited.restore();
    rustix::process::setsid()?;
    let terminal = match &pty {
        Some(slave) => {
            rustix::process::ioctl_tiocsctty(slave)?;
            Some(slave.as_fd())
        }
        None => None,
    };
    place(inside, terminal)?;
    let signals = Signals::block()?;

    let Some(Message { tag: tag::GO, value: flags }) = hear(&control, true)? else {
        return Ok(());
    };
    let child = match fork()? {
        Some(child) => child,
        None => become_command(&control, terminal, flags, &argv, inherited),
    };
    let _ = rustix::process::setpgid(Some(child), Some(child));
    say(&control, tag::STARTED, child.as_raw_nonzero().get());
    close_standard();

    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
        let ready = fds.map(|fd| !fd.revents().is_empty());
        if ready[1] {
            while signals.next()?.is_some() {}
            if reap(&control, child)? {
                let _ = rustix::process::kill_process_group(child, Signal::KILL);
                return Ok(());
            }
        }
        if ready[0] {
            match hear(&control, false)? {
                Some(word) => obey(word, child, terminal),
                None => {
                    let _ = rustix::process::kill_process_group(child, Signal::KILL);
                    return Ok(());
                }
            }
        }
    }
}

fn obey(word: Message, child: Pid, terminal: Option<std::os::fd::BorrowedFd<'_>>) {
    let signal = |number: i32| {
        // SAFETY: used only to name a number that kill(2) checks; 1 to 64 come from the launcher.
        unsafe { Signal::from_raw_unchecked(number) }
    };
    let _ = match word.tag {
        tag::SIGNAL_PROCESS => rustix::process::kill_process(child, signal(word.value)),
        tag::SIGNAL_GROUP => rustix::process::kill_process_group(child, signal(word.value)),
        tag::RESUME => {
            if let Some(terminal) = terminal {
                let own = rustix::process::getpgrp();
                let front = if word.value == RESUME_BACKGROUND { own } else { child };
                let _ = rustix::termios::tcsetpgrp(terminal, front);
            }
            rustix::process::kill_process_group(child, Signal::CONT)
        }
        _ => Ok(()),
    };
}

/// True when the command has ended.
fn reap(control: &OwnedFd, child: Pid) -> io::Result<bool> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
    while let Some((pid, status)) = wait(options)? {
        if pid != child {
            continue;
        }
        if let Some(signal) = status.stopping_signal() {
            say(control, tag::STOPPED, signal);
        } else if status.continued() {
            say(control, tag::CONTINUED, 0);
        } else if let Some(code) = status.exit_status() {
            say(control, tag::EXITED, code);
            return Ok(true);
        } else if let Some(signal) = status.terminating_signal() {
            say(control, tag::KILLED, signal);
            return Ok(true);
        }
    }
    Ok(false)
}

fn become_command(
    control: &OwnedFd,
    terminal: Option<std::os::fd::BorrowedFd<'_>>,
    flags: i32,
    argv: &[String],
    inherited: InheritedSignals,
) -> ! {
    let _ = rustix::process::setpgid(None, None);
    // In the absence of a pid namespace: nothing may outlive a test.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if let (Some(terminal), 0) = (terminal, flags & go::BACKGROUND) {
        let _ = rustix::termios::tcsetpgrp(terminal, rustix::process::getpgrp());
    }
    inherited.restore();
    let words: Vec<CString> = argv.iter().filter_map(|word| CString::new(word.as_str()).ok()).collect();
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: the list ends with NULL and, like the strings it points to, lives until exec.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    say(control, tag::EXEC_FAILED, errno);
    // SAFETY: _exit takes no pointer.
    unsafe { libc::_exit(127) }
}

fn place(inside: Inside, terminal: Option<std::os::fd::BorrowedFd<'_>>) -> io::Result<()> {
    for (number, inner) in inside.fds.into_iter().enumerate() {
        let fd = match &inner {
            Inner::Closed => {
                // SAFETY: a standard descriptor of this forked process, which uses it no more.
                unsafe { libc::close(number as i32) };
                continue;
            }
            Inner::Null => rustix::fs::open(
                "/dev/null",
                rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
                rustix::fs::Mode::empty(),
            )?,
            Inner::Pipe(pipe) => pipe.try_clone()?,
            Inner::Pty => match terminal {
                Some(terminal) => terminal.try_clone_to_owned()?,
                None => return Err(io::Error::other("a terminal is wanted and there is none")),
            },
        };
        // SAFETY: numbers only; 0 to 2 are this forked process's to overwrite.
        unsafe { libc::dup2(fd.as_raw_fd(), number as i32) };
    }
    Ok(())
}

/// `init` must not hold the pipes of the command.
fn close_standard() {
    if let Ok(null) = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    ) {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}

fn say(control: &OwnedFd, tag: u32, value: i32) {
    let _ = rustix::net::send(control, &Message { tag, value }.encode(), SendFlags::NOSIGNAL);
}

fn hear(control: &OwnedFd, wait: bool) -> io::Result<Option<Message>> {
    let mut bytes = [0; SIZE];
    let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    match rustix::io::retry_on_intr(|| rustix::net::recv(control, &mut bytes, flags)) {
        Ok((count, _)) => Ok(Message::decode(&bytes[..count])),
        Err(rustix::io::Errno::AGAIN) => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(Some(Message { tag: 0, value: 0 }))
        }
        Err(errno) => Err(errno.into()),
    }
}
