//! Programs of brokers that can be started to be judged: on a free port of the loopback, ended with their value.
//!
//! A broker is ready when its log says so; a connection that succeeds would not prove that it is this process which
//! accepts. The log is read to the end, so that the broker never waits for it, and its last lines are kept.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Log lines that are kept.
const LOG_LINES_MAX: usize = 30;
/// How often a broker that has to be told its port is started, when another program was quicker to take it.
const ATTEMPTS_MAX: u32 = 5;

/// A running broker that ends with this value.
pub struct Target {
    process: Child,
    address: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Target {
    /// Starts `longwire serve` with these settings (`key=value`).
    ///
    /// # Errors
    /// When the program does not start, or ends before it listens.
    pub fn longwire(program: &Path, settings: &[&str]) -> Result<Target, String> {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "mqtt://127.0.0.1:0"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        Target::start(command, |line| {
            let (_, rest) = line.split_once("address=").filter(|_| line.contains("listening"))?;
            rest.split_whitespace().next()?.parse().ok()
        })
    }

    /// Starts Debian's Mosquitto, version 2, with its default settings and without persistence.
    ///
    /// # Errors
    /// When the program does not start, or ends before it listens.
    pub fn mosquitto(program: &Path) -> Result<Target, String> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let address = free_address().map_err(|error| format!("there is no free port: {error}"))?;
            let settings = SettingsFile::write(&format!(
                "listener {} {}\nallow_anonymous true\npersistence false\n",
                address.port(),
                address.ip()
            ))?;
            let mut command = Command::new(program);
            command.arg("-c").arg(&settings.0);
            let started = Target::start(command, |line| line.ends_with(" running").then_some(address));
            match started {
                Err(why) if why.contains("Address already in use") => last = why,
                settled => return settled,
            }
        }
        Err(last)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last lines of its log.
    pub fn last_lines(&self) -> String {
        let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Starts a program and waits for the line of its log in which `ready` finds the address.
    fn start(mut command: Command, ready: impl Fn(&str) -> Option<SocketAddr>) -> Result<Target, String> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
        let mut log = process.stderr.take().map(BufReader::new).ok_or("its standard error is not piped")?;
        let mut target = Target { process, address: SocketAddr::from(([0; 4], 0)), log: Arc::default() };
        while let Some(line) = next_line(&mut log) {
            let address = ready(&line);
            keep(&target.log, line);
            if let Some(address) = address {
                target.address = address;
                keep_reading(log, Arc::clone(&target.log));
                return Ok(target);
            }
        }
        Err(format!("{name} ended before it listened; it said:\n{}", target.last_lines()))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself, which the scenes have told.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file of settings that is gone with this value; brokers read theirs once, before they listen.
struct SettingsFile(PathBuf);

impl SettingsFile {
    fn write(text: &str) -> Result<SettingsFile, String> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("longwire-conformance-{}-{count}.conf", std::process::id());
        let file = SettingsFile(std::env::temp_dir().join(name));
        fs::write(&file.0, text).map_err(|error| format!("cannot write {}: {error}", file.0.display()))?;
        Ok(file)
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        // A file that stays behind does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// An address that was free a moment ago.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn keep_reading(mut log: BufReader<ChildStderr>, lines: Arc<Mutex<VecDeque<String>>>) {
    std::thread::spawn(move || {
        while let Some(line) = next_line(&mut log) {
            keep(&lines, line);
        }
    });
}

/// The next line of a log, whatever its bytes; nothing at its end.
fn next_line(log: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = log.read_until(b'\n', &mut line).ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn keep(lines: &Mutex<VecDeque<String>>, line: String) {
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() == LOG_LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(line);
}
