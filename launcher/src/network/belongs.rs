//! Owns which secret belongs where, beyond what its form tells: by a person's word, and by the profile of the agent.

use std::path::Path;

use shieldrun_egress::Part;
use shieldrun_egress::broker::{Binding, Bound, Fields, Hosts};
use shieldrun_policy::glob::NameGlob;
use shieldrun_policy::profiles::{Profile, Token};
use shieldrun_policy::schema::Policy;
use shieldrun_secrets::{Entry, Place, Registry};

/// A person's word holds in whatever part of a request the secret stands, a profile's where keys are sent.
pub(super) fn bindings(policy: &Policy, registry: &Registry, home: Option<&Path>) -> Vec<Binding> {
    let parts = vec![Part::Path, Part::Query, Part::Header, Part::Body, Part::Signature];
    let of_people = policy.secrets.bindings.iter().map(|bound| Binding {
        secret: Bound::Named(bound.secret.clone()),
        hosts: Hosts::new([bound.host.as_str()]),
        parts: parts.clone(),
        fields: Fields::Any,
    });
    let of_profile = policy.profile.into_iter().flat_map(|profile| {
        registry.entries().iter().flat_map(move |entry| {
            of_entry(profile, entry, home).map(|token| Binding {
                secret: Bound::One(entry.id),
                hosts: Hosts::new(token.hosts.iter().copied()),
                parts: vec![Part::Query, Part::Header, Part::Body],
                fields: Fields::Credentials,
            })
        })
    });
    of_people.chain(of_profile).collect()
}

/// What the profile knows of a secret. A key whose form tells its host goes there and nowhere else, whatever the
/// variable is called; what stands in a login file was put there by the agent itself.
fn of_entry<'a>(
    profile: &'a Profile,
    entry: &'a Entry,
    home: Option<&'a Path>,
) -> impl Iterator<Item = &'a Token> {
    entry.places.iter().flat_map(move |place| -> Vec<&Token> {
        match place {
            Place::Env(name) if entry.host().is_none() => {
                profile.keys.iter().filter(|key| key.name == name).collect()
            }
            Place::File { path, field } => of_field(profile, home, path, field).collect(),
            _ => Vec::new(),
        }
    })
}

fn of_field<'a>(
    profile: &'a Profile,
    home: Option<&'a Path>,
    path: &'a str,
    field: &'a str,
) -> impl Iterator<Item = &'a Token> {
    let is_at = move |login: &str| {
        let relative = login.strip_prefix("~/");
        home.zip(relative).is_some_and(|(home, relative)| home.join(relative) == Path::new(path))
    };
    let logins = profile.logins.iter().filter(move |login| is_at(login.path));
    logins
        .flat_map(|login| login.tokens)
        .filter(|token| NameGlob::new(token.name).is_ok_and(|glob| glob.matches(field.as_bytes())))
}

#[cfg(test)]
mod tests;
