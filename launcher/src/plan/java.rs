//! Owns what Java trusts: it asks a store of its own and not the system's bundle.
//!
//! A variable could name another store, but each JVM says aloud that it was told something by one. So the store
//! itself is covered, in the older of its two forms (JKS), which every Java reads and which is a list of
//! certificates with a checksum. Its password is public: nothing in it is secret.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha1::{Digest as _, Sha1};

/// Where systems keep their Javas.
const INSTALLED: &str = "/usr/lib/jvm";
/// Where each has its store.
const STORE: &str = "lib/security/cacerts";
/// What stands in front of the checksum, after the password in UTF-16.
const WORDS: &[u8] = b"Mighty Aphrodite";
/// Every store has this one.
const PASSWORD: &str = "changeit";
const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
/// An entry that is a certificate.
const CERTIFICATE: u32 = 2;

/// The stores of the Javas of this host, by their real paths.
pub(super) fn stores() -> BTreeSet<PathBuf> {
    let on_path = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path).find_map(|directory| directory.join("java").canonicalize().ok())
    });
    let of_path = on_path.and_then(|java| Some(java.parent()?.parent()?.to_path_buf()));
    let named = env::var_os("JAVA_HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let installed = fs::read_dir(INSTALLED).into_iter().flatten().flatten().map(|entry| entry.path());
    of_path
        .into_iter()
        .chain(named)
        .chain(installed)
        .filter_map(|java| java.join(STORE).canonicalize().ok())
        .filter(|store| store.is_file())
        .collect()
}

/// A store with the certificates of a bundle.
pub(super) fn store(bundle: &[u8]) -> Vec<u8> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok).collect();
    let mut out = Vec::with_capacity(bundle.len());
    for number in [MAGIC, VERSION, length(certificates.len())] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    for (index, certificate) in certificates.iter().enumerate() {
        out.extend_from_slice(&CERTIFICATE.to_be_bytes());
        text(&mut out, &index.to_string());
        // When it was put there: at no time.
        out.extend_from_slice(&[0; 8]);
        text(&mut out, "X.509");
        out.extend_from_slice(&length(certificate.len()).to_be_bytes());
        out.extend_from_slice(certificate);
    }
    let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let checksum = Sha1::new().chain_update(password).chain_update(WORDS).chain_update(&out).finalize();
    out.extend_from_slice(&checksum);
    out
}

/// A short text, with its length before it.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(0)
}
