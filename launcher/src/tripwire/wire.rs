//! Owns the FUSE wire form (fuse(4)): a request of the kernel's as a value, answers as bytes.
//!
//! Only what a mount of a few fixed, read-only nodes is asked. A request is read as outside input: one that
//! is too short for its kind is [`Ask::Malformed`], and no byte of it can make us panic. What is answered
//! is not decided here.

/// A request of the kernel's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// Names the request in its answer.
    pub(super) unique: u64,
    /// The node it is about.
    pub(super) node: u64,
    /// The thread that waits for the answer, as the mount's pid namespace numbers it; 0 for the kernel itself.
    pub(super) thread: u32,
    /// What is asked.
    pub(super) ask: Ask<'a>,
}

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask<'a> {
    /// The first request of all.
    Init { major: u32, minor: u32, readahead: u32 },
    /// A name in a directory.
    Lookup(&'a [u8]),
    /// stat(2).
    Attributes,
    /// open(2) of a file.
    Open,
    /// The bytes of a file.
    Read { offset: u64, size: u32 },
    /// opendir(3), or open(2) of a directory.
    OpenDirectory,
    /// getdents(2), with what stat(2) shows of each name.
    List { offset: u64, size: u32 },
    /// access(2) or chdir(2) with these bits.
    Access(u32),
    /// statfs(2).
    FileSystem,
    /// close(2): nothing was kept.
    Release,
    /// Wants no answer.
    Silent,
    /// Not a thing that this mount knows; the kernel has a way of its own for each.
    Unknown,
    /// Not a request.
    Malformed,
}

/// Bytes of the kernel's header.
pub(super) const HEADER: usize = 40;
/// Bytes of ours.
pub(super) const ANSWER: usize = 16;
/// The protocol we speak: Linux 5.12 speaks 7.33, and a newer kernel speaks as old as it is asked to.
pub(super) const MAJOR: u32 = 7;
const MINOR: u32 = 31;
/// The smallest buffer that the kernel allows.
pub(super) const BUFFER: usize = 8192;

/// Keep what was read: the content never changes. Do not tell of a flush: nothing is written.
const KEEP_CACHE_NO_FLUSH: u32 = 1 << 1 | 1 << 5;
/// As good as for ever: nodes do not change, and each question costs two switches of process.
const FOR_EVER: u64 = 1 << 30;
/// Several pages may be asked for at once, and several names of a directory; a listing comes with what
/// stat(2) shows, so that nobody asks for the names one by one.
const FLAGS: u32 = 1 << 0 | 1 << 13 | 1 << 18;

impl<'a> Request<'a> {
    /// Reads one request. `None` where there is not even a header to answer.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let body = bytes.get(HEADER..).unwrap_or_default();
        let word = |at: usize| u32_at(header, at);
        let ask = Self::ask(word(4)?, body).unwrap_or(Ask::Malformed);
        Some(Self { unique: u64_at(header, 8)?, node: u64_at(header, 16)?, thread: word(32)?, ask })
    }

    fn ask(opcode: u32, body: &'a [u8]) -> Option<Ask<'a>> {
        Some(match opcode {
            1 => Ask::Lookup(body.split(|byte| *byte == 0).next().filter(|name| !name.is_empty())?),
            // Forget, interrupt, destroy, forget many. Interrupt too: whoever waits has its answer soon.
            2 | 36 | 38 | 42 => Ask::Silent,
            3 => Ask::Attributes,
            14 => Ask::Open,
            15 => Ask::Read { offset: u64_at(body, 8)?, size: u32_at(body, 16)? },
            17 => Ask::FileSystem,
            18 | 29 => Ask::Release,
            26 => Ask::Init { major: u32_at(body, 0)?, minor: u32_at(body, 4)?, readahead: u32_at(body, 8)? },
            27 => Ask::OpenDirectory,
            44 => Ask::List { offset: u64_at(body, 8)?, size: u32_at(body, 16)? },
            34 => Ask::Access(u32_at(body, 0)?),
            _ => Ask::Unknown,
        })
    }
}

/// What stat(2) shows of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) node: u64,
    pub(super) size: u64,
    /// Type and permission bits.
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) modified: (i64, i64),
    pub(super) owner: (u32, u32),
}

/// The bytes of an answer behind its header.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<u8>);

impl Body {
    /// To [`Ask::Init`].
    pub(super) fn init(readahead: u32) -> Self {
        const BACKGROUND: u32 = 16 | 12 << 16;
        const MAX_WRITE: u32 = 4096;
        const NANOSECOND: u32 = 1;
        let words = [MAJOR, MINOR, readahead, FLAGS, BACKGROUND, MAX_WRITE, NANOSECOND];
        let mut body = Self(Vec::with_capacity(64));
        words.iter().for_each(|word| body.u32(*word));
        body.0.resize(64, 0);
        body
    }

    /// To a [`Ask::Init`] of another major version: the kernel asks again, with ours.
    pub(super) fn other_major() -> Self {
        let mut body = Self::default();
        body.u32(MAJOR);
        body.u32(MINOR);
        body.0.resize(64, 0);
        body
    }

