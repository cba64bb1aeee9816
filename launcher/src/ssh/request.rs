//! What an agent is asked to sign, told from the bytes themselves.
//!
//! A key signs bytes, and what they mean is in them: a login of ssh (RFC 4252, and OpenSSH's form that names the
//! host's key), or a signature of a file. Anything else has no meaning here.

use super::wire::Reader;

/// A request to log in: this number in the protocol.
const USERAUTH_REQUEST: u8 = 50;
const SERVICE: &[u8] = b"ssh-connection";
const METHOD: &[u8] = b"publickey";
/// The same, with the key of the host in it.
const HOST_BOUND: &[u8] = b"publickey-hostbound-v00@openssh.com";
/// How a signature of a file begins.
const FILE: &[u8] = b"SSHSIG";
/// What git calls its own.
const GIT: &[u8] = b"git";

/// What a signature would be for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// A login in this session.
    Login {
        session: &'a [u8],
        /// The host's key, where the request names it.
        host_key: Option<&'a [u8]>,
    },
    /// A commit or a tag.
    Commit,
    /// Something else.
    Other,
}

/// What a sign request is for: its key, and the bytes to be signed.
pub(super) fn wanted(request: &[u8]) -> Option<Wanted<'_>> {
    let mut reader = Reader::new(request);
    let (key, data) = (reader.string()?, reader.string()?);
    Some(login(key, data).or_else(|| file(data)).unwrap_or(Wanted::Other))
}

fn login<'a>(key: &[u8], data: &'a [u8]) -> Option<Wanted<'a>> {
    let mut reader = Reader::new(data);
    let session = reader.string()?;
    let is_request = reader.byte()? == USERAUTH_REQUEST;
    let _user = reader.string()?;
    let (service, method) = (reader.string()?, reader.string()?);
    let has_signature = reader.byte()? == 1;
    let _algorithm = reader.string()?;
    let is_own = reader.string()? == key;
    let host_key = match method {
        METHOD => None,
        HOST_BOUND => Some(reader.string()?),
        _ => return None,
    };
    reader.end()?;
    let good = is_request && service == SERVICE && has_signature && is_own && !session.is_empty();
    good.then_some(Wanted::Login { session, host_key })
}

fn file(data: &[u8]) -> Option<Wanted<'_>> {
    let mut reader = Reader::new(data.strip_prefix(FILE)?);
    let namespace = reader.string()?;
    let (_reserved, _hash, _digest) = (reader.string()?, reader.string()?, reader.string()?);
    reader.end()?;
    (namespace == GIT).then_some(Wanted::Commit)
}

#[cfg(test)]
mod tests {
    use super::super::wire::string;
    use super::*;

    fn request(data: &[u8]) -> Vec<u8> {
        [string(b"key"), string(data), vec![0; 4]].concat()
    }

    fn login(service: &[u8], method: &[u8], key: &[u8], rest: &[u8]) -> Vec<u8> {
        let head =
            [string(b"session"), vec![USERAUTH_REQUEST], string(b"git"), string(service), string(method)];
        [head.concat(), vec![1], string(b"ssh-ed25519"), string(key), rest.to_vec()].concat()
    }

    #[test]
    fn a_login_says_for_which_session_it_is() {
        let of = |data: &[u8]| format!("{:?}", wanted(&request(data)));
        let plain = login(SERVICE, METHOD, b"key", b"");
        let session: &[u8] = b"session";
        assert_eq!(wanted(&request(&plain)), Some(Wanted::Login { session, host_key: None }));
        let bound = login(SERVICE, HOST_BOUND, b"key", &string(b"host"));
        assert_eq!(wanted(&request(&bound)), Some(Wanted::Login { session, host_key: Some(b"host") }));
        for odd in [
            login(b"other", METHOD, b"key", b""),
            login(SERVICE, METHOD, b"another", b""),
            login(SERVICE, b"password", b"key", b""),
            login(SERVICE, METHOD, b"key", b"more"),
            login(SERVICE, HOST_BOUND, b"key", b""),
            b"".to_vec(),
            b"anything".to_vec(),
        ] {
            assert_eq!(of(&odd), "Some(Other)", "{}", odd.escape_ascii());
        }
        assert_eq!(wanted(b"cut"), None);
    }

    #[test]
    fn of_signatures_of_files_only_those_of_git_are_commits() {
        let file = |namespace: &[u8]| {
            [FILE, &string(namespace), &string(b""), &string(b"sha512"), &string(b"x")].concat()
        };
        assert_eq!(wanted(&request(&file(b"git"))), Some(Wanted::Commit));
        assert_eq!(wanted(&request(&file(b"file"))), Some(Wanted::Other));
        assert_eq!(wanted(&request(&[file(b"git"), vec![0]].concat())), Some(Wanted::Other));
    }
}
