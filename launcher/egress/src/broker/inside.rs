//! gzip within what nobody said is compressed: the messages of gRPC, a file in a form.
//!
//! Owns the members that have begun and are not at their end, however many chunks they go over. A look below encodings
//! sees only as far back as a few KiB; a member has to be read from its beginning.

use std::io::Write as _;

use flate2::write::GzDecoder;
use zeroize::Zeroizing;

use super::coding::PIECE;
use super::look::Look;
use super::stop::Stop;

/// What a member begins with.
const BEGINNING: [u8; 3] = [0x1f, 0x8b, 8];
/// At one time; of more the first are given up. What only looks like a beginning ends within a few bytes.
const MOST: usize = 4;
/// So much text of all members of a body is looked at.
const TEXT: usize = 64 << 20;

/// The members of one stream.
pub(super) struct Inside {
    open: Vec<Member>,
    /// The last bytes, in which one may have begun.
    last: Vec<u8>,
    left: usize,
    /// What of their text is still to be looked through.
    pub(super) costly: Vec<Zeroizing<Vec<u8>>>,
}

struct Member {
    decoder: GzDecoder<Vec<u8>>,
    look: Box<Look>,
}

impl Inside {
    pub(super) fn new() -> Self {
        Self { open: Vec::new(), last: Vec::new(), left: TEXT, costly: Vec::new() }
    }

    /// Looks into the members of a chunk; `look` is for what one more says.
    pub(super) fn see(&mut self, chunk: &[u8], look: impl Fn() -> Look) -> Result<(), Stop> {
        if self.left == 0 {
            return Ok(());
        }
        let seam = [self.last.as_slice(), chunk.get(..2).unwrap_or(chunk)].concat();
        let begun = (0..self.last.len()).find(|at| seam[*at..].starts_with(&BEGINNING));
        self.go_on(chunk)?;
        if let Some(at) = begun {
            let rest = [&self.last[at..], chunk].concat();
            self.begin(&rest, &look)?;
        }
        for at in memchr::memmem::find_iter(chunk, &BEGINNING) {
            self.begin(&chunk[at..], &look)?;
        }
        self.last.extend_from_slice(&chunk[chunk.len().saturating_sub(2)..]);
        self.last.drain(..self.last.len().saturating_sub(2));
        Ok(())
    }

    fn begin(&mut self, rest: &[u8], look: &impl Fn() -> Look) -> Result<(), Stop> {
        let mut member = Member { decoder: GzDecoder::new(Vec::new()), look: Box::new(look()) };
        let goes_on = member.take(rest, &mut self.left)?;
        self.costly.append(&mut member.look.costly_texts());
        if goes_on {
            if self.open.len() == MOST {
                self.open.remove(0);
            }
            self.open.push(member);
        }
        Ok(())
    }

    fn go_on(&mut self, chunk: &[u8]) -> Result<(), Stop> {
        let mut members = std::mem::take(&mut self.open);
        for mut member in members.drain(..) {
            let goes_on = member.take(chunk, &mut self.left)?;
            self.costly.append(&mut member.look.costly_texts());
            if goes_on {
                self.open.push(member);
            }
        }
        Ok(())
    }
}

impl Member {
    /// Whether it goes on behind this.
    fn take(&mut self, chunk: &[u8], left: &mut usize) -> Result<bool, Stop> {
        for mut piece in chunk.chunks(PIECE) {
            while !piece.is_empty() {
                let taken = self.decoder.write(piece).and_then(|taken| self.decoder.flush().map(|()| taken));
                let text = std::mem::take(self.decoder.get_mut());
                if !text.is_empty() {
                    self.look.see(&text)?;
                }
                *left = left.saturating_sub(text.len());
                match taken {
                    Ok(taken @ 1..) if *left > 0 => piece = &piece[taken..],
                    // It is no member, or at its end, or enough has been seen.
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}
