//! The review on a full screen: the files of a run, why each waits, what changed in it, and keys to decide.
//!
//! Owns the screen and what a person marks on it. Nothing is decided here: marks become a decision when the
//! person confirms them, and that is `decide`'s.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, List, ListItem, ListState, Paragraph};
use shieldrun_policy::changes::{COMMITS, ChangeSet};
use shieldrun_policy::verdict::{Answer, Verdict, VerdictRecord};

use super::{Standing, standing};
use crate::changes::patch_header;

/// What is shown.
pub(crate) struct Review {
    title: String,
    rows: Vec<Row>,
    patch: Vec<u8>,
    state: ListState,
    /// How far each diff was scrolled is kept for the file at hand only.
    scroll: usize,
    height: usize,
    comment: String,
    mode: Mode,
}

/// What a person marked, once confirmed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) approve: Vec<String>,
    pub(crate) reject: Vec<String>,
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
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Look,
    Help,
    Comment,
}

/// What a key leads to.
enum Next {
    Stay,
    Leave,
    Confirm,
}

const KEYS: &[(&str, &str)] = &[
    ("j k  ↓ ↑", "next, previous file"),
    ("space b  PgDn PgUp", "scroll the diff"),
    ("g G", "first, last file"),
    ("n", "next file that waits"),
    ("a", "approve this file"),
    ("r", "reject this file"),
    ("u", "take the mark back"),
    ("A", "approve all that wait"),
    ("c", "comment, which goes on record"),
    ("w", "carry out what is marked, and leave"),
    ("q", "leave without deciding"),
    ("?", "this help"),
];

impl Review {
    /// From a record.
    pub(crate) fn new(title: String, verdict: &VerdictRecord, set: &ChangeSet, patch: Vec<u8>) -> Self {
        let sections = sections(&patch);
        let mut reasons: HashMap<&str, Vec<String>> = HashMap::new();
        for reason in &verdict.reasons {
            let line = reason.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let note = if reason.effect == Verdict::Accept { " (a note)" } else { "" };
            let text = format!("{line}{} [{}]{note}", reason.message, reason.rule);
            reasons.entry(reason.file.as_deref().unwrap_or_default()).or_default().push(text);
        }
        let stands = super::standings(verdict);
        let mut rows: Vec<Row> = set
            .changes
            .iter()
            .map(|change| {
                let file = change.path.to_string();
                let lines = change.lines.map(|l| format!(" +{} -{}", l.added, l.removed)).unwrap_or_default();
                Row {
                    what: format!("{}{lines}", change.kind().word()),
                    standing: stands(change),
                    refused: false,
                    mark: None,
                    reasons: reasons.remove(file.as_str()).unwrap_or_default(),
                    patch: sections.get(patch_header(change).as_slice()).cloned().unwrap_or_default(),
                    file,
                }
            })
            .filter(|row| !row.reasons.is_empty() || !row.patch.is_empty() || row.standing == Standing::Waits)
            .collect();
        if let Some(commits) = &set.commits {
            rows.push(Row {
                file: COMMITS.to_owned(),
                what: format!("{} new commits", commits.count),
                standing: standing(verdict, COMMITS),
                refused: false,
                mark: None,
                reasons: reasons.remove(COMMITS).unwrap_or_default(),
                patch: Vec::new(),
            });
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
        Self { title, rows, patch, state, scroll: 0, height: 10, comment: String::new(), mode: Mode::Look }
    }

    /// Shows it until the person leaves. None if they left without a decision.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn run(mut self) -> io::Result<Option<Marks>> {
        let mut terminal = ratatui::try_init()?;
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

    fn key(&mut self, key: KeyEvent) -> Next {
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

    fn go(&mut self, by: isize) {
        let at = self.state.selected().unwrap_or_default().saturating_add_signed(by);
        self.select(at.min(self.rows.len().saturating_sub(1)));
    }

    fn select(&mut self, at: usize) {
        self.scroll = 0;
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
        let of = |wanted: Answer| {
            self.rows.iter().filter(|row| row.mark == Some(wanted)).map(|row| row.file.clone()).collect()
        };
        let comment = self.comment.trim();
        Marks {
            approve: of(Answer::Approve),
            reject: of(Answer::Reject),
            comment: (!comment.is_empty()).then(|| comment.to_owned()),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let [top, middle, bottom] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)])
                .areas(frame.area());
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(35), Constraint::Percentage(65)]).areas(middle);
        frame.render_widget(
            Paragraph::new(plain(&self.title)).style(Style::new().add_modifier(Modifier::BOLD)),
            top,
        );
        self.draw_files(frame, left);
        self.draw_file(frame, right);
        let status = match self.mode {
            Mode::Comment => format!("comment: {}▏  (enter: done)", self.comment),
            _ => {
                let marked = self.rows.iter().filter(|row| row.mark.is_some()).count();
                format!("a approve  r reject  n next  w carry out ({marked} marked)  q leave  ? keys")
            }
        };
        frame.render_widget(
            Paragraph::new(status).style(Style::new().add_modifier(Modifier::REVERSED)),
            bottom,
        );
        if self.mode == Mode::Help {
            draw_help(frame);
        }
    }

    fn draw_files(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let items: Vec<ListItem<'_>> = self.rows.iter().map(Row::item).collect();
        let list = List::new(items)
            .block(Block::new().borders(Borders::ALL).title(format!(" {} files ", self.rows.len())))
            .highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(list, area, &mut self.state);
    }

    fn draw_file(&mut self, frame: &mut Frame<'_>, area: Rect) {
        self.height = area.height.saturating_sub(2).into();
        let Some(row) = self.state.selected().and_then(|at| self.rows.get(at)) else { return };
        let reasons = row
            .reasons
            .iter()
            .map(|reason| Line::styled(format!("! {}", plain(reason)), Style::new().fg(Color::Yellow)));
        let patch = row
            .patch
            .iter()
            .filter_map(|range| self.patch.get(range.clone()))
            .flat_map(|section| section.split(|byte| *byte == b'\n'))
            .map(|line| diff_line(&String::from_utf8_lossy(line)));
        // Only what is on the screen is made: a diff may have a million lines.
        let total = row.reasons.len() + row.patch.iter().map(|range| range.len() / 2).sum::<usize>();
        self.scroll = self.scroll.min(total);
        let shown: Vec<Line<'_>> = reasons.chain(patch).skip(self.scroll).take(self.height).collect();
        let title = format!(" {} — {} ", plain(&row.file), row.what);
        let block = Block::new().borders(Borders::ALL).title(title);
        frame.render_widget(Paragraph::new(shown).block(block), area);
    }
}

