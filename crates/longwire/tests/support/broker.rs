//! A broker of one's own for each test, on a port that the system picks.
//!
//! With `LONGWIRE_TEST_BROKER=mosquitto` in the environment, Debian's Mosquitto takes its place: that tells whether a
//! failing test of a stranger is wrong, or the broker. Settings (`--set`) mean nothing to it, and version 2.0 does not
//! say code 0x8E at a takeover, so that most 5.0 tests of that fail there.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, ExitStatus};

use super::Wire;
use super::process::{Process, longwire};

/// A broker process that listens on 127.0.0.1.
pub(crate) struct Broker {
    process: Process,
    port: u16,
}

impl Broker {
    /// Starts `longwire serve` with default settings.
    pub(crate) fn start() -> Broker {
        Broker::with_settings(&[])
    }

    /// Starts `longwire serve` with one `--set` for each of `settings`.
    pub(crate) fn with_settings(settings: &[&str]) -> Broker {
        match std::env::var("LONGWIRE_TEST_BROKER").as_deref() {
            Ok("mosquitto") => mosquitto(),
            Ok(other) => panic!("LONGWIRE_TEST_BROKER is {other:?}: only mosquitto is known"),
            Err(_) => ours(settings),
        }
    }

    /// Where it listens on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port as an argument of a command line.
    pub(crate) fn port_text(&self) -> String {
        self.port.to_string()
    }

    /// Opens a bare connection.
    pub(crate) fn dial(&self) -> Wire {
        Wire::dial(self.port)
    }

    /// Asks it to stop, as an operator would.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }
}

/// Debian's Mosquitto on a free port of 127.0.0.1, with its limits out of the way: a broker to compare with.
pub(crate) fn mosquitto() -> Broker {
    let port = free_port();
    let path =
        std::env::temp_dir().join(format!("longwire-test-mosquitto-{}-{port}.conf", std::process::id()));
    // A plain `-p` would listen on ::1 too.
    let configuration = format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n");
    fs::write(&path, configuration).expect("the temporary folder takes a file");
    let mut process = Process::spawn(Command::new("mosquitto").arg("-v").arg("-c").arg(&path));
    process.log_line(" running");
    fs::remove_file(&path).expect("the file was just made");
    Broker { process, port }
}

fn ours(settings: &[&str]) -> Broker {
    let mut command = longwire(&["serve", "--listen", "mqtt://127.0.0.1:0"]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let mut process = Process::spawn(&mut command);
    let line = process.log_line("listening");
    let port = port_in(&line).unwrap_or_else(|| process.give_up(&format!("an address in {line:?}")));
    Broker { process, port }
}

/// The port after `127.0.0.1:` in a log line.
fn port_in(line: &str) -> Option<u16> {
    let (_, tail) = line.split_once("127.0.0.1:")?;
    let digits = tail.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(tail.len());
    tail[..digits].parse().ok()
}

/// A port that was free a moment ago, for a program that cannot be told to pick one and say which.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
