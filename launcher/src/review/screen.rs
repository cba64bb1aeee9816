//! The review on a full screen: the files of a run, why each waits, what changed in it, and keys to decide.
//!
//! Owns the screen and what a person marks on it. Nothing is decided here: marks become a decision when the
//! person confirms them, and that is `decide`'s.

mod diff;
mod draw;
mod keys;
mod syntax;

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::widgets::ListState;
use shieldrun_policy::changes::{COMMITS, ChangeSet};
use shieldrun_policy::verdict::{Answer, Verdict, VerdictRecord};

use super::threeway::ThreeWay;
use super::{Standing, Standings};
use crate::changes::{patch_header, sections};
use diff::{Shown, View, lay_out};
use keys::Next;
use syntax::Syntax;

/// What is shown.
pub(crate) struct Review {
    title: String,
    rows: Vec<Row>,
    patch: Vec<u8>,
    state: ListState,
    /// How far each diff was scrolled is kept for the file at hand only, and so is its layout.
    scroll: usize,
    shown: Option<Vec<Shown>>,
    syntax: Syntax,
    colours: Colours,
    view: View,
    side: Sides,
    /// The number of the hunk at hand; 0 before the first.
    hunk: usize,
    height: usize,
    comment: String,
    mode: Mode,
}

/// What a person marked, once confirmed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) approve: Vec<String>,
    pub(crate) reject: Vec<String>,
    /// Files of which some hunks go, by their numbers from 1.
    pub(crate) parts: Vec<(String, Vec<usize>)>,
    pub(crate) comment: Option<String>,
}

/// A file.
struct Row {
    file: String,
    what: String,
    standing: Standing,
    refused: bool,
    mark: Option<Answer>,
    reasons: Vec<String>,
    patch: Vec<Range<usize>>,
    /// What the host made of it meanwhile, and what the run made.
    conflict: Vec<Range<usize>>,
    /// Whether hunks of it can go by themselves, and those that do not.
    can_part: bool,
    left_out: Vec<usize>,
}

/// What is compared with what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sides {
    Run,
    ThreeWay,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Look,
    Help,
    Comment,
}

/// Whether anything has colours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Wanted,
    Unwanted,
}

/// Before a command, among what is said of a file.
const RAN: &str = "ran when it was last written: ";

impl Review {
    /// From a record.
    pub(crate) fn new(
        title: String,
        verdict: &VerdictRecord,
        set: &ChangeSet,
        mut patch: Vec<u8>,
        conflicts: &[ThreeWay],
    ) -> Self {
        let end = patch.len();
        let both = append(conflicts, &mut patch);
        let sections = sections(patch.get(..end).unwrap_or_default());
        let mut reasons: HashMap<&str, Vec<String>> = HashMap::new();
        for reason in &verdict.reasons {
            let line = reason.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let note = if reason.effect == Verdict::Accept { " (a note)" } else { "" };
            let text = format!("{line}{} [{}]{note}", reason.message, reason.rule);
            reasons.entry(reason.file.as_deref().unwrap_or_default()).or_default().push(text);
        }
        let stands = Standings::new(verdict);
        let mut rows: Vec<Row> = set
            .changes
            .iter()
            .map(|change| {
                let file = change.path.to_string();
                let lines = change.lines.map(|l| format!(" +{} -{}", l.added, l.removed)).unwrap_or_default();
                Row {
                    what: format!("{}{lines}", change.kind().word()),
                    standing: stands.of_change(change),
                    refused: false,
                    mark: None,
                    reasons: reasons.remove(file.as_str()).unwrap_or_default(),
                    patch: sections.get(patch_header(change).as_slice()).cloned().unwrap_or_default(),
                    conflict: both.get(&file).cloned().unwrap_or_default(),
                    can_part: change.before.is_some() && change.after.is_some() && change.from.is_none(),
                    left_out: Vec::new(),
                    file,
                }
            })
            .filter(|row| !row.reasons.is_empty() || !row.patch.is_empty() || row.standing == Standing::Waits)
            .collect();
        if let Some(commits) = &set.commits {
            rows.push(Row {
                file: COMMITS.to_owned(),
                what: format!("{} new commits", commits.count),
                standing: stands.of(COMMITS),
                refused: false,
                mark: None,
                reasons: reasons.remove(COMMITS).unwrap_or_default(),
                patch: Vec::new(),
                conflict: Vec::new(),
                can_part: false,
                left_out: Vec::new(),
            });
        }
        for conflict in conflicts {
            if let Some(row) = rows.iter_mut().find(|row| row.file == conflict.path) {
                row.reasons.insert(0, format!("{} (t: three-way)", conflict.why));
            }
        }
        for row in &mut rows {
            row.refused = row.standing == Standing::Stays && verdict.refused.contains(&row.file);
        }
        // What waits comes first: that is what the person is here for.
        rows.sort_by_key(|row| match row.standing {
            Standing::Waits => 0,
            Standing::Stays => 1,
            Standing::Goes => 2,
        });
        let mut state = ListState::default();
        state.select((!rows.is_empty()).then_some(0));
        let syntax = rows.first().map(|row| Syntax::of(&row.file)).unwrap_or_default();
        Self {
            title,
            rows,
            patch,
            state,
            scroll: 0,
            shown: None,
            syntax,
            colours: Colours::Wanted,
            view: View::Unified,
            side: Sides::Run,
            hunk: 0,
            height: 10,
            comment: String::new(),
            mode: Mode::Look,
        }
    }

