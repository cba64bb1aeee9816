//! The terminal's side of the run: who has the keyboard, stopping and going on.
//!
//! The command lives on a terminal of its own, in a session of its own, so the shell outside cannot
//! stop it and the user's Ctrl-Z reaches only us or only it. This file makes the two sides one job
//! again. It is sudo's way: touch the user's terminal only from the foreground, and in a pipeline only
//! when the command asks for the keyboard.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::io::{Errno, retry_on_intr};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::Tee;
use crate::stdio::{Claim, Stream};
use crate::sys::control::{Message, RESUME_BACKGROUND, go, tag};
use crate::sys::signals::{Scope, Stop, stop_self};
use crate::sys::terminal::{Terminal, same_modes};

/// What one press of a key or one paste may bring at once.
const TYPED: usize = 4096;

/// The run as the shell outside sees it.
pub(super) struct Job {
    screen: Option<Screen>,
    /// A stop signal from outside was passed on: whoever else it was for has it already.
    passed_on_stop: bool,
}

/// Both terminals.
struct Screen {
    outer: Terminal,
    /// `None` after a hang-up.
    master: Option<Arc<OwnedFd>>,
    /// The command has asked for the keyboard, or had it from the start.
    wanted: bool,
    /// The modes that the inner terminal was given.
    given: Option<Termios>,
    /// Typed and not yet taken by the inner terminal.
    typed: Vec<u8>,
    hung_up: bool,
    tee: Option<Arc<dyn Tee>>,
}

impl Job {
    /// Gives the inner terminal the modes and the size of the outer one.
    pub(super) fn new(
        tty: Option<(Terminal, Claim)>,
        master: Option<Arc<OwnedFd>>,
        tee: Option<Arc<dyn Tee>>,
    ) -> Self {
        let screen = tty.zip(master).map(|((outer, claim), master)| {
            let given = outer.modes().ok();
            if let Some(modes) = &given {
                let _ = tcsetattr(&*master, OptionalActions::Now, modes);
            }
            // What the kernel made of them (speeds, reserved bits) is what to compare with at the end.
            let given = tcgetattr(&*master).ok();
            let screen = Screen {
                outer,
                master: Some(master),
                wanted: claim == Claim::AtStart,
                given,
                typed: Vec::new(),
                hung_up: false,
                tee,
            };
            screen.copy_size();
            screen
        });
        Self { screen, passed_on_stop: false }
    }

    /// Takes the keyboard if it is ours to take. The flag to start the command with.
    pub(super) fn start(&mut self) -> i32 {
        let has_keyboard = self.screen.as_mut().is_none_or(Screen::take_keyboard);
        if has_keyboard { 0 } else { go::BACKGROUND }
    }

    /// Remembers that a stop signal came from outside.
    pub(super) fn pass_on_stop(&mut self) {
        self.passed_on_stop = true;
    }

    /// The command runs again, whoever did it.
    pub(super) fn continued(&mut self) {
        self.passed_on_stop = false;
    }

    /// The command was stopped: either it gets what it stopped for, or we stop with it, until
    /// `deadline` at most. Returns when it should go on, with the word for `init`.
    pub(super) fn stopped(&mut self, signal: i32, deadline: Option<Instant>) -> Message {
        let for_terminal = matches!(signal, libc::SIGTTIN | libc::SIGTTOU);
        let mut had_keyboard = false;
        if let Some(screen) = &mut self.screen {
            if for_terminal {
                screen.wanted = true;
                if screen.take_keyboard() {
                    return Message { tag: tag::RESUME, value: 0 };
                }
            }
            had_keyboard = screen.outer.is_raw();
            screen.outer.restore();
        }
        // What the terminal would have sent to our whole group goes there; what was meant for one
        // process stops us alone.
        let by_terminal = self.screen.is_some()
            && (for_terminal || (had_keyboard && !self.passed_on_stop && signal != libc::SIGSTOP));
        let scope = if by_terminal { Scope::Group } else { Scope::Process };
        self.passed_on_stop = false;
        let stop = stop_self(signal, scope, deadline);
        let has_keyboard = self.screen.as_mut().is_none_or(Screen::take_keyboard);
        // An orphaned group is not stopped by its terminal. In front the command waits for a key that
        // never comes; in the background it would be stopped and continued for ever.
        let in_front = has_keyboard || (for_terminal && stop == Stop::Refused);
        Message { tag: tag::RESUME, value: if in_front { 0 } else { RESUME_BACKGROUND } }
    }

