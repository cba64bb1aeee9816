//! Names from outside as the log writes them: readable always, exact where that is not enough.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// A path, argument or name. Bytes that are not UTF-8 read as `\xNN`; then the bytes are kept beside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text {
    shown: Box<str>,
    raw: Option<Box<[u8]>>,
}

impl Text {
    /// Takes bytes as the kernel gave them.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Text { shown: text.into(), raw: None };
        }
        let mut shown = String::with_capacity(bytes.len() + 12);
        for chunk in bytes.utf8_chunks() {
            shown.push_str(chunk.valid());
            for byte in chunk.invalid() {
                shown.push_str(&format!("\\x{byte:02x}"));
            }
        }
        Text { shown: shown.into(), raw: Some(bytes.into()) }
    }

    /// For people.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The bytes, where they are not what is shown.
    pub fn raw(&self) -> Option<&[u8]> {
        self.raw.as_deref()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text { shown: text.into(), raw: None }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text { shown: text.into(), raw: None }
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Text::from_bytes(bytes)
    }
}

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Self {
        Text::from_bytes(text.as_bytes())
    }
}

impl From<OsString> for Text {
    fn from(text: OsString) -> Self {
        Text::from_bytes(text.as_bytes())
    }
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Self {
        Text::from_bytes(path.as_os_str().as_bytes())
    }
}

impl From<PathBuf> for Text {
    fn from(path: PathBuf) -> Self {
        Text::from(path.as_path())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn bytes_that_are_no_text_are_escaped_and_kept() {
        for (bytes, shown, kept) in [
            (&b"plain"[..], "plain", false),
            (b"caf\xc3\xa9", "café", false),
            (b"caf\xe9.txt", "caf\\xe9.txt", true),
            (b"\xff\x00\xc3", "\\xff\0\\xc3", true),
            (b"", "", false),
            (b"literal \\xff", "literal \\xff", false),
        ] {
            let text = Text::from_bytes(bytes);
            assert_eq!(text.as_str(), shown);
            assert_eq!(text.raw(), kept.then_some(bytes));
        }
    }
}
