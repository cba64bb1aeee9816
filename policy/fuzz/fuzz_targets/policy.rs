//! Any policy file of the user's and of the project's, and any `--config`: a policy, or mistakes with their place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shieldrun_policy::schema::{Layer, Overrides, Source, load, overrides_from_json};

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let overrides = match overrides_from_json("--config", text) {
        Ok(overrides) => overrides,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            Overrides::default()
        }
    };
    let layer = if first & 1 == 0 { Layer::User } else { Layer::Project };
    let source = Source { name: "policy.yaml".to_owned(), text: text.to_vec(), layer };
    match load(&[source], &overrides) {
        Ok(policy) => assert!(!policy.digest().is_empty()),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            // Written for a person, with the line it is in: must not stumble either.
            assert!(mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
        }
    }
});