    /// To [`Ask::Lookup`] of a node that is there.
    pub(super) fn entry(attributes: &Attributes) -> Self {
        let mut body = Self(Vec::with_capacity(128));
        for word in [attributes.node, 0, FOR_EVER, FOR_EVER, 0] {
            body.u64(word);
        }
        body.attributes(attributes);
        body
    }

    /// To [`Ask::List`]: adds a name; `next` is the offset behind it. Whether there was room in `size` bytes.
    pub(super) fn list(&mut self, name: &str, next: u64, attributes: &Attributes, size: usize) -> bool {
        const ENTRY: usize = 128 + 24;
        let padded = (ENTRY + name.len()).next_multiple_of(8);
        let end = self.0.len() + padded;
        if end > size {
            return false;
        }
        self.0.extend(Self::entry(attributes).0);
        self.u64(attributes.node);
        self.u64(next);
        self.u32(u32::try_from(name.len()).unwrap_or(0));
        self.u32((attributes.mode & libc::S_IFMT) >> 12);
        self.0.extend(name.as_bytes());
        self.0.resize(end, 0);
        true
    }

    /// To [`Ask::Attributes`].
    pub(super) fn stat(attributes: &Attributes) -> Self {
        let mut body = Self(Vec::with_capacity(104));
        body.u64(FOR_EVER);
        body.u64(0);
        body.attributes(attributes);
        body
    }

    /// To [`Ask::Open`] that is granted.
    pub(super) fn opened() -> Self {
        let mut body = Self::default();
        body.u64(0);
        body.u32(KEEP_CACHE_NO_FLUSH);
        body.u32(0);
        body
    }

    /// To [`Ask::FileSystem`]: an empty one.
    pub(super) fn file_system() -> Self {
        const NAME_MAX: u32 = 255;
        const BLOCK: u32 = 4096;
        let mut body = Self(vec![0; 40]);
        for word in [BLOCK, NAME_MAX, BLOCK] {
            body.u32(word);
        }
        body.0.resize(80, 0);
        body
    }

    fn attributes(&mut self, of: &Attributes) {
        const BLOCK: u32 = 4096;
        let ((seconds, nanoseconds), (uid, gid)) = (of.modified, of.owner);
        let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0);
        for word in [of.node, of.size, of.size.div_ceil(512)].into_iter().chain([seconds.cast_unsigned(); 3])
        {
            self.u64(word);
        }
        for word in [nanoseconds; 3].into_iter().chain([of.mode, of.links, uid, gid, 0, BLOCK, 0]) {
            self.u32(word);
        }
    }

    fn u32(&mut self, word: u32) {
        self.0.extend(word.to_ne_bytes());
    }

    fn u64(&mut self, word: u64) {
        self.0.extend(word.to_ne_bytes());
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The header of an answer: with an errno, or with so many bytes behind it.
pub(super) fn header(unique: u64, result: Result<usize, i32>) -> [u8; ANSWER] {
    let (length, error) = match result {
        Ok(body) => (ANSWER + body, 0),
        Err(errno) => (ANSWER, -errno),
    };
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes();
    let [e, f, g, h] = error.to_ne_bytes();
    let [i, j, k, l, m, n, o, p] = unique.to_ne_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(opcode: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(opcode.to_ne_bytes());
        bytes.extend(77u64.to_ne_bytes());
        bytes.extend(3u64.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(42u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn requests_are_read() {
        let mut read = vec![0; 8];
        read.extend(4096u64.to_ne_bytes());
        read.extend(512u32.to_ne_bytes());
        read.extend([0; 20]);
        for (opcode, body, ask) in [
            (1, &b"id_rsa\0"[..], Ask::Lookup(b"id_rsa")),
            (1, b"no end", Ask::Lookup(b"no end")),
            (1, b"\0", Ask::Malformed),
            (1, b"", Ask::Malformed),
            (14, &[0; 8], Ask::Open),
            (15, &read, Ask::Read { offset: 4096, size: 512 }),
            (15, &read[..19], Ask::Malformed),
            (26, &[7, 0, 0, 0, 33, 0, 0, 0], Ask::Malformed),
            (9999, b"", Ask::Unknown),
        ] {
            let bytes = request(opcode, body);
            assert_eq!(Request::parse(&bytes), Some(Request { unique: 77, node: 3, thread: 42, ask }));
        }
        assert_eq!(Request::parse(&request(14, b"")[..HEADER - 1]), None);
    }

    #[test]
    fn answers_have_the_length_that_the_kernel_wants() {
        let attributes = Attributes {
            node: 2,
            size: 513,
            mode: libc::S_IFREG | 0o600,
            links: 1,
            modified: (-1, 7),
            owner: (1000, 1000),
        };
        for (body, length) in [
            (Body::init(0), 64),
            (Body::other_major(), 64),
            (Body::entry(&attributes), 128),
            (Body::stat(&attributes), 104),
            (Body::opened(), 16),
            (Body::file_system(), 80),
        ] {
            assert_eq!(body.bytes().len(), length);
        }
        assert_eq!(header(1, Ok(128))[..4], 144u32.to_ne_bytes());
        assert_eq!(header(1, Err(13))[4..8], (-13i32).to_ne_bytes());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), opcode in 0u32..60) {
            let _ = Request::parse(&bytes);
            let _ = Request::parse(&request(opcode, &bytes));
        }
    }
}
