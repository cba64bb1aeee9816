//! How random a string looks, and whether it is a placeholder. Says nothing about formats.

/// Words and fragments that stand where a secret will be.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "change_me",
    "change-me",
    "changeit",
    "replaceme",
    "replace_me",
    "replace-me",
    "placeholder",
    "redacted",
    "your_",
    "your-",
    "yourapi",
    "<your",
    "insert_",
    "insert-",
    "todo",
    "fixme",
    "example",
    "sample",
    "dummy",
    "none",
    "null",
    "nil",
    "undefined",
    "unset",
    "empty",
    "not_set",
    "notset",
    "n/a",
    "na",
    "tbd",
    "secret_here",
    "***",
    "...",
    "xxxx",
];

/// Whether a value only says that a secret belongs here.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if value.is_empty() {
        return true;
    }
    if is_reference(value) {
        return true;
    }
    if value.len() > 1 && value.iter().all(|b| *b == value[0]) && !value[0].is_ascii_digit() {
        return true;
    }
    if value.len() > 64 {
        return false;
    }
    let mut lower = [0_u8; 64];
    for (to, from) in lower.iter_mut().zip(value) {
        *to = from.to_ascii_lowercase();
    }
    let lower = &lower[..value.len()];
    PLACEHOLDERS.iter().any(|word| {
        let word = word.as_bytes();
        if word.len() > lower.len() {
            return false;
        }
        match word.len() {
            0..=4 if word[0].is_ascii_alphabetic() && *word != *b"todo" && *word != *b"xxxx" => lower == word,
            4 if *word == *b"xxxx" => {
                lower.iter().filter(|b| **b == b'x').count() * 2 >= lower.len() && contains(lower, word)
            }
            _ if word.ends_with(b"_") || word.ends_with(b"-") => lower.starts_with(word),
            // By chance four letters are found in one drawn secret of thirty thousand.
            _ if word.len() <= 7 && word[0].is_ascii_alphabetic() => {
                lower == word
                    || (lower.starts_with(word) && lower.get(word.len()).is_some_and(|b| b"-_".contains(b)))
                    || (lower.ends_with(word) && b"-_".contains(&lower[lower.len() - word.len() - 1]))
            }
            _ => contains(lower, word),
        }
    })
}

/// `${NAME}`, `$NAME`, `{{ name }}`, `<name>`, `%(name)s`, `$(command)`: filled in later from elsewhere.
fn is_reference(value: &[u8]) -> bool {
    let (first, last) = (value[0], value[value.len() - 1]);
    match first {
        b'$' => {
            let rest = &value[1..];
            matches!(rest.first(), Some(b'{')) && last == b'}'
                || matches!(rest.first(), Some(b'(')) && last == b')'
                || (rest.len() > 1
                    && rest[0].is_ascii_alphabetic()
                    && rest.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_'))
        }
        b'{' => value.starts_with(b"{{") && value.ends_with(b"}}"),
        b'<' => last == b'>',
        b'[' => last == b']' && value[1..].iter().all(|b| b.is_ascii_alphabetic() || b" _-]".contains(b)),
        b'%' => value.starts_with(b"%(") && value.ends_with(b")s"),
        b'@' => value.starts_with(b"@@") && value.ends_with(b"@@"),
        _ => false,
    }
}

pub(crate) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && crate::url::find(hay, needle, 0).is_some()
}

/// Shannon entropy in tenths of a bit per byte, so that no floating point is needed by callers.
pub(crate) fn tenths_of_bits(value: &[u8]) -> u32 {
    if value.is_empty() {
        return 0;
    }
    let mut counts = [0_u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let total = log2_x1024(value.len() as u32);
    let sum: u64 =
        counts.iter().filter(|c| **c > 0).map(|c| u64::from(*c) * u64::from(total - log2_x1024(*c))).sum();
    (sum * 10 / 1024 / value.len() as u64) as u32
}

/// log2(n) × 1024, linear between powers of two: at most 9 % of a bit off, which no threshold here minds.
fn log2_x1024(n: u32) -> u32 {
    if n <= 1 {
        return 0;
    }
    let whole = n.ilog2();
    let rest = (u64::from(n) << 10 >> whole) as u32 - 1024;
    whole * 1024 + rest
}

/// Whether this could be a machine-made secret: one word, long, mixed, not of a known public form.
pub(crate) fn looks_random(value: &[u8]) -> bool {
    if value.len() < 16 || value.len() > 4096 || !value.iter().all(|b| b.is_ascii_graphic()) {
        return false;
    }
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    if digits == 0 || letters == 0 {
        let mixed = value.iter().any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
        return letters >= 24 && mixed && tenths_of_bits(value) >= 40;
    }
    tenths_of_bits(value) >= if value.len() < 24 { 30 } else { 33 }
}

/// As `looks_random`, strict enough to be believed under a name that says nothing.
pub(crate) fn surely_random(value: &[u8]) -> bool {
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"_-+/=~".contains(b);
    value.len() >= 32
        && value.len() <= 512
        && value.iter().all(token)
        && value.iter().filter(|b| b.is_ascii_digit()).count() >= 3
        && value.iter().filter(|b| b.is_ascii_uppercase()).count() >= 4
        && value.iter().filter(|b| b.is_ascii_lowercase()).count() >= 4
        && value.iter().filter(|b| b"/".contains(b)).count() <= 2
        && value.iter().filter(|b| b"-_".contains(b)).count() <= 3
        && tenths_of_bits(value) >= 42
        && longest_letters(value) < 12
}

pub(crate) fn longest_letters(value: &[u8]) -> usize {
    value.split(|b| !b.is_ascii_lowercase()).map(<[u8]>::len).max().unwrap_or(0)
}
