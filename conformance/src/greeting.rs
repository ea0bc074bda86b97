//! The first question to a target, before any scene plays: which versions does it speak, and does it let us in?
//!
//! Asked with bytes and not by a scene, because the answer may be in the form of another version.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use longwire_proto::Version;

use crate::craft;
use crate::stage::unused_tag;

/// How long a target may take to accept a connection, and to answer its CONNECT.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// CONNECT flags: Clean Session or Clean Start.
const CLEAN: u8 = 0x02;
/// Seconds, and short, because a server may refuse what is longer than it allows.
const KEEP_ALIVE_SECS: u8 = 1;
/// First byte of CONNACK.
const CONNACK: u8 = 0x20;
/// Code of CONNACK for a version that the server does not speak, before 5.0 and since.
const UNSUPPORTED_VERSION: [u8; 2] = [0x01, 0x84];

/// How the client id of the greeting ends.
pub(crate) const NAME: &str = "greeting";

/// What a target says to a plain CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// It accepts.
    Welcome,
    /// It does not speak this version; why we think so.
    OtherVersion(String),
    /// It does not let us in, for a reason that has nothing to do with the version.
    Refusal(Obstacle),
}

/// Why nothing can be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// No connection.
    Unreachable(String),
    /// A CONNACK with this code.
    Refused(u8),
    /// Something that is no CONNACK.
    NoMqtt(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Unreachable(why) => {
                write!(f, "it cannot be reached ({why}); is the broker running, and is the port right?")
            }
            Obstacle::Refused(code) => write!(
                f,
                "it refuses clients without credentials (CONNACK code 0x{code:02X}); allow them for this run"
            ),
            Obstacle::NoMqtt(what) => {
                write!(f, "it answers CONNECT with {what}; is this the port for plain MQTT?")
            }
        }
    }
}

/// Connects once in this version.
pub(crate) fn greet(address: SocketAddr, version: Version) -> Greeting {
    match answer(address, version) {
        Ok(bytes) => judge(&bytes),
        Err(why) => Greeting::Refusal(Obstacle::Unreachable(why.to_string())),
    }
}

/// The first bytes that come back; none if the target closes or stays silent.
fn answer(address: SocketAddr, version: Version) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    let _ = stream.write_all(&connect(version));
    let mut bytes = Vec::new();
    let mut chunk = [0; 256];
    while bytes.len() < 4 {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
    let _ = stream.write_all(&craft::frame(0xE0, &[]));
    Ok(bytes)
}

fn connect(version: Version) -> Vec<u8> {
    let head = [version as u8, CLEAN, 0, KEEP_ALIVE_SECS];
    let id = format!("{}{NAME}", unused_tag());
    let body = [&craft::field("MQTT"), &head[..], &craft::properties(version, &[]), &craft::field(id)];
    craft::frame(0x10, &craft::join(&body))
}

fn judge(bytes: &[u8]) -> Greeting {
    match *bytes {
        [] => Greeting::OtherVersion("it closes without an answer to CONNECT".to_owned()),
        [CONNACK, _, _, 0, ..] => Greeting::Welcome,
        [CONNACK, _, _, code, ..] if UNSUPPORTED_VERSION.contains(&code) => {
            Greeting::OtherVersion(format!("it answers CONNECT with code 0x{code:02X}"))
        }
        [CONNACK, _, _, code, ..] => Greeting::Refusal(Obstacle::Refused(code)),
        _ => Greeting::Refusal(Obstacle::NoMqtt(crate::message::hex(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connack_of_either_form_tells_whether_the_version_is_spoken() {
        assert_eq!(judge(&[0x20, 3, 0, 0, 0]), Greeting::Welcome);
        assert_eq!(judge(&[0x20, 2, 0, 0]), Greeting::Welcome);
        for refusal in [&[0x20, 2, 0, 1][..], &[0x20, 3, 0, 0x84, 0], &[]] {
            assert!(matches!(judge(refusal), Greeting::OtherVersion(_)), "{refusal:02x?}");
        }
    }

    #[test]
    fn a_target_that_wants_credentials_is_no_target_of_another_version() {
        assert_eq!(judge(&[0x20, 2, 0, 5]), Greeting::Refusal(Obstacle::Refused(5)));
        assert_eq!(judge(&[0x20, 3, 0, 0x87, 0]), Greeting::Refusal(Obstacle::Refused(0x87)));
    }

    #[test]
    fn what_is_no_mqtt_is_called_so() {
        assert!(matches!(judge(b"HTTP/1.1 400"), Greeting::Refusal(Obstacle::NoMqtt(_))));
    }
}
