//! What each key does: nothing that is not marked and confirmed later.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use shieldrun_policy::verdict::Answer;

use super::diff::View;
use super::{Mode, Review, Sides, Standing};

/// What a key leads to.
pub(super) enum Next {
    Stay,
    Leave,
    Confirm,
}

/// For the help.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("j k  ↓ ↑", "next, previous file"),
    ("space b  PgDn PgUp", "scroll the diff"),
    ("s", "old and new side by side, or one column"),
    ("[ ]", "previous, next hunk"),
    ("x", "leave the hunk at hand out, or take it in again"),
    ("t", "what you changed meanwhile, beside what the run did"),
    ("g G", "first, last file"),
    ("n", "next file that waits"),
    ("a", "approve this file, without the hunks left out"),
    ("r", "reject this file"),
    ("u", "take the mark back"),
    ("A", "approve all that wait"),
    ("c", "comment, which goes on record"),
    ("w", "carry out what is marked, and leave"),
    ("q", "leave without deciding"),
    ("?", "this help"),
];

impl Review {
    pub(super) fn key(&mut self, key: KeyEvent) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::Leave;
        }
        match self.mode {
            Mode::Help => self.mode = Mode::Look,
            Mode::Comment => match key.code {
                KeyCode::Enter | KeyCode::Esc => self.mode = Mode::Look,
                KeyCode::Backspace => drop(self.comment.pop()),
                KeyCode::Char(c) => self.comment.push(c),
                _ => {}
            },
            Mode::Look => return self.look_key(key.code),
        }
        Next::Stay
    }

    fn look_key(&mut self, code: KeyCode) -> Next {
        let page = self.height.saturating_sub(2).max(1);
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Next::Leave,
            KeyCode::Char('w') => return Next::Confirm,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('c') => self.mode = Mode::Comment,
            KeyCode::Char('j') | KeyCode::Down => self.go(1),
            KeyCode::Char('k') | KeyCode::Up => self.go(-1),
            KeyCode::Char('g') | KeyCode::Home => self.select(0),
            KeyCode::Char('G') | KeyCode::End => self.select(self.rows.len().saturating_sub(1)),
            KeyCode::Char(' ') | KeyCode::PageDown => self.scroll = self.scroll.saturating_add(page),
            KeyCode::Char('b') | KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(page),
            KeyCode::Char('s') => {
                self.view = if self.view == View::Unified { View::SideBySide } else { View::Unified };
                self.shown = None;
            }
            KeyCode::Char('t') => {
                self.side = if self.side == Sides::Run { Sides::ThreeWay } else { Sides::Run };
                (self.shown, self.scroll, self.hunk) = (None, 0, 0);
            }
            KeyCode::Char(']') => self.go_to_hunk(self.hunk + 1),
            KeyCode::Char('[') => self.go_to_hunk(self.hunk.saturating_sub(1)),
            KeyCode::Char('x') => self.leave_out(),
            KeyCode::Char('n') => self.next_waiting(),
            KeyCode::Char('a') => self.mark(Some(Answer::Approve)),
            KeyCode::Char('r') => self.mark(Some(Answer::Reject)),
            KeyCode::Char('u') => self.mark(None),
            KeyCode::Char('A') => {
                let waiting = self.rows.iter_mut().filter(|row| row.standing == Standing::Waits);
                waiting.for_each(|row| row.mark = Some(Answer::Approve));
            }
            _ => {}
        }
        Next::Stay
    }
}
