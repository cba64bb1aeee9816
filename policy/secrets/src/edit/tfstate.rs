//! Terraform's state: JSON that says itself which of its values are sensitive.
//!
//! An output's value is called `value` and a drawn password `result`, so names tell nothing here; the marks do.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::json::{self, Json};
use super::{Field, Unparsable};
use crate::value::Rule;

pub(super) fn fields(bytes: &[u8]) -> Result<Vec<Field>, Unparsable> {
    let Json { strings, truths } = json::read(bytes)?;
    let outputs: BTreeSet<&str> = truths
        .iter()
        .filter_map(|path| path.strip_prefix("outputs."))
        .filter_map(|path| path.strip_suffix(".sensitive"))
        .collect();
    let mut out: Vec<Field> = strings.into_iter().map(json::field).collect();
    for field in &mut out {
        if let Some((name, _)) = field.path.strip_prefix("outputs.").and_then(|p| p.split_once(".value"))
            && outputs.contains(name)
        {
            field.rule = Rule::Forced;
        }
    }
    mark_attributes(&mut out);
    Ok(out)
}

/// The names come behind the attributes they are about; what else an instance has stands behind both.
fn mark_attributes(fields: &mut [Field]) {
    const ATTRIBUTES: &str = "resources.instances.attributes.";
    let mut run = 0..0;
    let mut kind = String::new();
    for at in 0..fields.len() {
        let (before, here) = fields.split_at_mut(at);
        let here = &mut here[0];
        if let Some(path) = here.path.strip_prefix(ATTRIBUTES) {
            run.start = if run.end == at { run.start } else { at };
            run.end = at + 1;
            // Its provider marks these since a version that not every state was written by.
            if kind == "random_password" && ["result", "bcrypt_hash"].contains(&path) {
                here.rule = Rule::Forced;
            }
        } else if here.path == "resources.type" {
            kind = String::from_utf8_lossy(&here.value).into_owned();
        } else if here.path == "resources.instances.sensitive_attributes.value" {
            let name = String::from_utf8_lossy(&here.value);
            for field in &mut before[run.clone()] {
                let path = &field.path[ATTRIBUTES.len()..];
                if path.split('.').any(|step| step == name) {
                    field.rule = Rule::Forced;
                }
            }
        }
    }
}
