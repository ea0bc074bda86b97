//! What the log needs done off its hot path: a spare segment made ready, a full one sealed, a useless one removed. A
//! thread does it, or, for simulations, whoever asks.
//!
//! Invariant: a file gets the name of a segment only after its header and its zeros are synced, so that whatever has
//! such a name after a crash can be read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::segment::{self, Header, Index, Kind};
use super::status::{Damage, Watch};
use crate::disk::{self, Disk, DiskFile};

/// Bytes of zeros written between two syncs, so that commits do not wait long behind them.
const FILL_BYTES: u64 = 1 << 20;

/// A segment that is ready to be used.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) header: Header,
}

/// Something to do.
#[derive(Debug)]
pub(crate) enum Chore {
    /// Make a spare segment, out of a file that is not needed any more if there is one.
    Spare { number: u64, size: u64, from: Option<PathBuf> },
    /// Close a segment that is full, or that another one follows. The header is as it will be, but for its kind.
    Seal { path: PathBuf, file: Arc<dyn DiskFile>, header: Header, index: Index },
    /// Remove a file.
    Remove(PathBuf),
}

/// Whoever does the chores.
#[derive(Debug)]
pub(crate) enum Chores {
    /// The caller, at once. A spare waits here until it is asked for.
    Inline { place: Place, made: Option<io::Result<Spare>> },
    /// A thread. The log asks for one spare at a time, and seals and removes what it has written, so neither queue
    /// grows beyond the number of segments.
    Thread { chores: Sender<Chore>, made: Receiver<io::Result<Spare>>, stop: Arc<Stop> },
}

/// Where the chores are done.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) folder: PathBuf,
    pub(crate) watch: Watch,
}

/// Ends the thread, from wherever.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_set: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Chores {
    /// Chores that whoever asks does at once.
    pub(crate) fn inline(place: Place) -> Self {
        Chores::Inline { place, made: None }
    }

    /// Chores that a thread does until `stop` is set.
    pub(crate) fn thread(place: Place, stop: &Arc<Stop>) -> io::Result<Self> {
        let (chores, waiting) = channel();
        let (done, made) = channel();
        let stopping = Arc::clone(stop);
        let thread = thread::Builder::new().name("segments".into()).spawn(move || {
            for chore in waiting {
                if stopping.is_set.load(Ordering::Acquire) {
                    return;
                }
                if let Some(made) = place.carry_out(chore, &stopping.is_set)
                    && done.send(made).is_err()
                {
                    return;
                }
            }
        })?;
        *stop.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Chores::Thread { chores, made, stop: Arc::clone(stop) })
    }

    pub(crate) fn ask(&mut self, chore: Chore) {
        match self {
            Chores::Inline { place, made } => {
                if let Some(result) = place.carry_out(chore, &AtomicBool::new(false)) {
                    *made = Some(result);
                }
            }
            // A thread that was stopped belongs to a log that is fenced.
            Chores::Thread { chores, .. } => drop(chores.send(chore)),
        }
    }

    /// The spare that was asked for, if it is made.
    pub(crate) fn made(&mut self) -> Option<io::Result<Spare>> {
        match self {
            Chores::Inline { made, .. } => made.take(),
            Chores::Thread { made, .. } => made.try_recv().ok(),
        }
    }

    /// The spare that was asked for; waits until it is made.
    pub(crate) fn wait(&mut self) -> io::Result<Spare> {
        let ended = || io::Error::other("the thread that makes segments has ended");
        match self {
            Chores::Inline { made, .. } => made.take().unwrap_or_else(|| Err(ended())),
            Chores::Thread { made, .. } => made.recv().unwrap_or_else(|_| Err(ended())),
        }
    }
}

impl Drop for Chores {
    fn drop(&mut self) {
        if let Chores::Thread { chores, stop, .. } = self {
            *chores = channel().0;
            stop.now();
        }
    }
}

impl Stop {
    /// Lets the thread end after the step it is at, and waits for that.
    pub(crate) fn now(&self) {
        self.is_set.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has nothing to say: what it made was handed over.
            drop(thread.join());
        }
    }
}

impl Place {
    fn carry_out(&self, chore: Chore, stop: &AtomicBool) -> Option<io::Result<Spare>> {
        match chore {
            Chore::Spare { number, size, from } => {
                Some(make_spare(&*self.disk, &self.folder, number, size, from, stop))
            }
            Chore::Seal { path, file, mut header, index } => {
                let sealed = match header.kind {
                    Kind::Sealed { .. } => segment::write_header(&*file, &header),
                    Kind::Active | Kind::Spare => segment::seal(&*file, &mut header, &index),
                };
                if let Err(cause) = sealed {
                    // It is read frame by frame at the next opening, which finds the same.
                    let what = format!("it could not be sealed ({cause})");
                    self.watch.damage(Damage { file: path, offset: index.end, bytes: 0, lost: None, what });
                }
                None
            }
            Chore::Remove(path) => {
                // A file that stays is found below the floor at the next opening.
                let _ = self.disk.remove(&path);
                None
            }
        }
    }
}

/// Makes a segment that holds nothing and is written to its end, so that syncing it later moves no metadata.
pub(crate) fn make_spare(
    disk: &dyn Disk,
    folder: &Path,
    number: u64,
    size: u64,
    from: Option<PathBuf>,
    stop: &AtomicBool,
) -> io::Result<Spare> {
    let path = segment::path_of(folder, number);
    let unready = path.with_extension("tmp");
    let result = match from {
        Some(from) => disk.rename(&from, &unready).and_then(|()| disk.open(&unready)),
        None => create_filled(disk, &unready, size, stop),
    };
    let header = Header {
        kind: Kind::Spare,
        number,
        revision: 1,
        epoch: 0,
        salt: 0,
        size,
        sequence: 0,
        first: 0,
        first_commit: 0,
        synced: 0,
        floor: 0,
        is_continued: false,
    };
    let made = result.and_then(|file| {
        segment::write_header(&*file, &header)?;
        file.sync()?;
        disk.rename(&unready, &path)?;
        disk.sync_folder(folder)?;
        Ok(Spare { path, file, header })
    });
    if made.is_err() {
        // Room for the next try, which is what a full disk waits for.
        let _ = disk.remove(&unready);
    }
    made
}

fn create_filled(
    disk: &dyn Disk,
    path: &Path,
    size: u64,
    stop: &AtomicBool,
) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(path)?;
    file.reserve(size)?;
    let zeros = vec![0; FILL_BYTES.min(size) as usize];
    let mut offset = 0;
    while offset < size {
        if stop.load(Ordering::Acquire) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = FILL_BYTES.min(size - offset);
        disk::write_all(&*file, offset, &zeros[..length as usize])?;
        file.sync()?;
        offset += length;
    }
    Ok(file)
}
