//! The connection to the server, under TLS as the person has it.
//!
//! Owns the question for TLS. Which host is verified is the one that was dialled.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring::default_provider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::super::upstream::{Trust, name_of};
use super::{Broken, Line, NO_CONNECTION, wire};
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
    /// TLS of a server that the host's authorities vouch for.
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
            _ => Self::Verified,
        }
    }
}

/// Makes the connection what it has to be.
pub(super) async fn connect(
    mut stream: TcpStream,
    to: &Destination,
    trust: &Trust,
    protection: Protection,
) -> Result<Line, Broken> {
    if protection == Protection::Off {
        return Ok(Box::new(stream));
    }
    stream.write_all(&wire::TLS_QUESTION).await?;
    match stream.read_u8().await? {
        b'S' => {
            let config = if protection == Protection::Verified { &trust.database } else { &trust.anybody };
            let made = TlsConnector::from(Arc::clone(config)).connect(name_of(&to.host)?, stream).await;
            let made = made.map_err(|error| {
                let message = format!("shieldrun: no TLS with the server can be made: {error}");
                Broken::refused(Refusal::Unreachable, NO_CONNECTION, message)
            })?;
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