    /// SIGCONT came while we were not waiting for it: after a SIGSTOP, or the shell's `fg`.
    pub(super) fn wake_up(&mut self) -> Option<Message> {
        let screen = self.screen.as_mut()?;
        let value = if screen.take_keyboard() { 0 } else { RESUME_BACKGROUND };
        Some(Message { tag: tag::RESUME, value })
    }

    /// The outer terminal has another size.
    pub(super) fn resize(&mut self) -> bool {
        self.screen.as_ref().is_some_and(Screen::copy_size)
    }

    /// The keyboard, while it is ours and everything typed was taken.
    pub(super) fn keyboard(&self) -> Option<BorrowedFd<'_>> {
        let screen = self.screen.as_ref()?;
        let listening = screen.outer.is_raw() && !screen.hung_up && screen.typed.is_empty();
        listening.then(|| screen.outer.as_fd())
    }

    /// The inner terminal, while something typed waits for room there.
    pub(super) fn backlog(&self) -> Option<BorrowedFd<'_>> {
        let screen = self.screen.as_ref()?;
        let master = screen.master.as_ref()?;
        (!screen.typed.is_empty()).then(|| master.as_fd())
    }

    /// Reads what was typed and gives it to the command.
    pub(super) fn read_keyboard(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        let mut buffer = [0; TYPED];
        match retry_on_intr(|| rustix::io::read(&screen.outer, &mut buffer)) {
            Err(Errno::AGAIN) => {}
            Ok(0) | Err(_) if screen.outer.is_foreground() => screen.hung_up = true,
            // Another group is in front: what it does with the terminal is not ours to undo.
            Ok(0) | Err(_) => screen.outer.forget(),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                if let Some(tee) = &screen.tee {
                    tee.bytes(Stream::Keyboard, bytes);
                }
                screen.typed.extend_from_slice(bytes);
                self.pass_typed();
            }
        }
    }

    /// Gives the command what waits, as far as its terminal has room.
    pub(super) fn pass_typed(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        let Some(master) = &screen.master else {
            screen.typed.clear();
            return;
        };
        while !screen.typed.is_empty() {
            match retry_on_intr(|| rustix::io::write(&**master, &screen.typed)) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Ok(count) => drop(screen.typed.drain(..count)),
                Err(_) => screen.typed.clear(),
            }
        }
    }

    /// The user's terminal is gone: so is the command's, when this last master is closed.
    pub(super) fn hang_up(&mut self) {
        if let Some(screen) = &mut self.screen {
            screen.master = None;
            screen.hung_up = true;
        }
    }

    /// The command ended of its own: `stty` that it ran was meant for the user's terminal.
    pub(super) fn keep_modes(&mut self) {
        let Some(screen) = &mut self.screen else { return };
        if let (Some(master), Some(given)) = (&screen.master, &screen.given)
            && let Ok(now) = tcgetattr(&**master)
            && !same_modes(&now, given)
        {
            screen.outer.set_final(now);
        }
    }

    /// Puts the user's terminal back.
    pub(super) fn restore(&mut self) {
        if let Some(screen) = &mut self.screen {
            screen.outer.restore();
        }
    }
}

impl Screen {
    fn take_keyboard(&mut self) -> bool {
        if !self.wanted || !self.outer.is_foreground() {
            return false;
        }
        let taken = self.outer.enter_raw().is_ok();
        self.copy_size();
        taken
    }

    fn copy_size(&self) -> bool {
        let Some(master) = &self.master else { return false };
        let Ok(size) = self.outer.copy_size(master.as_fd()) else { return false };
        if let Some(tee) = &self.tee {
            tee.resized(size.ws_col, size.ws_row);
        }
        true
    }
}
