//! The layer of an agent's profile: between what is built in and what people say.
//!
//! Owns what of a profile becomes settings. Everything it grants, a person's or a project's file can take
//! away again; nothing it says outweighs a person's word.

use super::document::Span;
use super::layer::{Effective, built_in};
use super::value::{Item, Layer, Origin, Value};
use super::words::{FileMode, NetworkMode};
use crate::profiles::{Choice, Profile};

/// Whether the hosts of the profile are allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosts {
    Count,
    DoNotCount,
}

/// Which profile the layers chose.
pub(super) fn chosen(all: &[Effective]) -> Choice {
    match find(all, "profile").map(|setting| &setting.value) {
        Some(Value::Word(word)) => Choice::from_word(word).unwrap_or_default(),
        _ => Choice::default(),
    }
}

/// A person who chose the allowlist wants the agent to reach its model. A project's word is no choice of theirs.
pub(super) fn hosts_count(all: &[Effective]) -> Hosts {
    match find(all, "network.mode") {
        Some(mode)
            if mode.value == Value::Word(NetworkMode::Allowlist.word())
                && matches!(mode.origin.layer, Layer::User | Layer::Flags) =>
        {
            Hosts::Count
        }
        _ => Hosts::DoNotCount,
    }
}

/// What is built in, and the profile on top of it.
pub(super) fn beneath(profile: &Profile, workspace: &[u8], hosts: Hosts) -> Vec<Effective> {
    let origin = Origin::profile(profile.name);
    let item = |text: &str, word| Item {
        text: text.to_owned(),
        word,
        places: Vec::new(),
        origin: origin.clone(),
        span: Span::default(),
    };
    let plain = |texts: &[&str]| texts.iter().map(|text| item(text, None)).collect::<Vec<_>>();
    let mut all = built_in();
    for setting in &mut all {
        let Value::Items(items) = &mut setting.value else { continue };
        let new = match setting.key.path {
            "files.visible" => plain(profile.visible),
            "files.persist" => profile.kept_in(workspace).iter().map(|path| item(path, None)).collect(),
            "secrets.files" => {
                let mode = Some(FileMode::Synthetic.word());
                profile.logins.iter().map(|file| item(file.path, mode)).collect()
            }
            "network.allow" if hosts == Hosts::Count => plain(profile.hosts),
            _ => continue,
        };
        if !new.is_empty() {
            items.extend(new);
            setting.origin = origin.clone();
        }
    }
    all
}

fn find<'a>(all: &'a [Effective], path: &str) -> Option<&'a Effective> {
    all.iter().find(|setting| setting.key.path == path)
}

#[cfg(test)]
mod tests;
