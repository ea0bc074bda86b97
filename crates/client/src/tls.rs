//! What TLS is to trust, to show and to offer: a builder whose defaults are safe to leave alone.
//!
//! Neighbour: `transport/tls.rs` makes connections of it. No type of the TLS library is part of this crate's interface, so
//! that a new version of that is no new version of this.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How a connection is protected by TLS 1.3 or 1.2.
///
/// The defaults: the authorities that the system trusts, the host's name must be in the certificate, no certificate of
/// one's own, and the protocol is announced (ALPN `mqtt`, with WebSocket `http/1.1`).
///
/// ```no_run
/// use longwire_client::{Options, Tls};
///
/// // Trusted by the system:
/// let options = Options::new("broker.example").tls(Tls::new());
///
/// // An authority of one's own, and a certificate that says who the client is:
/// let tls = Tls::new().roots_file("ca.pem")?.identity_files("client.pem", "client.key")?;
/// let options = Options::new("broker.example").tls(tls);
/// # Ok::<(), longwire_client::TlsError>(())
/// ```
#[derive(Clone, Default)]
pub struct Tls {
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// Trust the system's roots besides those given.
    pub(crate) system_roots_too: bool,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) server_name: Option<String>,
    pub(crate) protocols: Option<Vec<Vec<u8>>>,
    pub(crate) check: Check,
}

/// A certificate with the chain up to its authority, and its key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Check {
    #[default]
    Full,
    AnyName,
    Nothing,
}

impl Tls {
    /// TLS with the defaults.
    pub fn new() -> Self {
        Tls::default()
    }

    /// Trusts the certificates in this PEM text instead of the system's. May be called several times.
    ///
    /// # Errors
    /// There is no certificate in it.
    pub fn roots_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        self.roots.extend(certificates(pem.as_ref(), None)?);
        Ok(self)
    }

    /// The same from a file.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn roots_file(mut self, path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = path.as_ref();
        self.roots.extend(certificates(&read(path)?, Some(path))?);
        Ok(self)
    }

    /// Trusts the system's authorities besides those given.
    pub fn system_roots_too(mut self) -> Self {
        self.system_roots_too = true;
        self
    }

    /// Shows this certificate (with the chain up to the server's authority behind it) to a server that asks for one. Both
    /// are PEM; the key is not encrypted, in PKCS #8, PKCS #1 or SEC 1.
    ///
    /// # Errors
    /// There is no certificate, or no key.
    pub fn identity_pem(mut self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self, TlsError> {
        let chain = certificates(chain.as_ref(), None)?;
        self.identity = Some(Arc::new(Identity { chain, key: private_key(key.as_ref(), None)? }));
        Ok(self)
    }

    /// The same from two files (or one, named twice).
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub fn identity_files(
        mut self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let (chain_path, key_path) = (chain.as_ref(), key.as_ref());
        let chain = certificates(&read(chain_path)?, Some(chain_path))?;
        let key = private_key(&read(key_path)?, Some(key_path))?;
        self.identity = Some(Arc::new(Identity { chain, key }));
        Ok(self)
    }

    /// The name the certificate must have and the server is asked for (SNI), if it is not the host's.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// The protocols to announce (ALPN) instead of the default; an empty list announces none.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = Some(protocols.into_iter().map(Into::into).collect());
        self
    }

    /// Takes a certificate of any name from an authority that is trusted. Whoever has such a certificate can then pose
    /// as the server.
    pub fn danger_accept_any_name(mut self) -> Self {
        self.check = Check::AnyName;
        self
    }

    /// Takes any certificate. Whoever sits between client and server can then read and change everything.
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.check = Check::Nothing;
        self
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File { path: path.to_owned(), error })
}

fn certificates(pem: &[u8], path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let missing = || TlsError::NoCertificate { path: path.map(Path::to_owned) };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(missing)
}

fn private_key(pem: &[u8], path: Option<&Path>) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoKey { path: path.map(Path::to_owned) })
}

