//! Whether a value in a query or in a body is the whole value of a field, and of which.
//!
//! Owns the rule that keeps a credential out of texts: `{"content": "…"}` is published by somebody,
//! `{"refresh_token": "…"}` is not. Does not parse: it looks at what stands around the value, which works in
//! a stream.

/// How far a field's name may reach back from its value.
pub(super) const REACH: usize = 96;

/// What stands around a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    /// Other text.
    Text,
    /// Nothing: it is a field's whole value.
    Field,
    /// The same, and the field is named like a credential.
    Credential,
}

/// Names of fields that carry credentials, without separators.
const NAMES: &[&str] = &[
    "accesstoken",
    "apikey",
    "apitoken",
    "assertion",
    "auth",
    "authorization",
    "authtoken",
    "bearertoken",
    "clientassertion",
    "clientsecret",
    "code",
    "codeverifier",
    "credential",
    "idtoken",
    "key",
    "passwd",
    "password",
    "refreshtoken",
    "secret",
    "secretkey",
    "sessiontoken",
    "subjecttoken",
    "actortoken",
    "token",
    "accesskey",
    "apisecret",
    "pat",
    "privatetoken",
    "oauthtoken",
    "devicecode",
    "clientid",
    "xamzsecuritytoken",
];

/// What stands around the value between `before` and `behind`; nothing stands behind the last one.
pub(super) fn around(before: &[u8], behind: &[u8]) -> Around {
    let name = in_json(before, behind).or_else(|| in_form(before, behind));
    let Some(name) = name else { return Around::Text };
    let bare: Vec<u8> =
        name.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    match NAMES.iter().any(|known| known.as_bytes() == bare) {
        true => Around::Credential,
        false => Around::Field,
    }
}

/// `"name" : "` before and `"` behind.
fn in_json<'a>(before: &'a [u8], behind: &[u8]) -> Option<&'a [u8]> {
    if behind.first() != Some(&b'"') {
        return None;
    }
    let before = before.strip_suffix(b"\"")?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
    let before = before.strip_suffix(b"\"")?;
    let start = before.iter().rposition(|b| *b == b'"')? + 1;
    // A quote within a string is escaped, so `\"token\": \"…` inside some text is no field.
    (start < 2 || before[start - 2] != b'\\').then(|| &before[start..]).filter(|name| !name.contains(&b'\\'))
}

/// `&name=` before and `&` or the end behind.
fn in_form<'a>(before: &'a [u8], behind: &[u8]) -> Option<&'a [u8]> {
    if !behind.first().is_none_or(|b| b"&;#".contains(b)) {
        return None;
    }
    let before = before.strip_suffix(b"=")?;
    let start = before.iter().rposition(|b| b"?&;".contains(b)).map_or(0, |at| at + 1);
    let name = &before[start..];
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.[]%".contains(b);
    (!name.is_empty() && name.iter().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_text_is_none_of_a_field() {
        let cases: &[(&str, &str, Around)] = &[
            (r#"{"refresh_token": ""#, r#"","#, Around::Credential),
            (r#"{"client-secret":""#, r#""}"#, Around::Credential),
            (r#"{"content":""#, r#""}"#, Around::Field),
            (r#"{"content":"my token is "#, r#""}"#, Around::Text),
            (r#"{"content":"{\"token\":\""#, r#"\"}"}"#, Around::Text),
            (r#"{"token":""#, r#" and more"}"#, Around::Text),
            ("grant_type=refresh_token&refresh_token=", "&x=1", Around::Credential),
            ("client_secret=", "", Around::Credential),
            ("q=", "", Around::Field),
            ("q=some+words&text=hello+", "", Around::Text),
            ("the password=", " ", Around::Text),
        ];
        for (before, behind, expected) in cases {
            assert_eq!(around(before.as_bytes(), behind.as_bytes()), *expected, "{before}…{behind}");
        }
    }
}