impl Row {
    fn item(&self) -> ListItem<'static> {
        let (sign, colour) = match (self.mark, self.standing) {
            (Some(Answer::Approve), _) => ("✓", Color::Green),
            (Some(Answer::Reject), _) => ("✗", Color::Red),
            (None, Standing::Waits) => ("?", Color::Yellow),
            (None, Standing::Goes) => ("·", Color::DarkGray),
            (None, Standing::Stays) => ("■", Color::Red),
        };
        ListItem::new(Line::from(vec![
            Span::styled(format!("{sign} "), Style::new().fg(colour)),
            Span::raw(plain(&self.file)),
        ]))
    }
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines: Vec<Line<'_>> =
        KEYS.iter().map(|(keys, what)| Line::raw(format!(" {keys:<20} {what}"))).collect();
    let area = frame.area();
    let (width, height) = (60.min(area.width), (KEYS.len() as u16 + 2).min(area.height));
    let at = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, at);
    frame.render_widget(Paragraph::new(lines).block(Block::new().borders(Borders::ALL).title(" keys ")), at);
}

fn diff_line(line: &str) -> Line<'static> {
    let colour = match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'd', b'i', b'f', b'f', b' ', ..] => Color::Cyan,
        [b'+', ..] => Color::Green,
        [b'-', ..] => Color::Red,
        [b'@', b'@', ..] => Color::Magenta,
        _ => Color::Reset,
    };
    Line::styled(plain(line), Style::new().fg(colour))
}

/// Nothing that came from a run may move the terminal.
fn plain(text: &str) -> String {
    text.replace('\t', "    ").chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Where each change is in the patch, by its first line.
fn sections(patch: &[u8]) -> HashMap<&[u8], Vec<Range<usize>>> {
    let mut found: HashMap<&[u8], Vec<Range<usize>>> = HashMap::new();
    let mut open: Option<(&[u8], usize)> = None;
    let mut at = 0;
    for line in patch.split_inclusive(|byte| *byte == b'\n') {
        let begins = line.starts_with(b"diff --git ") || line.starts_with(b"# not in this patch: ");
        if begins {
            if let Some((head, start)) = open.take() {
                found.entry(head).or_default().push(start..at);
            }
            open = Some((line.strip_suffix(b"\n").unwrap_or(line), at));
        }
        at += line.len();
    }
    if let Some((head, start)) = open {
        found.entry(head).or_default().push(start..at);
    }
    found
}

#[cfg(test)]
mod tests;
