//! The options of `pub`, `sub` and `rr` that say how bytes travel: TLS, its files, sockets of this machine, and the address
//! they come from. The layers themselves are tested with the client library.

#[path = "support/mod.rs"]
#[allow(dead_code, reason = "each test program uses its own part")]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use support::{Broker, Process, longwire};

/// A folder of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(title: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{title}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the folder for temporary files takes a folder");
        Folder(path)
    }

    /// Writes a file and returns its name.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the folder takes a file");
        path.to_str().expect("the path was made from text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An authority's certificate, and the port of a server with one for `name`, which answers CONNECT and then listens.
fn protected(name: &str) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("valid");
    let certificate = params.signed_by(&key, &authority).expect("signed");
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("they fit");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), Ok(session)) = (stream, ServerConnection::new(Arc::clone(&config))) else {
                break;
            };
            answer(StreamOwned::new(session, stream));
        }
    });
    (authority.pem(), port.to_string())
}

/// Accepts a CONNECT of 3.1.1 and listens to the end.
fn answer(mut stream: impl Read + Write) {
    let mut bytes = [0; 512];
    if stream.read(&mut bytes).is_ok() && stream.write_all(&[0x20, 2, 0, 0]).is_ok() {
        while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

fn publish(arguments: &[&str]) -> Command {
    let mut command = longwire(&["pub", "-t", "a", "-m", "x"]);
    command.args(arguments);
    command
}

/// The exit code of a command that ends by itself, and the line it said why.
fn failed(command: &mut Command) -> (Option<i32>, String) {
    let mut process = Process::spawn(command);
    let code = process.wait().code();
    (code, process.log_line("longwire: "))
}

#[test]
fn a_broker_is_trusted_by_its_authority_and_its_name() {
    let folder = Folder::new("tls");
    let (authority, port) = protected("localhost");
    let ca = folder.file("ca.pem", &authority);
    let folder_name = folder.0.to_str().expect("the path was made from text");
    Process::spawn(&mut publish(&["--cafile", &ca, "-p", &port])).finish();
    Process::spawn(&mut publish(&["--capath", folder_name, "-p", &port])).finish();
    Process::spawn(&mut publish(&["--cafile", &ca, "-L", &format!("mqtts://localhost:{port}/a")])).finish();

    let (code, why) = failed(&mut publish(&["-L", &format!("mqtts://localhost:{port}/a")]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("not trusted"), "{why}");
    let (code, why) = failed(&mut publish(&["--cafile", &ca, "-h", "127.0.0.1", "-p", &port]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("127.0.0.1"), "{why}");
    Process::spawn(&mut publish(&["--cafile", &ca, "-h", "127.0.0.1", "-p", &port, "--insecure"])).finish();
    let (_, stranger) = (0, protected("localhost").0);
    let other = folder.file("other.txt", &stranger);
    let (code, why) = failed(&mut publish(&["--cafile", &other, "-p", &port, "--insecure"]));
    assert_eq!(code, Some(1), "no name makes an unknown authority trusted: {why}");
}

#[test]
fn a_socket_of_this_machine_has_a_path() {
    let folder = Folder::new("unix");
    let path = folder.0.join("socket");
    let listener = UnixListener::bind(&path).expect("the folder takes a socket");
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            answer(stream);
        }
    });
    let path = path.to_str().expect("the path was made from text");
    Process::spawn(&mut publish(&["--unix", path])).finish();
    Process::spawn(&mut publish(&["-L", &format!("unix:{path}")])).finish();
    let (code, why) = failed(&mut publish(&["--unix", "/nonexistent/socket"]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("/nonexistent/socket"), "{why}");
}

#[test]
fn a_connection_comes_from_the_address_that_was_chosen() {
    let broker = Broker::start();
    let port = broker.port_text();
    Process::spawn(&mut publish(&["-h", "127.0.0.1", "-p", &port, "-A", "127.0.0.9"])).finish();
    let (code, why) = failed(&mut publish(&["-h", "127.0.0.1", "-p", &port, "-A", "192.0.2.1"]));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("192.0.2.1 is no address of this machine"), "{why}");
}

#[test]
fn options_that_do_not_go_together_are_refused_before_anything_is_connected() {
    let folder = Folder::new("refused");
    let empty = folder.file("empty.txt", "");
    let folder_name = folder.0.to_str().expect("the path was made from text");
    for (arguments, part) in [
        (&["--cafile", "/no/such/ca.pem"][..], "/no/such/ca.pem"),
        (&["--cafile", &empty], "empty.txt"),
        (&["--capath", folder_name], "no file with a certificate"),
        (&["--cert", "c.pem"], "--key"),
        (&["--insecure", "-L", "mqtt://localhost/a"], "mqtts://"),
        (&["-L", "coap://localhost/a"], "mqtt, mqtts, ws or wss"),
        (&["--proxy", "ftp://localhost"], "--proxy: "),
        (&["--unix", "/a", "--insecure"], "leave TLS"),
        (&["--unix", "/a", "-h", "b"], "cannot be used with"),
        (&["--tls-version", "tlsv1.1"], "--tls-version: the newest version"),
        (&["-A", "eth0"], "'eth0'"),
    ] {
        let (code, why) = failed(&mut publish(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {why}");
        assert!(why.contains(part), "{arguments:?}: {why}");
    }
}
