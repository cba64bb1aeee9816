//! One stream on its way into the recording: bytes that may be the beginning of a real value wait for what
//! follows, a value becomes its id, and what is no text yet waits for the rest of its character.

use shieldrun_secrets::{Scanner, StreamState};

/// What waits of one stream.
#[derive(Default)]
pub(super) struct Hold {
    state: Option<StreamState>,
    /// May be the beginning of a real value.
    held: Vec<u8>,
    /// The beginning of a character.
    character: Vec<u8>,
    /// The last byte was a carriage return.
    returned: bool,
}

impl Hold {
    /// The bytes that may be shown now.
    pub(super) fn pass(&mut self, scanner: &Scanner, chunk: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(chunk.len());
        let mut rest = chunk;
        loop {
            let state = self.state.get_or_insert_with(|| scanner.stream());
            let Some(hit) = state.feed(scanner, rest) else {
                self.held.extend_from_slice(rest);
                let keep = state.pending(scanner).min(self.held.len());
                shown.extend(self.held.drain(..self.held.len() - keep));
                return shown;
            };
            // What stands before it on its line may belong to the value as well.
            let end = hit.end.min(rest.len());
            self.held.extend_from_slice(rest.get(..end).unwrap_or_default());
            let start = usize::try_from(hit.start + (self.held.len() - end) as i64).unwrap_or(0);
            let line = self.held.get(..start).and_then(|before| before.iter().rposition(|b| *b == b'\n'));
            shown.extend(self.held.drain(..line.map_or(0, |at| at + 1)));
            shown.extend_from_slice(format!("\u{2039}{}\u{203a}", hit.id).as_bytes());
            self.held.clear();
            self.state = None;
            rest = rest.get(end..).unwrap_or_default();
        }
    }

    /// What waited, at the end.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Bytes as text. The beginning of a character waits; what is none is shown as that.
    pub(super) fn text(&mut self, bytes: &[u8], is_pipe: bool) -> String {
        let mut all = std::mem::take(&mut self.character);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.append(chunk.valid(), is_pipe, &mut text);
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            // Only the very end may be completed by what follows.
            if chunks.peek().is_none() && is_beginning(invalid) {
                self.character = invalid.to_vec();
            } else {
                self.append("\u{fffd}", is_pipe, &mut text);
            }
        }
        text
    }

    fn append(&mut self, valid: &str, is_pipe: bool, out: &mut String) {
        if !is_pipe {
            out.push_str(valid);
            return;
        }
        for (index, line) in valid.split('\n').enumerate() {
            if index > 0 {
                out.push_str(if self.returned { "\n" } else { "\r\n" });
                self.returned = false;
            }
            out.push_str(line);
            if let Some(last) = line.as_bytes().last() {
                self.returned = *last == b'\r';
            }
        }
    }
}

/// Whether these bytes are a character that is cut short, and no more than that.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
