//! What is on the screen, for what is marked and where the person is.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, List, ListItem, Paragraph};
use shieldrun_policy::verdict::Answer;

use super::diff::{self, Shown};
use super::keys::KEYS;
use super::{Colours, Mode, RAN, Review, Row, Sides, Standing, plain};

impl Review {
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
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
                format!(
                    "a approve  r reject  n next  s side by side  w carry out ({marked} marked)  q leave  ? keys"
                )
            }
        };
        frame.render_widget(
            Paragraph::new(status).style(Style::new().add_modifier(Modifier::REVERSED)),
            bottom,
        );
        if self.mode == Mode::Help {
            draw_help(frame);
        }
        if self.colours == Colours::Unwanted {
            for cell in &mut frame.buffer_mut().content {
                (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
            }
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
        let total = self.lay_out().len();
        let Some(row) = self.state.selected().and_then(|at| self.rows.get(at)) else { return };
        let reasons = row.reasons.len();
        self.scroll = self.scroll.min((reasons + total).saturating_sub(1));
        let notes = row.reasons.iter().map(|reason| {
            let (sign, colour) =
                if reason.starts_with(RAN) { (' ', Color::DarkGray) } else { ('!', Color::Yellow) };
            Line::styled(format!("{sign} {}", plain(reason)), Style::new().fg(colour))
        });
        // Only what is on the screen is made: a diff may have a million lines.
        let from = self.scroll.saturating_sub(reasons);
        let all = self.shown.as_deref().unwrap_or_default();
        if self.colours == Colours::Wanted {
            self.syntax.colour(&self.patch, all, from..from.saturating_add(self.height));
        }
        let mut hunk = 0;
        for one in all.iter().take(from) {
            if let Shown::Hunk(number, _) = one {
                hunk = *number;
            }
        }
        let width = usize::from(area.width.saturating_sub(2));
        let lines = all.iter().skip(from).map(|one| {
            if let Shown::Hunk(number, _) = one {
                hunk = *number;
            }
            let left_out = self.side == Sides::Run && row.left_out.contains(&hunk);
            diff::line(&self.patch, one, width, left_out, hunk == self.hunk, &self.syntax)
        });
        let shown: Vec<Line<'_>> = notes.skip(self.scroll).chain(lines).take(self.height).collect();
        let title = format!(" {} — {} ", plain(&row.file), row.what);
        let block = Block::new().borders(Borders::ALL).title(title);
        frame.render_widget(Paragraph::new(shown).block(block), area);
    }
}

impl Row {
    fn item(&self) -> ListItem<'static> {
        let (sign, colour) = match (self.mark, self.standing) {
            (Some(Answer::Approve), _) if !self.left_out.is_empty() => ("±", Color::Green),
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
