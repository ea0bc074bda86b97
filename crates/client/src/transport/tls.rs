//! TLS around a connection, by rustls.
//!
//! The configuration is made once, when the client is; errors of the hand-shake are put into words here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Connection, Place};
use crate::dial_error::DialFault;
use crate::tls::{Check, Tls, TlsError, TlsFault};

/// Makes TLS of a connection.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
    /// Instead of the host's.
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// What the options say, with `protocol` announced unless they name others.
    pub(crate) fn new(tls: &Tls, place: &Place, protocol: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Identity(error.to_string()))?;
        let builder = if tls.check == Check::Full {
            builder.with_root_certificates(roots(tls)?)
        } else {
            let verifier = Lenient::new(tls, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        };
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|error| TlsError::Identity(error.to_string()))?,
        };
        config.alpn_protocols = tls.protocols.clone().unwrap_or_else(|| vec![protocol.to_vec()]);
        let server_name = tls.server_name.as_deref().map(name).transpose()?;
        match place {
            Place::Host { host, .. } if server_name.is_none() => drop(name(host)?),
            Place::Unix(path) if server_name.is_none() => {
                return Err(TlsError::ServerName(path.display().to_string()));
            }
            _ => {}
        }
        Ok(Connector { config: Arc::new(config), server_name })
    }

    pub(super) async fn open(
        &self,
        place: &Place,
        connection: Connection,
    ) -> Result<TlsStream<Connection>, DialFault> {
        let server_name = match (&self.server_name, place) {
            (Some(server_name), _) => server_name.clone(),
            (None, Place::Host { host, .. }) => {
                name(host).map_err(|error| DialFault::Tls(TlsFault::HandShake(error.to_string())))?
            }
            (None, Place::Unix(_)) => return Err(DialFault::Network(io::ErrorKind::InvalidInput.into())),
        };
        let opened = TlsConnector::from(Arc::clone(&self.config)).connect(server_name, connection).await;
        opened.map_err(|error| match fault(&error) {
            Some(fault) => DialFault::Tls(fault),
            None if error.kind() == io::ErrorKind::UnexpectedEof => DialFault::Tls(TlsFault::HandShake(
                "it closed the connection; does this port speak TLS?".to_owned(),
            )),
            None => DialFault::Network(error),
        })
    }
}

fn name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.to_owned()))
}

/// The certificates to trust.
fn roots(tls: &Tls) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in &tls.roots {
        roots.add(root.clone()).map_err(|error| TlsError::Root(error.to_string()))?;
    }
    if tls.roots.is_empty() || tls.system_roots_too {
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err(TlsError::NoSystemRoots);
        }
    }
    Ok(roots)
}

/// Looks at less of a certificate than is safe, as the options asked; the hand-shake itself is checked all the same.
#[derive(Debug)]
struct Lenient {
    /// `None` takes any certificate.
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Lenient {
    fn new(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        if tls.check == Check::Nothing {
            return Ok(Lenient { inner: None, provider });
        }
        let roots = Arc::new(roots(tls)?);
        let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        Ok(Lenient { inner: Some(inner.map_err(|error| TlsError::Root(error.to_string()))?), provider })
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What an error of a connection says about TLS, if it does.
pub(crate) fn fault(error: &io::Error) -> Option<TlsFault> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(error) => certificate_fault(error),
        Error::AlertReceived(
            alert @ (AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => TlsFault::Identity(format!("{alert:?}")),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => TlsFault::Protocol,
        Error::NoApplicationProtocol => TlsFault::Protocol,
        Error::InvalidMessage(_) => {
            TlsFault::HandShake("it answered something else; does this port speak TLS?".to_owned())
        }
        other => TlsFault::HandShake(other.to_string()),
    })
}

fn certificate_fault(error: &CertificateError) -> TlsFault {
    let between = |earlier: UnixTime, later: UnixTime| {
        Duration::from_secs(later.as_secs().saturating_sub(earlier.as_secs()))
    };
    match error {
        CertificateError::Expired => TlsFault::Expired { ago: Duration::ZERO },
        CertificateError::ExpiredContext { time, not_after } => {
            TlsFault::Expired { ago: between(*not_after, *time) }
        }
        CertificateError::NotValidYet => TlsFault::NotYetValid { ahead: Duration::ZERO },
        CertificateError::NotValidYetContext { time, not_before } => {
            TlsFault::NotYetValid { ahead: between(*time, *not_before) }
        }
        CertificateError::NotValidForNameContext { expected, presented } => TlsFault::WrongName {
            wanted: expected.to_str().into_owned(),
            names: presented.iter().map(|name| plain_name(name)).collect(),
        },
        // A bad signature is that of an authority with the same name and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsFault::UnknownIssuer,
        other => TlsFault::Certificate(other.to_string()),
    }
}

/// The name alone, where rustls writes `DnsName("name")`.
fn plain_name(presented: &str) -> String {
    let quoted = presented.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    quoted.map_or(presented, |(name, _)| name).to_owned()
}