    /// With the commands that ran when each file was last written.
    pub(crate) fn with_commands(mut self, ran: &[(String, Vec<String>)]) -> Self {
        let ran: HashMap<&str, &[String]> =
            ran.iter().map(|(file, commands)| (file.as_str(), commands.as_slice())).collect();
        for row in &mut self.rows {
            let commands = ran.get(row.file.as_str()).copied().unwrap_or_default();
            row.reasons.extend(commands.iter().map(|command| {
                let short: String = command.chars().take(200).collect();
                format!("{RAN}{short}")
            }));
        }
        self
    }

    /// Shows it until the person leaves. None if they left without a decision.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn run(mut self) -> io::Result<Option<Marks>> {
        let mut terminal = ratatui::try_init()?;
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            self.colours = Colours::Unwanted;
        }
        let done = loop {
            if let Err(error) = terminal.draw(|frame| self.draw(frame)) {
                break Err(error);
            }
            match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => match self.key(key) {
                    Next::Stay => {}
                    Next::Leave => break Ok(None),
                    Next::Confirm => break Ok(Some(self.marks())),
                },
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        ratatui::try_restore()?;
        done
    }

    fn go(&mut self, by: isize) {
        let at = self.state.selected().unwrap_or_default().saturating_add_signed(by);
        self.select(at.min(self.rows.len().saturating_sub(1)));
    }

    fn select(&mut self, at: usize) {
        (self.scroll, self.hunk, self.shown, self.side) = (0, 0, None, Sides::Run);
        self.syntax = self.rows.get(at).map(|row| Syntax::of(&row.file)).unwrap_or_default();
        self.state.select((!self.rows.is_empty()).then_some(at));
    }

    fn next_waiting(&mut self) {
        let at = self.state.selected().unwrap_or_default();
        let waits = |row: &Row| row.standing == Standing::Waits && row.mark.is_none();
        let after = self.rows.iter().skip(at + 1).position(waits).map(|found| found + at + 1);
        if let Some(next) = after.or_else(|| self.rows.iter().position(waits)) {
            self.select(next);
        }
    }

    /// The layout of the file at hand, made when it is first asked for.
    fn lay_out(&mut self) -> &[Shown] {
        let row = self.state.selected().and_then(|at| self.rows.get(at));
        let parts = row.map_or(&[][..], |row| match self.side {
            Sides::Run => &row.patch,
            Sides::ThreeWay => &row.conflict,
        });
        let (patch, view) = (&self.patch, self.view);
        self.shown.get_or_insert_with(|| lay_out(patch, parts, view))
    }

    fn go_to_hunk(&mut self, number: usize) {
        let is = |shown: &Shown| matches!(shown, Shown::Hunk(own, _) if *own == number);
        let Some(at) = self.lay_out().iter().position(is) else { return };
        let reasons =
            self.state.selected().and_then(|at| self.rows.get(at)).map_or(0, |row| row.reasons.len());
        (self.hunk, self.scroll) = (number, reasons + at);
    }

    fn leave_out(&mut self) {
        let hunk = self.hunk;
        let Some(row) = self.state.selected().and_then(|at| self.rows.get_mut(at)) else { return };
        if hunk == 0 || !row.can_part || row.refused || self.side == Sides::ThreeWay {
            return;
        }
        match row.left_out.iter().position(|own| *own == hunk) {
            Some(at) => drop(row.left_out.remove(at)),
            None => row.left_out.push(hunk),
        }
    }

    /// What the gate refused stays refused, whatever a person marks.
    fn mark(&mut self, mark: Option<Answer>) {
        let Some(row) = self.state.selected().and_then(|at| self.rows.get_mut(at)) else { return };
        if mark != Some(Answer::Approve) || !row.refused {
            row.mark = mark;
        }
        if mark.is_some() {
            self.next_waiting();
        }
    }

    fn marks(self) -> Marks {
        let mut marks = Marks::default();
        for row in &self.rows {
            let hunks = || lay_out(&self.patch, &row.patch, View::Unified);
            let numbers = || hunks().iter().filter(|shown| matches!(shown, Shown::Hunk(..))).count();
            match row.mark {
                None => {}
                Some(Answer::Reject) => marks.reject.push(row.file.clone()),
                Some(Answer::Approve) if row.left_out.is_empty() => marks.approve.push(row.file.clone()),
                Some(Answer::Approve) => {
                    let left: Vec<usize> =
                        (1..=numbers()).filter(|number| !row.left_out.contains(number)).collect();
                    if left.is_empty() {
                        marks.reject.push(row.file.clone());
                    } else {
                        marks.parts.push((row.file.clone(), left));
                    }
                }
            }
        }
        let comment = self.comment.trim();
        marks.comment = (!comment.is_empty()).then(|| comment.to_owned());
        marks
    }
}

/// Both sides of each conflict, as parts of the patch; and where they are.
fn append(conflicts: &[ThreeWay], patch: &mut Vec<u8>) -> HashMap<String, Vec<Range<usize>>> {
    let mut found: HashMap<String, Vec<Range<usize>>> = HashMap::new();
    for conflict in conflicts {
        let sides = [
            ("what you changed since the run began", &conflict.host),
            ("what the run changed", &conflict.run),
        ];
        for (name, text) in sides {
            let begin = patch.len();
            patch.extend_from_slice(format!("# {name}:\n").as_bytes());
            match text {
                Some(text) if text.is_empty() => patch.extend_from_slice(b"# nothing\n"),
                Some(text) => patch.extend_from_slice(text.as_bytes()),
                None => patch.extend_from_slice(b"# no text, or not kept\n"),
            }
            found.entry(conflict.path.clone()).or_default().push(begin..patch.len());
        }
    }
    found
}

/// Nothing that came from a run may move the terminal.
fn plain(text: &str) -> String {
    text.replace('\t', "    ").chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
