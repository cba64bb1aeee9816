//! The connection to the server, under TLS as the person has it.
//!
//! Owns the question for TLS, and who has to vouch for the server. Which host is verified is the one that was dialled.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring::default_provider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::super::upstream::{Trust, name_of};
use super::{Broken, Database, Line, NO_CONNECTION, wire};
use crate::flow::Destination;
use crate::ledger::Refusal;

/// How much TLS a server must give: what `sslmode` says to libpq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// None is asked for.
    Off,
    /// TLS where the server has it; whose it is is not asked.
    #[default]
    Preferred,
    /// TLS; whose it is is not asked.
    Required,
    /// TLS of a server that somebody vouches for, whatever its name.
    VouchedFor,
    /// TLS of a server that somebody vouches for under its name.
    Verified,
}

impl Protection {
    /// What a word of `sslmode` says. One that nobody knows is the strictest.
    #[must_use]
    pub fn of_mode(mode: &str) -> Self {
        match mode {
            "disable" => Self::Off,
            "allow" | "prefer" => Self::Preferred,
            "require" => Self::Required,
            "verify-ca" => Self::VouchedFor,
            _ => Self::Verified,
        }
    }
}

/// Makes the connection what it has to be.
pub(super) async fn connect(
    mut stream: TcpStream,
    to: &Destination,
    trust: &Trust,
    known: Option<&Database>,
) -> Result<Line, Broken> {
    let protection = known.map_or_else(Protection::default, |known| known.protection);
    if protection == Protection::Off {
        return Ok(Box::new(stream));
    }
    stream.write_all(&wire::TLS_QUESTION).await?;
    match stream.read_u8().await? {
        b'S' => {
            let authorities = known.and_then(|known| known.authorities.as_deref());
            let config = config(protection, authorities, trust)?;
            let made = TlsConnector::from(config).connect(name_of(&to.host)?, stream).await;
            let made = made.map_err(|error| refused(&error))?;
            Ok(Box::new(made))
        }
        b'N' if protection == Protection::Preferred => Ok(Box::new(stream)),
        _ => Err(Broken::refused(
            Refusal::Unreachable,
            NO_CONNECTION,
            "server does not support SSL, but SSL was required",
        )),
    }
}

/// Whom a server has to be vouched for by: authorities of its own, where the person has such, else the host's.
fn config(
    protection: Protection,
    authorities: Option<&[u8]>,
    trust: &Trust,
) -> Result<Arc<ClientConfig>, Broken> {
    match (protection, authorities) {
        (Protection::Off | Protection::Preferred | Protection::Required, _) => Ok(Arc::clone(&trust.anybody)),
        (Protection::VouchedFor | Protection::Verified, None) => Ok(Arc::clone(&trust.database)),
        (Protection::VouchedFor | Protection::Verified, Some(pem)) => {
            let by = Authorities::of(pem, protection).map_err(|error| refused(&error))?;
            let mut config = (*trust.database).clone();
            config.dangerous().set_certificate_verifier(Arc::new(by));
            Ok(Arc::new(config))
        }
    }
}

fn refused(error: &dyn std::error::Error) -> Broken {
    let message = format!("shieldrun: no TLS with the server can be made: {error}");
    Broken::refused(Refusal::Unreachable, NO_CONNECTION, message)
}

/// Takes the certificates that these authorities vouch for, or that are among them: many a server has made its own,
/// and whoever trusts it has that in the place of an authority.
#[derive(Debug)]
struct Authorities {
    by: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
    protection: Protection,
}

impl Authorities {
    fn of(pem: &[u8], protection: Protection) -> Result<Self, Error> {
        let own: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(own.iter().cloned());
        let by = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        let by =
            by.build().map_err(|_| Error::General("no authority that vouches for it is known".into()))?;
        Ok(Self { by, own, protection })
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.contains(certificate) {
            if self.protection == Protection::Verified {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let is_name = |error: &CertificateError| {
            matches!(
                error,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            )
        };
        match self.by.verify_server_cert(certificate, between, name, ocsp, now) {
            // The name is looked at last: all else holds.
            Err(Error::InvalidCertificate(error))
                if self.protection == Protection::VouchedFor && is_name(&error) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by.supported_verify_schemes()
    }
}

/// Takes any certificate, but only from who has its key: what `sslmode=require` is.
#[derive(Debug)]
pub(in crate::broker) struct Anybody(WebPkiSupportedAlgorithms);

impl Anybody {
    pub(in crate::broker) fn new() -> Self {
        Self(default_provider().signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
