//! Owns inflating and deflating, with a limit on what is held.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::Unreadable;

/// No object larger than this is held whole. Git itself makes no deltas of larger ones, so it is a bound for those
/// that need to be.
pub(super) const LARGEST: usize = 512 << 20;
/// Read at a time.
const CHUNK: usize = 256 * 1024;

/// Buffers that one thread uses again and again.
pub(super) struct Inflater {
    state: Decompress,
    /// Made when it is first needed: most runs unpack nothing.
    input: Vec<u8>,
}

impl Inflater {
    /// Fresh buffers.
    pub(super) fn new() -> Self {
        Self { state: Decompress::new(true), input: Vec::new() }
    }

    fn make_room(&mut self) {
        self.input.resize(CHUNK, 0);
    }

    /// The `size` bytes that are deflated somewhere at the beginning of a part of a file.
    ///
    /// # Errors
    /// When it is no zlib stream of that size.
    pub(super) fn inflate(
        &mut self,
        file: &File,
        part: Range<u64>,
        size: usize,
    ) -> Result<Vec<u8>, Unreadable> {
        if size > LARGEST {
            return Err(Unreadable::TooLarge);
        }
        self.make_room();
        let mut content = Vec::with_capacity(size + 1);
        let whole =
            usize::try_from(part.end.saturating_sub(part.start)).ok().filter(|length| *length <= CHUNK);
        if let Some(length) = whole {
            self.state.reset(true);
            let count = read_at(file, self.input.get_mut(..length).unwrap_or_default(), part.start)?;
            let input = self.input.get(..count).unwrap_or_default();
            let status = self.state.decompress_vec(input, &mut content, FlushDecompress::Finish);
            return match status {
                Ok(Status::StreamEnd) if content.len() == size => Ok(content),
                _ => Err(Unreadable::Malformed("an object that does not unpack")),
            };
        }
        self.stream(file, part, size.clamp(1, 1 << 20), |bytes| {
            content.extend_from_slice(bytes);
            content.len() <= size
        })?;
        if content.len() == size {
            Ok(content)
        } else {
            Err(Unreadable::Malformed("an object of another size"))
        }
    }

    /// Hands out what is deflated there, piece by piece of at most `most` bytes, while the receiver wants more.
    ///
    /// # Errors
    /// When it is no zlib stream.
    pub(super) fn stream(
        &mut self,
        file: &File,
        part: Range<u64>,
        most: usize,
        mut receive: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Unreadable> {
        const NOT_ZLIB: Unreadable = Unreadable::Malformed("not a zlib stream");
        self.make_room();
        self.state.reset(true);
        let mut output = Vec::with_capacity(most);
        let mut at = part.start;
        loop {
            let wanted = usize::try_from(part.end.saturating_sub(at)).map_or(CHUNK, |rest| rest.min(CHUNK));
            let count = read_at(file, self.input.get_mut(..wanted).unwrap_or_default(), at)?;
            at += count as u64;
            let mut input = self.input.get(..count).unwrap_or_default();
            if input.is_empty() {
                return Err(NOT_ZLIB);
            }
            loop {
                let (before, flush) = (self.state.total_in(), FlushDecompress::None);
                output.clear();
                let status = self.state.decompress_vec(input, &mut output, flush).map_err(|_| NOT_ZLIB)?;
                let used = usize::try_from(self.state.total_in() - before).unwrap_or(input.len());
                input = input.get(used..).unwrap_or_default();
                if !output.is_empty() && !receive(&output) || status == Status::StreamEnd {
                    return Ok(());
                }
                if output.len() < output.capacity() && input.is_empty() {
                    break;
                }
                if used == 0 && output.is_empty() {
                    return Err(NOT_ZLIB);
                }
            }
        }
    }
}

/// As many bytes as there are, up to the buffer's length.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> Result<usize, Unreadable> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pread(file.as_fd(), rest, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(filled)
}

/// The zlib stream of some bytes.
pub(super) fn deflate(content: &[u8]) -> Vec<u8> {
    let mut state = Compress::new(Compression::fast(), true);
    let mut output = Vec::with_capacity(content.len() / 2 + 128);
    loop {
        let used = usize::try_from(state.total_in()).unwrap_or(content.len());
        let rest = content.get(used..).unwrap_or_default();
        match state.compress_vec(rest, &mut output, FlushCompress::Finish) {
            Ok(Status::StreamEnd) | Err(_) => return output,
            Ok(_) => output.reserve(output.capacity().max(1024)),
        }
    }
}
