//! Owns reading what a call is about from the memory of whoever makes it. All of it is outside input, and may
//! change while it is read.

use std::io;

use crate::sys::memory::{self, PIECES, Piece};
use crate::sys::ring::Address;
use crate::sys::seccomp::Asked;

/// An exec as it was asked for.
#[derive(Debug)]
pub(super) struct Command {
    /// The program, as named.
    pub(super) path: Vec<u8>,
    /// Where a relative path begins.
    pub(super) from: From,
    /// argv, cut where it is longer than anything worth keeping.
    pub(super) args: Vec<Vec<u8>>,
}

/// Where a relative path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The working directory.
    Here,
    /// An open directory; or an open file, where the path is empty.
    Descriptor(i32),
}

const PAGE: u64 = 4096;
/// As long as a path can be.
const PATH: usize = 4096;
/// More of argv than this is not looked at.
const ARGUMENTS: usize = 2048;
const ARGUMENT_BYTES: usize = 32 << 10;
/// Most arguments are shorter than this.
const SHORT: usize = 256;

impl Command {
    /// Reads an execve or execveat.
    pub(super) fn read(asked: &Asked) -> io::Result<Self> {
        let [first, second, third, ..] = asked.arguments;
        let (from, path, argv) = if i64::from(asked.number) == libc::SYS_execveat {
            // The kernel takes the lower half.
            let number = i32::from_ne_bytes((first as u32).to_ne_bytes());
            let from = if number == libc::AT_FDCWD { From::Here } else { From::Descriptor(number) };
            (from, second, third)
        } else {
            (From::Here, first, second)
        };
        if let Some((path, pointers)) = beginnings(asked.thread, path, argv) {
            let (mut room, mut args) = (ARGUMENT_BYTES, Vec::with_capacity(pointers.len()));
            strings(asked.thread, &pointers, &mut room, &mut args)?;
            return Ok(Self { path, from, args });
        }
        let path = string(asked.thread, path, PATH)?;
        Ok(Self { path, from, args: arguments(asked.thread, argv)? })
    }

    /// As a shell would show it, and once more by the name of the program where argv says another.
    ///
    /// A word with blanks in it is a text (a prompt, a message) and no part of the command, except to a
    /// shell, which may run it. What another program runs of it is asked about when it does.
    pub(super) fn lines(&self) -> [Vec<u8>; 2] {
        let (first, rest) = self.args.split_at(self.args.len().min(1));
        let is_command = |word: &&[u8]| self.is_shell() || !word.iter().any(u8::is_ascii_whitespace);
        let rest: Vec<&[u8]> = rest.iter().map(Vec::as_slice).filter(is_command).collect();
        let line = |name: &[u8]| [&[name][..], rest.as_slice()].concat().join(&b' ');
        [line(first.first().map_or(&[], Vec::as_slice)), line(&self.path)]
    }

    fn is_shell(&self) -> bool {
        const SHELLS: [&[u8]; 11] =
            [b"sh", b"bash", b"dash", b"zsh", b"ksh", b"mksh", b"ash", b"fish", b"csh", b"tcsh", b"busybox"];
        // A login shell's first word begins with a dash.
        let name = |path: &[u8]| {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            SHELLS.contains(&name.strip_prefix(b"-").unwrap_or(name))
        };
        name(&self.path) || self.args.first().is_some_and(|first| name(first))
    }
}

/// Reads the address of a connect.
pub(super) fn address(asked: &Asked) -> Option<Address> {
    let [_, address, length, ..] = asked.arguments;
    let mut bytes = [0; 128];
    let length = usize::try_from(length & 0xffff_ffff).ok()?.min(bytes.len());
    let got = memory::read(asked.thread, &[Piece { address, length }], &mut bytes).ok()?;
    Address::decode(bytes.get(..got)?)
}

/// Path and list of a command in one call, where both are short and whole: nearly always.
fn beginnings(thread: u32, path: u64, list: u64) -> Option<(Vec<u8>, Vec<u64>)> {
    let pieces = [
        Piece { address: path, length: to_page_end(path).min(SHORT) },
        Piece { address: list, length: to_page_end(list).min(PIECES * 8) },
    ];
    let mut buffer = [0; SHORT + PIECES * 8];
    let got = memory::read(thread, &pieces, &mut buffer).ok()?;
    let (path, words) = buffer.get(..got)?.split_at_checked(pieces[0].length)?;
    let path = path.get(..path.iter().position(|byte| *byte == 0)?)?.to_vec();
    let (words, _) = words.as_chunks::<8>();
    let end = words.iter().position(|word| *word == [0; 8])?;
    Some((path, words.get(..end)?.iter().map(|word| u64::from_ne_bytes(*word)).collect()))
}

/// The strings of a NULL-terminated list.
fn arguments(thread: u32, list: u64) -> io::Result<Vec<Vec<u8>>> {
    let mut args = Vec::new();
    let mut room = ARGUMENT_BYTES;
    let mut at = list;
    while list != 0 && args.len() < ARGUMENTS && room > 0 {
        let mut words = [0; PIECES * 8];
        let length = to_page_end(at).min(words.len());
        let got = memory::read(thread, &[Piece { address: at, length }], &mut words)?;
        let (words, _) = words.get(..got).unwrap_or_default().as_chunks::<8>();
        let pointers: Vec<u64> =
            words.iter().map(|word| u64::from_ne_bytes(*word)).take_while(|word| *word != 0).collect();
        strings(thread, &pointers, &mut room, &mut args)?;
        // A pointer may lie across two pages only in a list that no compiler makes; it ends the list.
        if pointers.len() < words.len() || words.is_empty() {
            break;
        }
        at = at.saturating_add(words.len() as u64 * 8);
    }
    Ok(args)
}