impl fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots.len())
            .field("identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the options of TLS, for whoever set them.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no certificate in PEM form.
    #[non_exhaustive]
    NoCertificate {
        /// The file, if it was one.
        path: Option<PathBuf>,
    },
    /// There is no private key in PEM form, or it is encrypted.
    #[non_exhaustive]
    NoKey {
        /// The file, if it was one.
        path: Option<PathBuf>,
    },
    /// A certificate given as a root cannot be one.
    Root(String),
    /// No certificate was found where the system keeps those it trusts.
    NoSystemRoots,
    /// The client's certificate and key do not go together, or cannot be used.
    Identity(String),
    /// Not a name or address that a certificate could have.
    ServerName(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "the text given".to_owned(),
        };
        match self {
            TlsError::File { path, error } => write!(f, "{} cannot be read: {error}", path.display()),
            TlsError::NoCertificate { path } => {
                write!(f, "{} holds no certificate: it must be PEM, '-----BEGIN CERTIFICATE'", named(path))
            }
            TlsError::NoKey { path } => {
                write!(f, "{} holds no private key: it must be PEM, and not encrypted", named(path))
            }
            TlsError::Root(why) => write!(f, "a certificate given cannot be trusted as a root: {why}"),
            TlsError::NoSystemRoots => f.write_str(
                "the system has no list of trusted authorities (Debian's package is ca-certificates): install \
                 it, or name a file with the authority of the server",
            ),
            TlsError::Identity(why) => {
                write!(f, "the client's certificate and key cannot be used together: {why}")
            }
            TlsError::ServerName(name) => {
                write!(f, "'{name}' is not a name that a certificate can have: set the server's name")
            }
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsError::File { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why a hand-shake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server's certificate has expired.
    #[non_exhaustive]
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// The server's certificate is not valid yet.
    #[non_exhaustive]
    NotYetValid {
        /// From then on.
        ahead: Duration,
    },
    /// The server's certificate is for other names.
    #[non_exhaustive]
    WrongName {
        /// The name it should have.
        wanted: String,
        /// Those it has.
        names: Vec<String>,
    },
    /// The server's certificate is from an authority that is not trusted, or signed by itself.
    UnknownIssuer,
    /// Something else is wrong with the server's certificate.
    Certificate(String),
    /// The server does not accept the client's certificate, or wants one.
    Identity(String),
    /// The server speaks none of the protocols announced.
    Protocol,
    /// The hand-shake failed otherwise.
    HandShake(String),
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsFault::Expired { ago } => {
                write!(f, "the server's certificate expired {} ago", Span(*ago))
            }
            TlsFault::NotYetValid { ahead } => write!(
                f,
                "the server's certificate is valid only in {}; is this machine's clock right?",
                Span(*ahead)
            ),
            TlsFault::WrongName { wanted, names } => {
                write!(f, "the server's certificate is not for '{wanted}' but for {}", names.join(", "))?;
                f.write_str("; connect by such a name, or set it as the server's name")
            }
            TlsFault::UnknownIssuer => f.write_str(
                "the server's certificate is signed by itself or by an authority that is not trusted; name a \
                 file with that authority's certificate",
            ),
            TlsFault::Certificate(why) => write!(f, "the server's certificate is not valid: {why}"),
            TlsFault::Identity(why) => {
                write!(f, "the server wants another certificate of this client: {why}")
            }
            TlsFault::Protocol => f.write_str(
                "the server speaks none of the protocols announced; is this the right port? ALPN can be changed",
            ),
            TlsFault::HandShake(why) => write!(f, "no TLS with the server: {why}"),
        }
    }
}

impl std::error::Error for TlsFault {}

/// A length of time in the largest unit that fits.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let (number, unit) = match secs {
            0..=119 => (secs, "s"),
            120..=7_199 => (secs / 60, "minutes"),
            7_200..=172_799 => (secs / 3_600, "hours"),
            _ => (secs / 86_400, "days"),
        };
        write!(f, "{number} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let error = Tls::new().roots_file(path).expect_err("it is no certificate");
        assert!(error.to_string().contains("Cargo.toml holds no certificate"), "{error}");
        let error = Tls::new().roots_file("/nowhere/ca.pem").expect_err("there is no such file");
        assert!(matches!(error, TlsError::File { .. }) && error.to_string().contains("/nowhere/ca.pem"));
    }

    #[test]
    fn spans_are_told_in_a_unit_that_fits() {
        let told = [90, 600, 10_000, 1_000_000].map(|secs| Span(Duration::from_secs(secs)).to_string());
        assert_eq!(told, ["90 s", "10 minutes", "2 hours", "11 days"]);
    }
}
