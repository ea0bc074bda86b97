//! What is measured: the broker, and what it is compared with; each started anew for every load.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bench::release_folder;
use crate::command::find;

/// How long a peer may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of Mosquitto besides its listener: nothing that it could spend time on without being asked, and no limit
/// that could make it drop a message.
pub(super) const MOSQUITTO_SETTINGS: &str = "\
allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
persistence false
log_type error
";

/// Options of `longwire serve` besides its listener.
pub(super) const LONGWIRE_OPTIONS: [&str; 4] = ["--set", "workers=1", "--set", "log=warn"];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Longwire,
    Relay,
    Mosquitto,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Peer::Longwire => "longwire",
            Peer::Relay => "relay",
            Peer::Mosquitto => "mosquitto",
        }
    }

    pub(super) fn named(name: &str) -> Result<Peer, String> {
        let mut peers = [Peer::Longwire, Peer::Relay, Peer::Mosquitto].into_iter();
        peers.find(|peer| peer.name() == name).ok_or_else(|| format!("there is no peer {name:?}"))
    }

    /// The program and its arguments to listen on this port of 127.0.0.1.
    fn command(self, port: u16) -> Result<Vec<String>, String> {
        let built = |name: &str| release_folder().join(name).display().to_string();
        Ok(match self {
            Peer::Longwire => {
                let listen = ["serve".into(), "--listen".into(), format!("mqtt://127.0.0.1:{port}")];
                let options = LONGWIRE_OPTIONS.map(String::from);
                [built("longwire")].into_iter().chain(listen).chain(options).collect()
            }
            Peer::Relay => vec![built("examples/relay"), port.to_string()],
            Peer::Mosquitto => {
                let program = find("mosquitto")
                    .ok_or("mosquitto is not installed (Debian: apt-get install mosquitto)")?;
                let settings = release_folder().join("mosquitto.conf");
                fs::write(&settings, format!("listener {port} 127.0.0.1\n{MOSQUITTO_SETTINGS}"))
                    .map_err(|error| format!("{} cannot be written: {error}", settings.display()))?;
                vec![program.display().to_string(), "-c".into(), settings.display().to_string()]
            }
        })
    }
}

/// The peers that can be measured here: Mosquitto may not be installed.
pub(super) fn available() -> Vec<Peer> {
    let mut peers = vec![Peer::Longwire, Peer::Relay];
    peers.extend(find("mosquitto").map(|_| Peer::Mosquitto));
    peers
}

/// A peer that listens; it ends with this value.
pub(super) struct Running {
    child: Child,
    port: u16,
}

impl Running {
    /// Starts a peer on one processor and waits until it listens.
    pub(super) fn start(peer: Peer, processor: usize) -> Result<Running, String> {
        let port = free_port().map_err(|error| format!("there is no free port: {error}"))?;
        // `taskset` becomes the program it starts, so the pid is that of the peer.
        let mut command = Command::new("taskset");
        command.args(["-c", &processor.to_string()]).args(peer.command(port)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("taskset does not start: {error}"))?;
        let mut running = Running { child, port };
        running.wait_until_listening().map_err(|why| format!("{} {why}", peer.name()))?;
        Ok(running)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn wait_until_listening(&mut self) -> Result<(), String> {
        let start = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended with {status} instead of listening"));
            }
            if start.elapsed() > START_TIMEOUT {
                return Err("does not listen".into());
            }
            sleep(Duration::from_millis(20));
        }
        // What it does once after its start is not part of any load.
        sleep(Duration::from_millis(300));
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which its load has told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
