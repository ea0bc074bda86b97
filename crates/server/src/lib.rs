//! The longwire broker as a library: [`start`] it with [`settings::Settings`], [`Running::stop`] it.
//!
//! This crate is threads and glue and decides nothing: [`worker`](self) event loops own sockets and one shard each, a
//! journal thread owns the log, and what they mean in MQTT is in `longwire-broker`.

mod checkpoints;
mod clock;
mod connection;
mod greet;
mod ground;
mod journal;
mod report;
pub mod settings;
mod sys;
mod worker;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longwire_broker::address::HashKey;
use longwire_broker::tables::Tables;
use longwire_net::listen::{self, Listener};
use longwire_net::mail::{self, Sender};
use longwire_net::{descriptors, poll::Poll};
use tracing::{info, warn};

use crate::checkpoints::Checkpoints;
use crate::clock::Clock;
use crate::ground::Ground;
use crate::journal::ToJournal;
use crate::settings::{ListenAddress, Settings, SettingsError};
use crate::sys::Sys;
use crate::worker::{Mail, Shared, Worker};

/// A broker that runs.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    workers: Vec<Sender<Mail>>,
    worker_threads: Vec<JoinHandle<()>>,
    journal: Sender<ToJournal>,
    journal_thread: JoinHandle<()>,
}

/// Why a broker did not start.
#[derive(Debug)]
pub enum StartError {
    /// The settings do not go together, or would open the broker to everybody unasked.
    Settings(SettingsError),
    /// An address cannot be listened on.
    Listen {
        /// As it was asked for.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The data folder cannot be used.
    Data {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it, and what to do.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The system refuses something else: threads, descriptors, randomness.
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        cause: io::Error,
    },
}

/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 4_096;

/// How long a stopping worker may take to send its last mail.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts a broker. It accepts connections when this returns, and has found everything that it kept before.
///
/// # Errors
/// [`StartError`] if the settings are refused, an address cannot be listened on, the data folder cannot be used, or the
/// system refuses threads or descriptors; nothing is left running then.
pub fn start(settings: &Settings) -> Result<Running, StartError> {
    settings.check().map_err(StartError::Settings)?;
    raise_descriptor_limit();
    let sockets = bind_all(&settings.listen)?;
    let addresses = sockets.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
    let addresses = addresses.map_err(system("reading the address of a listener"))?;
    let fresh_key = hash_key().map_err(system("reading random bytes"))?;
    let Ground { journal: log, checkpointer, key, sessions, groups, retained, disk } =
        ground::open(settings, fresh_key)?;
    let (journal, journal_inbox) = mail::blocking_mailbox();
    let mut polls = Vec::new();
    let mut workers = Vec::new();
    let mut inboxes = Vec::new();
    for _ in 0..settings.workers.max(1) {
        let poll = Poll::new().map_err(system("opening an event queue"))?;
        let (sender, inbox) = mail::mailbox(poll.waker());
        polls.push(poll);
        workers.push(sender);
        inboxes.push(inbox);
    }
    let shared = Shared {
        tables: Arc::new(Tables::new(key)),
        clock: Clock::start(),
        key,
        workers: workers.clone(),
        journal: journal.clone(),
        unkept: Arc::new(AtomicUsize::new(0)),
        undelivered: Arc::new(AtomicUsize::new(0)),
        sys: Arc::new(Sys::new(workers.len(), settings.limits.sys_interval_secs)),
    };
    shared.tables.restore_retained(retained);
    let checkpoints = checkpointer.map(|checkpointer| Checkpoints::start(checkpointer, journal.clone()));
    let checkpoints = checkpoints.transpose().map_err(system("starting the thread of checkpoints"))?;
    let unkept = Arc::clone(&shared.unkept);
    let journal_thread = journal::start(log, checkpoints, disk, journal_inbox, workers.clone(), unkept)
        .map_err(system("starting the journal thread"))?;
    let mut all = Vec::new();
    for (number, (poll, inbox)) in polls.into_iter().zip(inboxes).enumerate() {
        let listeners = sockets.iter().map(Listener::new).collect::<Result<_, _>>();
        let listeners = listeners.map_err(system("sharing a listener"))?;
        all.push(Worker::new(number as u16, &settings.limits, poll, inbox, listeners, shared.clone()));
    }
    // Every shard has its own before any of them begins.
    let (mut groups, mut sessions) =
        (by_home(groups, |group| group.group.shard), by_home(sessions, |session| session.session.shard));
    for (number, worker) in (0..).zip(&mut all) {
        worker.restore(
            groups.remove(&number).unwrap_or_default(),
            sessions.remove(&number).unwrap_or_default(),
        );
    }
    let mut worker_threads = Vec::new();
    for (number, worker) in all.into_iter().enumerate() {
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || worker.run())
            .map_err(system("starting a worker thread"))?;
        worker_threads.push(thread);
    }
    Ok(Running { addresses, workers, worker_threads, journal, journal_thread })
}