/// Strings at these addresses: the beginning of each in one call, the rest of a long one by itself.
fn strings(thread: u32, pointers: &[u64], room: &mut usize, into: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let mut buffer = [0; PIECES * SHORT];
    let mut pieces = [Piece { address: 0, length: 0 }; PIECES];
    for (piece, pointer) in pieces.iter_mut().zip(pointers) {
        *piece = Piece { address: *pointer, length: to_page_end(*pointer).min(SHORT) };
    }
    let pieces = pieces.get(..pointers.len()).unwrap_or_default();
    let got = if pieces.is_empty() { 0 } else { memory::read(thread, pieces, &mut buffer)? };
    let mut rest = buffer.get(..got).unwrap_or_default();
    for piece in pieces {
        let (here, behind) = rest.split_at(piece.length.min(rest.len()));
        rest = behind;
        let mut text = match here.iter().position(|byte| *byte == 0) {
            Some(end) => here.get(..end).unwrap_or_default().to_vec(),
            None => string(thread, piece.address, *room)?,
        };
        text.truncate(*room);
        *room -= text.len();
        into.push(text);
        if *room == 0 {
            break;
        }
    }
    Ok(())
}

/// A string of at most so many bytes. A page that is not there ends it with an error, as it would for the kernel.
fn string(thread: u32, address: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut at = address;
    while text.len() < most {
        let mut page = [0; PAGE as usize];
        let length = to_page_end(at);
        let got = memory::read(thread, &[Piece { address: at, length }], &mut page)?;
        let bytes = page.get(..got).unwrap_or_default();
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            text.extend_from_slice(bytes.get(..end).unwrap_or_default());
            break;
        }
        text.extend_from_slice(bytes);
        if bytes.is_empty() {
            break;
        }
        at = at.saturating_add(bytes.len() as u64);
    }
    text.truncate(most);
    Ok(text)
}

fn to_page_end(address: u64) -> usize {
    (PAGE - address % PAGE) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    fn asked(number: i64, arguments: [u64; 6]) -> Asked {
        let number = i32::try_from(number).expect("small");
        Asked { id: 0, thread: std::process::id(), number, arguments }
    }

    #[test]
    fn commands_are_read_whatever_their_length() {
        let long = "x".repeat(10_000);
        for words in [vec![], vec!["true"], vec!["sh", "-c", "", &long], vec!["a"; 300]] {
            let words: Vec<CString> =
                words.into_iter().map(|word| CString::new(word).expect("no NUL")).collect();
            let mut list: Vec<u64> = words.iter().map(|word| word.as_ptr() as u64).collect();
            list.push(0);
            let path = c"/bin/true";
            let call = asked(libc::SYS_execve, [path.as_ptr() as u64, list.as_ptr() as u64, 0, 0, 0, 0]);
            let command = Command::read(&call).expect("own memory");
            assert_eq!((command.path.as_slice(), command.from), (path.to_bytes(), From::Here));
            let expected: Vec<&[u8]> = words.iter().map(|word| word.to_bytes()).collect();
            assert_eq!(command.args, expected);
        }
    }

    #[test]
    fn a_prompt_is_no_command_but_to_a_shell() {
        let line = |words: &[&str]| {
            let args: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
            let command = Command { path: args[0].clone(), from: From::Here, args };
            String::from_utf8_lossy(&command.lines()[0]).into_owned()
        };
        assert_eq!(line(&["git", "push", "origin"]), "git push origin");
        assert_eq!(line(&["agent", "-p", "never git push", "--fast"]), "agent -p --fast");
        assert_eq!(line(&["/bin/bash", "-c", "cd x; git push"]), "/bin/bash -c cd x; git push");
        assert_eq!(line(&["-zsh", "-c", "git push"]), "-zsh -c git push");
    }

    #[test]
    fn execveat_has_a_directory() {
        let (path, list) = (c"x", [0u64]);
        let arguments = [5, path.as_ptr() as u64, list.as_ptr() as u64, 0, 0, 0];
        let command = Command::read(&asked(libc::SYS_execveat, arguments)).expect("own memory");
        assert_eq!(command.from, From::Descriptor(5));
        let here = (libc::AT_FDCWD as i64).cast_unsigned();
        let command = Command::read(&asked(libc::SYS_execveat, [here, path.as_ptr() as u64, 0, 0, 0, 0]));
        assert_eq!(command.expect("own memory").from, From::Here);
    }

    #[test]
    fn too_much_is_cut_and_nonsense_is_an_error() {
        let word = CString::new("y".repeat(1000)).expect("no NUL");
        let list = vec![word.as_ptr() as u64; 500];
        let path = c"p";
        let call = asked(libc::SYS_execve, [path.as_ptr() as u64, list.as_ptr() as u64, 0, 0, 0, 0]);
        let command = Command::read(&call).expect("own memory");
        assert_eq!(command.args.iter().map(Vec::len).sum::<usize>(), ARGUMENT_BYTES);
        for address in [0, 1, u64::MAX, 1 << 63] {
            assert!(Command::read(&asked(libc::SYS_execve, [address, 0, 0, 0, 0, 0])).is_err());
            assert!(address == 0 || arguments(std::process::id(), address).is_err());
            let _ = super::address(&asked(libc::SYS_connect, [3, address, u64::MAX, 0, 0, 0]));
        }
    }

    #[test]
    fn a_command_is_one_line_by_its_words_and_one_by_its_program() {
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let command =
            Command { path: b"/usr/bin/git".to_vec(), from: From::Here, args: words(&["g", "push", "-f"]) };
        assert_eq!(command.lines(), [b"g push -f".to_vec(), b"/usr/bin/git push -f".to_vec()]);
    }
}
