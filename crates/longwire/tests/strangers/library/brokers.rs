//! The brokers of these tests: they can be stopped, and come back at the same port.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use longwire_client::{Options, Tls, WebSocket};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::Listens;
use crate::support::{Process, longwire};

/// `longwire serve`.
pub(crate) struct Ours {
    process: Process,
    port: u16,
}

impl Ours {
    pub(crate) fn start() -> Self {
        let port = free_port();
        Ours { process: Ours::serve(port), port }
    }

    /// Ends it without a chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn begin_again(&mut self) {
        self.process = Ours::serve(self.port);
    }

    fn serve(port: u16) -> Process {
        let listen = format!("mqtt://127.0.0.1:{port}");
        let mut process = Process::spawn(&mut longwire(&["serve", "--listen", &listen]));
        process.log_line("listening");
        process
    }
}

impl Listens for Ours {
    fn port(&self) -> u16 {
        self.port
    }
}

/// Debian's Mosquitto with all its transports, which keeps sessions on disk.
pub(crate) struct Mosquitto {
    process: Mutex<Option<Process>>,
    folder: PathBuf,
    authority: String,
    identity: (String, String),
    tcp: u16,
    tls: u16,
    websocket: u16,
    secure_websocket: u16,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        let [tcp, tls, websocket, secure_websocket] = [(); 4].map(|()| free_port());
        let folder = std::env::temp_dir().join(format!("longwire-library-{}-{tcp}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder takes another one");
        let authority = authority();
        let server = signed(&authority, "localhost");
        let place = folder.display();
        let secure = format!(
            "cafile {place}/ca.pem\ncertfile {place}/server.pem\nkeyfile {place}/server.key\n\
             require_certificate true\n"
        );
        // Started by root it would become a user that may not write here.
        let configuration = format!(
            "persistence true\npersistence_location {place}/\nallow_anonymous true\nmax_queued_messages 0\n\
             user root\n\
             listener {tcp} 127.0.0.1\n\
             listener {tls} 127.0.0.1\n{secure}\
             listener {websocket} 127.0.0.1\nprotocol websockets\n\
             listener {secure_websocket} 127.0.0.1\nprotocol websockets\n{secure}"
        );
        let files = [
            ("ca.pem", authority.pem()),
            ("server.pem", server.0),
            ("server.key", server.1),
            ("mosquitto.conf", configuration),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("the folder takes a file");
        }
        let (identity, authority) = (signed(&authority, "client"), authority.pem());
        let process = Mutex::new(None);
        let broker =
            Mosquitto { process, folder, authority, identity, tcp, tls, websocket, secure_websocket };
        broker.go_on();
        broker
    }

    /// Options for each transport.
    pub(crate) fn transports(&self) -> Vec<Options> {
        let at = |port| Options::new("localhost").port(port);
        let (certificate, key) = &self.identity;
        let tls = Tls::new().roots_pem(&self.authority).and_then(|tls| tls.identity_pem(certificate, key));
        let tls = tls.expect("PEM");
        vec![
            at(self.tcp),
            at(self.tls).tls(tls.clone()),
            at(self.websocket).websocket(WebSocket::new("/mqtt")),
            at(self.secure_websocket).websocket(WebSocket::new("/mqtt")).tls(tls),
        ]
    }

    pub(crate) fn go_on(&self) {
        let configuration = self.folder.join("mosquitto.conf");
        let mut process = Process::spawn(Command::new("mosquitto").arg("-v").arg("-c").arg(configuration));
        process.log_line(" running");
        *self.process.lock().expect("no panic") = Some(process);
    }
}

impl Listens for Mosquitto {
    fn port(&self) -> u16 {
        self.tcp
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "An authority of tests");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// A certificate for this name, and its key.
fn signed(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("valid");
    (params.signed_by(&key, authority).expect("signed").pem(), key.serialize_pem())
}

/// A port that was free a moment ago, for a program that has to come back to it.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