impl Running {
    /// Where it listens, with the ports the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops in good order: due wills go out first, then every client is told and closed, then the threads end.
    pub fn stop(self) {
        let (done, prepared) = mpsc::channel();
        for worker in &self.workers {
            worker.send(Mail::Prepare(done.clone()));
        }
        for _ in &self.workers {
            if prepared.recv_timeout(PREPARE_TIMEOUT).is_err() {
                warn!("a worker is busy; clients are closed without waiting for it");
                break;
            }
        }
        for worker in &self.workers {
            worker.send(Mail::Stop);
        }
        for thread in self.worker_threads {
            join(thread);
        }
        self.journal.send(ToJournal::Stop);
        join(self.journal_thread);
    }
}

fn by_home<T>(all: Vec<T>, home: impl Fn(&T) -> u16) -> HashMap<u16, Vec<T>> {
    let mut homes: HashMap<u16, Vec<T>> = HashMap::new();
    for one in all {
        homes.entry(home(&one)).or_default().push(one);
    }
    homes
}

fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if thread.join().is_err() {
        tracing::error!(
            thread = name,
            "a thread of the broker had panicked: this is a bug, please report it"
        );
    }
}

fn bind_all(wanted: &[ListenAddress]) -> Result<Vec<TcpListener>, StartError> {
    let mut sockets: Vec<TcpListener> = Vec::new();
    for address in wanted {
        let failed = |cause| StartError::Listen { address: address.to_string(), cause };
        for resolved in address.resolve().map_err(failed)? {
            match listen::bind(resolved, BACKLOG) {
                Ok(socket) => sockets.push(socket),
                Err(cause) if !sockets.is_empty() && is_without_ipv6(resolved, &cause) => {
                    warn!(address = %resolved, %cause, "not listening there: this machine has no IPv6");
                }
                Err(cause) => return Err(failed(cause)),
            }
        }
    }
    Ok(sockets)
}

/// True if the IPv6 loopback address cannot be listened on because there is no IPv6, as in many containers.
fn is_without_ipv6(address: SocketAddr, cause: &io::Error) -> bool {
    let is_ours_to_fix = matches!(cause.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    address.is_ipv6() && address.ip().is_loopback() && !is_ours_to_fix
}

fn hash_key() -> io::Result<HashKey> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let number = u128::from_ne_bytes(random);
    Ok(HashKey(number as u64, (number >> 64) as u64))
}

fn raise_descriptor_limit() {
    match descriptors::raise_descriptor_limit() {
        Ok((_, limit)) => info!(limit, "file descriptors this process may open"),
        Err(cause) => warn!(%cause, "cannot raise the limit of file descriptors"),
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |cause| StartError::System { what, cause }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Settings(cause) => cause.fmt(formatter),
            StartError::Listen { address, cause } => {
                write!(formatter, "cannot listen on {address}: {cause}; {}", remedy(cause))
            }
            StartError::Data { folder, cause } => {
                write!(formatter, "cannot use the data folder {}: {cause}", folder.display())
            }
            StartError::System { what, cause } => write!(formatter, "{what} failed: {cause}"),
        }
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that uses the port, or choose another one with --listen mqtt://127.0.0.1:PORT"
        }
        io::ErrorKind::PermissionDenied => {
            "choose a port above 1023, or give the process the right to use it"
        }
        io::ErrorKind::AddrNotAvailable => "choose an address that this machine has",
        _ => "check the address given with --listen",
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::Settings(cause) => Some(cause),
            StartError::Data { cause, .. } => Some(&**cause),
            StartError::Listen { cause, .. } | StartError::System { cause, .. } => Some(cause),
        }
    }
}
