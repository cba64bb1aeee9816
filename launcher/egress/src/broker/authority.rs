//! The certificate authority of one run, and the certificates it makes out for the hosts that are asked for.
//!
//! Owns the key, which exists in this process's memory only and dies with it. Does not decide which host may
//! be asked for: it makes a certificate for the destination that was dialled, and for no other name.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::flow::HostName;

/// Hosts whose certificate is kept; a run that asks for more makes them anew.
const KEPT: usize = 256;
/// A run may be long, and clocks differ.
const VALID_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const VALID_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// By host, and by the protocol's name in ALPN.
type Answers = HashMap<(HostName, &'static [u8]), Arc<ServerConfig>>;

/// The authority of one run. Made before the guest is, which is given its certificate to trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    kept: Mutex<Answers>,
}

/// What is spoken inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Its name in ALPN.
    pub(super) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

impl Authority {
    /// One with a key of its own, which never leaves this process's memory.
    ///
    /// # Errors
    ///
    /// Where no key can be made.
    pub fn new() -> io::Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("shieldrun: this run only");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        limit_in_time(&mut params);
        let certificate_pem = params.self_signed(&key).map_err(io::Error::other)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate_pem, kept: Mutex::default() })
    }

    /// Its certificate, for the guest's trust bundle.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// How a server that is this host answers, in HTTP/1.1: for whoever plays one.
    ///
    /// # Errors
    ///
    /// Where no certificate can be made out for such a name.
    pub fn server(&self, host: &HostName) -> io::Result<Arc<ServerConfig>> {
        self.answer_as(host, Protocol::Http1.alpn())
    }

    /// How to answer as this host, in the protocol that has this name in ALPN.
    pub(super) fn answer_as(
        &self,
        host: &HostName,
        protocol: &'static [u8],
    ) -> io::Result<Arc<ServerConfig>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.clone(), protocol);
        if let Some(config) = kept.get(&key) {
            return Ok(Arc::clone(config));
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let config = Arc::new(self.make_out(host, protocol)?);
        kept.insert(key, Arc::clone(&config));
        Ok(config)
    }

    fn make_out(&self, host: &HostName, protocol: &'static [u8]) -> io::Result<ServerConfig> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![alternative_name(host)?];
        // The common name is limited to 64 characters, and nobody reads it where there is another name.
        params.distinguished_name = named("shieldrun");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(random_serial()?));
        limit_in_time(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }
}

fn alternative_name(host: &HostName) -> io::Result<SanType> {
    Ok(match host {
        HostName::Name(name) => SanType::DnsName(name.as_str().try_into().map_err(io::Error::other)?),
        HostName::Address(address) => SanType::IpAddress(IpAddr::clone(address)),
    })
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn limit_in_time(params: &mut CertificateParams) {
    let now = SystemTime::now();
    params.not_before = (now - VALID_BEFORE).into();
    params.not_after = (now + VALID_FOR).into();
}

/// Two certificates of one authority with the same number are refused by Firefox and NSS.
fn random_serial() -> io::Result<Vec<u8>> {
    let mut serial = [0; 16];
    default_provider()
        .secure_random
        .fill(&mut serial)
        .map_err(|_| io::Error::other("no random numbers to be had"))?;
    serial[0] &= 0x7f;
    Ok(serial.to_vec())
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}
