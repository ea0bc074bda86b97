//! How bytes travel to the broker: TLS and its files, a proxy, the address they come from. `probe` and `top` have these
//! options too.
//!
//! TLS begins with any of its options, with `mqtts://` and `wss://`, and with port 8883. A URL that says otherwise is
//! refused: nobody shall believe in a protection that is not there.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use longwire_client::{Options, Proxy, Tls, Url};

/// The port of MQTT over TLS.
pub(super) const TLS_PORT: u16 = 8883;

/// How bytes travel to the broker.
#[derive(Debug, clap::Args)]
pub(crate) struct TransportArgs {
    /// Certificates of authorities to trust, in PEM, instead of the system's.
    #[arg(long, value_name = "FILE", help_heading = "Transport")]
    cafile: Option<PathBuf>,
    /// The same from all files of a folder that end in .crt or .pem.
    #[arg(long, value_name = "DIR", help_heading = "Transport")]
    capath: Option<PathBuf>,
    /// Trust the system's authorities, besides those given.
    #[arg(long, help_heading = "Transport")]
    tls_use_os_certs: bool,
    /// Certificate to show to the broker, in PEM.
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Transport")]
    cert: Option<PathBuf>,
    /// Key of the certificate, in PEM and not encrypted.
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Transport")]
    key: Option<PathBuf>,
    /// Take a certificate for any name: whoever has one from a trusted authority can pose as the broker.
    #[arg(long, help_heading = "Transport")]
    insecure: bool,
    /// Protocol to announce in TLS (ALPN).
    #[arg(long, value_name = "PROTOCOL", help_heading = "Transport")]
    tls_alpn: Option<String>,
    /// Go through a proxy: `socks5h://[user[:password]@]host[:port]`, or `http://` for HTTP CONNECT.
    #[arg(long, value_name = "URL", help_heading = "Transport")]
    proxy: Option<String>,
    /// Connect from this address of the machine.
    #[arg(short = 'A', value_name = "ADDRESS", help_heading = "Transport")]
    local_address: Option<IpAddr>,
}

impl TransportArgs {
    /// Whether an option asks for TLS.
    pub(super) fn wants_tls(&self) -> bool {
        self.cafile.is_some()
            || self.capath.is_some()
            || self.tls_use_os_certs
            || self.cert.is_some()
            || self.insecure
            || self.tls_alpn.is_some()
    }

    /// Options for a broker by URL.
    ///
    /// # Errors
    /// The URL makes no sense, or goes with none of these options; a file cannot be used. The text says which.
    pub(crate) fn by_url(&self, url: &str) -> Result<Options, String> {
        let scheme = Url::parse(url).map_err(|error| error.to_string())?.scheme;
        let options = Options::from_url(url).map_err(|error| error.to_string())?;
        match self.wants_tls() {
            true if scheme.is_tls() => self.apply(options.tls(self.tls()?)),
            true => {
                Err("options of TLS do not go with this URL: mqtts:// and wss:// are protected".to_owned())
            }
            false => self.apply(options),
        }
    }

    /// Options for a broker by host and port; `port` is 1883, or with TLS 8883, unless given.
    ///
    /// # Errors
    /// A file cannot be used; the text says which.
    pub(super) fn by_host(&self, host: &str, port: Option<u16>) -> Result<Options, String> {
        let mut options = Options::new(host);
        if self.wants_tls() || port == Some(TLS_PORT) {
            options = options.tls(self.tls()?);
        }
        if let Some(port) = port {
            options = options.port(port);
        }
        self.apply(options)
    }

    /// Options for a broker on this machine, by the path of its socket.
    ///
    /// # Errors
    /// It goes with none of these options.
    pub(super) fn by_path(&self, path: &Path) -> Result<Options, String> {
        if self.wants_tls() || self.proxy.is_some() || self.local_address.is_some() {
            return Err("--unix connects within this machine: leave TLS, --proxy and -A out".to_owned());
        }
        Ok(Options::unix(path))
    }

    fn apply(&self, mut options: Options) -> Result<Options, String> {
        if let Some(url) = &self.proxy {
            options = options.proxy(Proxy::from_url(url).map_err(|error| format!("--proxy: {error}"))?);
        }
        if let Some(address) = self.local_address {
            options = options.local_address(address);
        }
        Ok(options)
    }

    fn tls(&self) -> Result<Tls, String> {
        let mut tls = Tls::new();
        if let Some(file) = &self.cafile {
            tls = tls.roots_file(file).map_err(|error| error.to_string())?;
        }
        if let Some(folder) = &self.capath {
            for file in certificates(folder)? {
                tls = tls.roots_file(file).map_err(|error| error.to_string())?;
            }
        }
        if self.tls_use_os_certs {
            tls = tls.system_roots_too();
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity_files(cert, key).map_err(|error| error.to_string())?;
        }
        if let Some(protocol) = &self.tls_alpn {
            tls = tls.alpn([protocol.as_bytes()]);
        }
        Ok(if self.insecure { tls.danger_accept_any_name() } else { tls })
    }
}

/// The files of a folder that hold certificates, by their names.
fn certificates(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error| format!("cannot read the folder {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "crt" || end == "pem") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(format!("there is no file with a certificate (.crt or .pem) in {}", folder.display()));
    }
    Ok(files)
}
