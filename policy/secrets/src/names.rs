//! What a name says of its value: of a variable, a field, a query parameter.
//!
//! Owns the rules over their words; the words are in `lists`. Does not look at values; a name alone is never proof.

mod lists;

use lists::{ABOUT, EXACT, HARMLESS, KEY_BEFORE, LOOSE, PASSWORD, PUBLIC_PREFIXES, STRONG};

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSays {
    /// A password: even a short or simple value is one.
    Password,
    /// A token or key.
    Secret,
    /// Perhaps a key; the value must look the part.
    Perhaps,
    /// Meant to be public, so only a value of a known secret form counts.
    Public,
    /// Known to be something else.
    Harmless,
    /// Nothing.
    Nothing,
}

/// Longer ones say nothing.
const LONGEST: usize = 256;
/// Of a name of more words the last count.
const MOST_WORDS: usize = 24;

/// What this name says. Case, `-`, `.` and camelCase do not matter.
pub(crate) fn says(name: &[u8]) -> NameSays {
    let mut buffer = [0; 2 * LONGEST];
    let Some(text) = normal(name, &mut buffer) else { return NameSays::Nothing };
    if HARMLESS.has(text) || text.starts_with("XDG_") || text.starts_with("DBUS_") {
        return NameSays::Harmless;
    }
    if EXACT.has(text) {
        let password = text.ends_with("PWD") || text.ends_with("PASS") || text.ends_with("PASSWORD");
        return if password { NameSays::Password } else { NameSays::Secret };
    }
    let mut places = [""; MOST_WORDS];
    let mut first = MOST_WORDS;
    for word in text.rsplit('_').filter(|word| !word.is_empty()).take(MOST_WORDS) {
        first -= 1;
        places[first] = word;
    }
    let words = &places[first..];
    let head = text.as_bytes().first();
    let public = PUBLIC_PREFIXES.iter().any(|p| p.as_bytes().first() == head && text.starts_with(p))
        || matches!(words, [.., "PUBLISHABLE" | "ANON" | "PUBLIC" | "PUB", "KEY"]);
    if public { NameSays::Public } else { by_words(text, words) }
}

fn by_words(text: &str, words: &[&str]) -> NameSays {
    let Some(last) = words.last() else { return NameSays::Nothing };
    if ABOUT.has(last) || (words.contains(&"TOKENS") && words.contains(&"MAX")) {
        return NameSays::Harmless;
    }
    // Glued together, as in `pgpassword`, `storePassword` or `dbpass`.
    let glued = last.ends_with("PASSWORD")
        || last.ends_with("PASSWD")
        || last.ends_with("PASSPHRASE")
        || last.ends_with("BPASS");
    let two = |first: &str, second: &str| words.windows(2).any(|w| w[0] == first && w[1].starts_with(second));
    if PASSWORD.has(last)
        || glued
        || words.iter().any(|w| *w == "PASSWORD" || *w == "PASSPHRASE")
        || two("PASS", "PHRASE")
        || matches!(words, [.., "MNEMONIC"] | [.., "SEED" | "RECOVERY", "PHRASE"])
    {
        return NameSays::Password;
    }
    if matches!(*last, "ID" | "IDS" | "SID") {
        return match words {
            [.., "ACCESS", "KEY", "ID"] | [.., "SECRET", "ID"] => NameSays::Perhaps,
            _ => NameSays::Harmless,
        };
    }
    if words.iter().any(|w| STRONG.has(w)) || ends_in_secret(last) {
        return NameSays::Secret;
    }
    if words.windows(2).any(|w| w[1] == "KEY" && KEY_BEFORE.has(w[0])) {
        return NameSays::Secret;
    }
    if *last == "AUTH" || matches!(text, "AUTHORIZATION" | "COOKIE" | "IDENTITYTOKEN") {
        return NameSays::Secret;
    }
    let numbered = matches!(words, [.., "KEY", number] if number.bytes().all(|b| b.is_ascii_digit()));
    let connection = two("CONNECTION", "STRING") || two("CONN", "STR");
    if LOOSE.has(last) || numbered || connection || matches!(words, [.., "WEBHOOK", "URL"]) {
        return NameSays::Perhaps;
    }
    NameSays::Nothing
}

fn ends_in_secret(word: &str) -> bool {
    word.ends_with("SECRET")
        || word.ends_with("TOKEN")
        || word.ends_with("APIKEY")
        || word.ends_with("SECRETKEY")
        || word.ends_with("ACCESSKEY")
        || word.ends_with("PRIVATEKEY")
}

/// `apiKey`, `api-key` and `api.key` as `API_KEY`; `None` for what is too long to be a name.
fn normal<'a>(name: &[u8], buffer: &'a mut [u8; 2 * LONGEST]) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let camel = name.iter().any(u8::is_ascii_lowercase);
    let (mut before, mut len) = (b'_', 0);
    for &byte in name {
        if camel && byte.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            buffer[len] = b'_';
            len += 1;
        }
        buffer[len] = if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' };
        len += 1;
        before = byte;
    }
    core::str::from_utf8(&buffer[..len]).ok().map(|text| text.trim_matches('_'))
}

/// `*` any run, `?` any byte; case matters not.
pub(crate) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    n = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [&EXACT, &HARMLESS, &ABOUT, &KEY_BEFORE, &PASSWORD, &STRONG, &LOOSE] {
            assert!(list.is_sorted());
        }
    }

    #[test]
    fn names_say_what_they_hold() {
        use NameSays::*;
        for (name, says_what) in [
            ("GITHUB_TOKEN", Secret),
            ("DB_PASSWORD", Password),
            ("PGPASSWORD", Password),
            ("apiKey", Secret),
            ("aws_secret_access_key", Secret),
            ("MAX_TOKENS", Harmless),
            ("OPENAI_TOKEN_LIMIT", Harmless),
            ("SSH_AUTH_SOCK", Harmless),
            ("PATH", Harmless),
            ("PWD", Harmless),
            ("OLDPWD", Harmless),
            ("NEXT_PUBLIC_API_KEY", Public),
            ("STRIPE_PUBLISHABLE_KEY", Public),
            ("LANGUAGE", Nothing),
            ("FOO_KEY", Perhaps),
            ("SECRET_NAME", Harmless),
            ("_authToken", Secret),
            ("_password", Password),
            ("client-key-data", Secret),
            ("KEYBOARD", Nothing),
            ("AWS_ACCESS_KEY_ID", Secret),
        ] {
            assert_eq!(says(name.as_bytes()), says_what, "{name}");
        }
    }
}
