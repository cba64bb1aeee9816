//! Control sequences of a recording that may be shown again.
//!
//! They come from the guest. What draws is let through: text, colours, the cursor, erasing, the other screen.
//! What reaches beyond the picture is left out: the clipboard, the title, notices and links (OSC), everything
//! that makes the terminal answer (its answers would be typed into the shell), device control, modes of the
//! mouse and the keyboard. The list names what is let through, not what is not.

/// The filter, and what the terminal was left in.
#[derive(Debug, Default)]
pub(super) struct Calm {
    state: State,
    sequence: String,
    /// The other screen is shown.
    pub(super) is_elsewhere: bool,
    /// Lines were taken out of scrolling.
    pub(super) has_margins: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// `ESC` and intermediates: a character set.
    Charset,
    Csi,
    /// OSC, DCS, APC, PM, SOS: until their terminator.
    Text,
    /// An `ESC` within one.
    TextEscape,
}

/// No sequence that draws is longer.
const LONGEST: usize = 256;

impl Calm {
    /// The part of the text that may be shown.
    pub(super) fn pass(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        text.chars().for_each(|c| self.take(c, &mut out));
        out
    }

    fn take(&mut self, c: char, out: &mut String) {
        match self.state {
            State::Ground => self.ground(c, out),
            State::Escape => self.escape(c, out),
            State::Charset => {
                // What is designated, where it is one of the usual.
                if matches!(c, '0' | 'A' | 'B') && matches!(self.sequence.as_str(), "(" | ")") {
                    out.push('\x1b');
                    out.push_str(&self.sequence);
                    out.push(c);
                }
                self.state = if matches!(c, ' '..='/') { State::Charset } else { State::Ground };
            }
            State::Csi => self.csi(c, out),
            State::Text => match c {
                '\x1b' => self.state = State::TextEscape,
                '\x07' | '\u{9c}' | '\x18' | '\x1a' => self.state = State::Ground,
                _ => {}
            },
            State::TextEscape => {
                self.state = State::Ground;
                if c != '\\' {
                    // The escape began something else.
                    self.escape(c, out);
                }
            }
        }
    }

    fn ground(&mut self, c: char, out: &mut String) {
        match c {
            '\x1b' => self.state = State::Escape,
            '\u{9b}' => self.begin_csi(),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => self.state = State::Text,
            '\n' | '\r' | '\t' | '\x08' | '\x0e' | '\x0f' => out.push(c),
            // The bell, the question for an answer, and what is of no use.
            c if c.is_control() => {}
            c => out.push(c),
        }
    }

    fn begin_csi(&mut self) {
        self.sequence.clear();
        self.state = State::Csi;
    }

    fn escape(&mut self, c: char, out: &mut String) {
        self.state = State::Ground;
        match c {
            '[' => self.begin_csi(),
            ']' | 'P' | 'X' | '^' | '_' => self.state = State::Text,
            '\x1b' => self.state = State::Escape,
            ' '..='/' => {
                self.sequence.clear();
                self.sequence.push(c);
                self.state = State::Charset;
            }
            // Save and restore the cursor, index, next line, tab stop, reverse index.
            '7' | '8' | 'D' | 'E' | 'H' | 'M' => {
                out.push('\x1b');
                out.push(c);
            }
            _ => {}
        }
    }

    fn csi(&mut self, c: char, out: &mut String) {
        match c {
            ' '..='?' if self.sequence.len() < LONGEST => self.sequence.push(c),
            ' '..='?' => self.state = State::Text,
            '@'..='~' => {
                self.state = State::Ground;
                if self.draws(c) {
                    out.push_str("\x1b[");
                    out.push_str(&self.sequence);
                    out.push(c);
                }
            }
            '\x1b' => self.state = State::Escape,
            _ => self.state = State::Ground,
        }
    }

    fn draws(&mut self, last: char) -> bool {
        let plain = self.sequence.chars().all(|c| c.is_ascii_digit() || matches!(c, ';' | ':'));
        match last {
            'A'..='M' | 'P' | 'S' | 'T' | 'X' | '@' | '`' | 'a' | 'b' | 'd' | 'e' | 'f' | 'g' | 'm' | 's' => {
                plain
            }
            // With a prefix it is the keyboard's.
            'u' => self.sequence.is_empty(),
            'r' => {
                self.has_margins |= plain;
                plain
            }
            'h' | 'l' => self.is_mode_of_the_picture(last == 'h'),
            _ => false,
        }
    }

    fn is_mode_of_the_picture(&mut self, on: bool) -> bool {
        let Some(modes) = self.sequence.strip_prefix('?') else { return self.sequence == "4" };
        let all = modes
            .split(';')
            .all(|mode| matches!(mode, "6" | "7" | "12" | "25" | "47" | "1047" | "1048" | "1049" | "2026"));
        if all && modes.split(';').any(|mode| matches!(mode, "47" | "1047" | "1049")) {
            self.is_elsewhere = on;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_draws_is_shown_and_what_reaches_further_is_not() {
        for (text, expected) in [
            ("plain \u{e9} \u{1f980}\r\n\t", "plain \u{e9} \u{1f980}\r\n\t"),
            ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m"),
            ("\x1b[38:2::1:2:3mx", "\x1b[38:2::1:2:3mx"),
            ("\x1b[2J\x1b[H\x1b[?25l", "\x1b[2J\x1b[H\x1b[?25l"),
            ("\x1b[?1049hx\x1b[?1049l", "\x1b[?1049hx\x1b[?1049l"),
            ("\x1b(0q\x1b(B", "\x1b(0q\x1b(B"),
            // The clipboard, titles, notices, links; ended by BEL, ST, C1, or not at all.
            ("a\x1b]52;c;aGk=\x07b", "ab"),
            ("a\x1b]0;title\x1b\\b", "ab"),
            ("a\u{9d}52;c;aGk=\u{9c}b", "ab"),
            ("a\x1b]8;;http://h\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
            ("a\x1b]52;c;never ends", "a"),
            ("a\x1b]0;x\x1b[31mb", "a\x1b[31mb"),
            // Whatever is answered: status, identity, size, modes, answerback.
            ("\x1b[6n\x1b[c\x1b[>c\x1b[=c\x1b[18t\x1b[?1$p\x1b[x\x1bZ\x05", ""),
            ("\x1bP+q544e\x1b\\\x1bP$qm\x1b\\", ""),
            // The window, the mouse, the keyboard, the printer, a reset.
            ("\x1b[3;0;0t\x1b[?1000h\x1b[?1006;1000h\x1b[?2004h\x1b[>1u\x1b[5i\x1bc", ""),
            ("\x1b_Gpayload\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\", ""),
            ("\x1b[?25;1000h", ""),
            ("\u{9b}31mx", "\x1b[31mx"),
            ("\x1b[31\x1b[32mx", "\x1b[32mx"),
            ("\x07\0\x7f", ""),
        ] {
            let whole = Calm::default().pass(text);
            assert_eq!(whole, expected, "{text:?}");
            let mut calm = Calm::default();
            let pieces: String = text.chars().map(|c| calm.pass(&c.to_string())).collect();
            assert_eq!(pieces, expected, "{text:?} in pieces");
        }
    }
}
