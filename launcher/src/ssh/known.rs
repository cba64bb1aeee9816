//! The keys of hosts that the person knows: `known_hosts`, in all its forms.
//!
//! Owns which key belongs to a listed host. A line that cannot be read names nobody.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// A key of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The host, or `[host]:port`.
    pub(super) name: String,
    /// The key, as ssh sends it.
    pub(super) key: Vec<u8>,
    form: String,
}

impl Known {
    /// A line for a `known_hosts` of the guest's.
    pub(super) fn line(&self) -> String {
        format!("{} {} {}\n", self.name, self.form, BASE64.encode(&self.key))
    }
}

/// A host that is looked for: `host` or `*.host`, and the ports that may be reached there.
pub(super) struct Sought {
    pub(super) pattern: String,
    pub(super) ports: BTreeSet<u16>,
}

/// The files that ssh itself would read.
pub(super) fn files(home: Option<&Path>) -> Vec<PathBuf> {
    let own = home
        .into_iter()
        .flat_map(|home| ["known_hosts", "known_hosts2"].map(|name| home.join(".ssh").join(name)));
    let machine = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from);
    own.chain(machine).collect()
}

/// The keys of these hosts in these files.
pub(super) fn read(files: &[PathBuf], sought: &[Sought]) -> Vec<Known> {
    let texts: Vec<_> = files
        .iter()
        .filter_map(|file| fs::read(file).ok())
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .collect();
    of(texts.iter().flat_map(|text| text.lines()), sought)
}

fn of<'a>(lines: impl Iterator<Item = &'a str>, sought: &[Sought]) -> Vec<Known> {
    let (mut all, mut revoked) = (Vec::new(), Vec::new());
    for line in lines {
        let mut fields = line.split_whitespace().peekable();
        let marker = fields.next_if(|field| field.starts_with('@'));
        let (Some(names), Some(form), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Ok(key) = BASE64.decode(key.as_bytes()) else { continue };
        match marker {
            None if !names.starts_with('#') => {
                let found = sought.iter().flat_map(|sought| sought.found_in(names));
                all.extend(found.map(|name| Known { name, key: key.clone(), form: form.to_owned() }));
            }
            Some("@revoked") => revoked.push(key),
            // An authority of hosts: its certificates are not looked at.
            _ => {}
        }
    }
    all.retain(|known| !revoked.contains(&known.key));
    all
}

impl Sought {
    /// By which of its names it stands in the first field of a line.
    fn found_in(&self, field: &str) -> Vec<String> {
        if let Some(tail) = self.pattern.strip_prefix('*') {
            // What is hashed or a pattern names no host that could be told.
            let plain = |name: &&str| !name.contains(['*', '?', '!', '|']) && bare(name).ends_with(tail);
            return field.split(',').filter(plain).map(str::to_owned).collect();
        }
        let own =
            self.ports.iter().filter(|port| **port != 22).map(|port| format!("[{}]:{port}", self.pattern));
        let names = std::iter::once(self.pattern.clone()).chain(own);
        names.filter(|name| matches(field, name)).collect()
    }
}

/// A name without its port.
fn bare(name: &str) -> &str {
    name.strip_prefix('[').and_then(|name| name.split_once(']')).map_or(name, |(name, _)| name)
}

/// Whether the first field of a line names this host.
fn matches(field: &str, name: &str) -> bool {
    if let Some(hashed) = field.strip_prefix("|1|") {
        let parts = hashed.split_once('|').and_then(|(salt, hash)| {
            Some((BASE64.decode(salt.as_bytes()).ok()?, BASE64.decode(hash.as_bytes()).ok()?))
        });
        return parts.is_some_and(|(salt, hash)| {
            let mut mac = Hmac::<Sha1>::new_from_slice(&salt).expect("a key of any length does");
            mac.update(name.as_bytes());
            mac.verify_slice(&hash).is_ok()
        });
    }
    let mut found = false;
    for pattern in field.split(',') {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix('!') {
            Some(pattern) if glob(pattern.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= glob(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// `*` and `?`, as ssh has them. The last star is the one to go back to: so it takes no longer than the product.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || text.get(seen) == Some(byte) => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    (at, seen) = (after, from + 1);
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, pattern: &str) -> Vec<String> {
        let sought = Sought { pattern: pattern.to_owned(), ports: BTreeSet::from([22, 2222]) };
        of(text.lines(), &[sought]).into_iter().map(|known| known.line()).collect()
    }

    #[test]
    fn a_line_is_for_a_host_in_every_form_that_ssh_has() {
        for (line, found) in [
            ("git.example.com ssh-ed25519 AAAA", &["git.example.com"][..]),
            ("other,git.example.com ssh-ed25519 AAAA comment", &["git.example.com"]),
            ("[git.example.com]:2222 ssh-ed25519 AAAA", &["[git.example.com]:2222"]),
            ("[git.example.com]:2223 ssh-ed25519 AAAA", &[]),
            ("*.example.com ssh-ed25519 AAAA", &["git.example.com"]),
            ("*.example.com,!git.* ssh-ed25519 AAAA", &[]),
            ("g?t.EXAMPLE.com ssh-ed25519 AAAA", &["git.example.com"]),
            ("# git.example.com ssh-ed25519 AAAA", &[]),
            ("#git.example.com ssh-ed25519 AAAA", &[]),
            ("@cert-authority git.example.com ssh-ed25519 AAAA", &[]),
            ("git.example.com ssh-ed25519 A=A", &[]),
            ("git.example.com ssh-ed25519", &[]),
            ("|1|x|y ssh-ed25519 AAAA", &[]),
            ("evil-git.example.com ssh-ed25519 AAAA", &[]),
        ] {
            let expected: Vec<_> = found.iter().map(|name| format!("{name} ssh-ed25519 AAAA\n")).collect();
            assert_eq!(names(line, "git.example.com"), expected, "{line}");
        }
    }

    #[test]
    fn a_hashed_name_is_found_by_its_hash() {
        let salt = [7; 20];
        let mut mac = Hmac::<Sha1>::new_from_slice(&salt).expect("a key");
        mac.update(b"git.example.com");
        let hash = BASE64.encode(&mac.finalize().into_bytes());
        let line = format!("|1|{}|{hash} ssh-ed25519 AAAA", BASE64.encode(&salt));
        assert_eq!(names(&line, "git.example.com").len(), 1);
        assert!(names(&line, "hg.example.com").is_empty());
    }

    #[test]
    fn a_revoked_key_is_nobodys() {
        let text =
            "git.example.com ssh-ed25519 AAAA\ngit.example.com ssh-rsa AAAB\n@revoked * ssh-ed25519 AAAA\n";
        assert_eq!(names(text, "git.example.com"), ["git.example.com ssh-rsa AAAB\n"]);
    }

    #[test]
    fn a_pattern_of_the_policy_finds_the_names_beneath_it() {
        let text =
            "a.example.com,[b.example.com]:2222,example.com,x.org ssh-rsa AAAA\n*.example.com ssh-rsa AAAA\n";
        let expected = ["a.example.com ssh-rsa AAAA\n", "[b.example.com]:2222 ssh-rsa AAAA\n"];
        assert_eq!(names(text, "*.example.com"), expected);
    }
}
