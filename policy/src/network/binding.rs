//! `secrets.bindings`: where a secret belongs, said by a person.

use super::entry::Entry;

/// One secret at one host, as the policy keeps it: `NAME=host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The secret's name: that of its variable, or of its field in a file.
    pub secret: String,
    /// `host` or `*.host`, as names are compared.
    pub host: String,
}

impl Binding {
    /// Reads one.
    ///
    /// # Errors
    /// A reason, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        // A host has no `=`, a name may.
        let (secret, host) = text.rsplit_once('=').ok_or("write it as `NAME: [host]`")?;
        if secret.is_empty() {
            return Err("a secret has a name".to_owned());
        }
        Ok(Self { secret: secret.to_owned(), host: Entry::whole_host(host)?.pattern() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_belongs_to_whole_hosts() {
        let parse = |text| Binding::parse(text).map(|binding| (binding.secret, binding.host));
        let pair = |secret: &str, host: &str| Ok((secret.to_owned(), host.to_owned()));
        assert_eq!(parse("TOKEN=API.Example.com."), pair("TOKEN", "api.example.com"));
        assert_eq!(parse("a=b=*.example.com"), pair("a=b", "*.example.com"));
        assert_eq!(parse("TOKEN=192.0.2.7"), pair("TOKEN", "192.0.2.7"));
        for text in
            ["", "TOKEN", "=h.example", "T=", "T=h:443", "T=h/x", "T=GET h", "T=set:npm", "T=*", "T=a b"]
        {
            assert!(Binding::parse(text).is_err(), "{text}");
        }
    }
}
