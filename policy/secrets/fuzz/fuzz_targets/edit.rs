//! Every editor on any bytes; the first byte chooses the format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shieldrun_secrets::{Format, Registry, RunKey, edit};

const FORMATS: [Format; 21] = [
    Format::Dotenv,
    Format::Shell,
    Format::Fish,
    Format::Ini,
    Format::Toml,
    Format::Yaml,
    Format::Json,
    Format::Hcl,
    Format::Tfstate,
    Format::Netrc,
    Format::Npmrc,
    Format::Pgpass,
    Format::GitConfig,
    Format::GitCredentials,
    Format::Xml,
    Format::Properties,
    Format::Pem,
    Format::PlainToken,
    Format::DockerConfig,
    Format::Kubeconfig,
    Format::GcpJson,
];

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let format = FORMATS[usize::from(*first) % FORMATS.len()];
    let mut registry = Registry::new(RunKey::from_bytes([1; 32]));
    if let Ok(edited) = edit(&mut registry, format, "file", text) {
        assert_eq!(edited.ids.is_empty(), edited.bytes == text);
        let mut again = Registry::new(RunKey::from_bytes([2; 32]));
        assert!(edit(&mut again, format, "file", &edited.bytes).is_ok());
    }
});
