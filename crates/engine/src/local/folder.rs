//! The folder of one node's data: locked against other processes, with the version of its format and the number of
//! times it was opened. Lane and table are opened through it, and each opening fences the one before.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chores::{Chores, Place, Stop};
use super::log::{LocalLane, Log};
use super::recovery::Recoverer;
use super::status::{Damage, Watch};
use super::table::{LocalTable, OpenTable};
use super::{Options, SEGMENT_BYTES_MIN, recovery};
use crate::disk::{self, Disk, Lock};

/// Version of the folder as a whole.
const VERSION: u32 = 1;

/// Longer than `LOCK` and `FORMAT` ever are.
const SMALL_FILE_BYTES: usize = 4096;

/// Length of the line in `FORMAT` without its end.
const FORMAT_BYTES: usize = 127;

/// A folder that this process has to itself. Clones are the same folder; the last one lets it go.
#[derive(Clone, Debug)]
pub struct Folder(Arc<Held>);

#[derive(Debug)]
struct Held {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    options: Options,
    watch: Watch,
    /// Times the folder, the lane or the table was opened.
    epoch: Mutex<u64>,
    lane: Arc<Mutex<Claim>>,
    table: Arc<Mutex<OpenTable>>,
    _lock: Box<dyn Lock>,
}

/// Who may write.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    pub(crate) epoch: u64,
    stop: Option<Arc<Stop>>,
}

/// Why a folder could not be opened. All of these are for the operator.
#[derive(Debug)]
pub enum FolderError {
    /// Another process has it.
    Locked {
        /// The locked file.
        file: PathBuf,
        /// Number of the process, if it left it there.
        process: Option<u32>,
    },
    /// A later version wrote it.
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version that can be read.
        known: u32,
    },
    /// A file could not be read or written.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl Folder {
    /// Opens a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`FolderError`].
    ///
    /// # Panics
    /// If segments are to be smaller than [`SEGMENT_BYTES_MIN`].
    pub fn open(disk: Arc<dyn Disk>, path: &Path, options: Options) -> Result<Folder, FolderError> {
        assert!(options.segment_bytes >= SEGMENT_BYTES_MIN, "a segment that holds next to nothing");
        let io = |cause| FolderError::Io { path: path.to_owned(), cause };
        disk.make_folder(&path.join("log")).map_err(io)?;
        let file = path.join("LOCK");
        let Some(lock) = disk.lock(&file).map_err(io)? else {
            let word = disk::read_small(&*disk, &file, SMALL_FILE_BYTES).unwrap_or_default();
            let process = String::from_utf8_lossy(&word).trim().parse().ok();
            return Err(FolderError::Locked { file, process });
        };
        // Only a word for others: a full disk is no reason to stay away.
        let _ = lock.sign(&format!("{}\n", process::id()));
        // Names that are there, the folder's own among them, may never have been synced.
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for folder in [path, above] {
            disk.sync_folder(folder).map_err(io)?;
        }
        let watch = Watch::default();
        let epoch = read_format(&*disk, path, &watch)?;
        Ok(Folder(Arc::new(Held {
            disk,
            path: path.to_owned(),
            options,
            watch,
            epoch: Mutex::new(epoch),
            lane: Arc::default(),
            table: Arc::default(),
            _lock: lock,
        })))
    }

    /// Opens the lane: recovers what is durable, and fences the handle opened before.
    ///
    /// # Errors
    /// [`FolderError`]; the handle opened before is fenced nevertheless.
    pub fn open_lane(&self) -> Result<LocalLane, FolderError> {
        let mut claim = lock(&self.0.lane);
        if let Some(stop) = claim.stop.take() {
            stop.now();
        }
        claim.epoch = self.next_epoch()?;
        let held = &*self.0;
        let recovered = Recoverer {
            disk: &held.disk,
            data: &held.path,
            epoch: claim.epoch,
            segment_bytes: held.options.segment_bytes,
            watch: &held.watch,
            damages: Vec::new(),
        }
        .recover()?;
        let disk = Arc::clone(&held.disk);
        let place = Place { disk, folder: held.path.join("log"), watch: held.watch.clone() };
        let chores = if held.options.background {
            let stop = Arc::new(Stop::default());
            claim.stop = Some(Arc::clone(&stop));
            Chores::thread(place, &stop)
                .map_err(|cause| FolderError::Io { path: held.path.clone(), cause })?
        } else {
            Chores::inline(place)
        };
        let log = Log::new(
            Arc::clone(&held.disk),
            held.path.clone(),
            held.options,
            held.watch.clone(),
            claim.epoch,
            recovered,
            chores,
        );
        Ok(LocalLane::new(log, claim.epoch, Arc::clone(&held.lane)))
    }

    /// Opens the table, and fences the handle opened before.
    ///
    /// # Errors
    /// [`FolderError`]; the handle opened before is fenced nevertheless.
    pub fn open_table(&self) -> Result<LocalTable, FolderError> {
        let epoch = self.next_epoch()?;
        let held = &*self.0;
        lock(&held.table).reopen(&held.disk, &held.path, &held.watch, epoch)?;
        Ok(LocalTable::new(epoch, Arc::clone(&held.table)))
    }

    /// How the ground is; can be asked from any thread, at any time.
    pub fn watch(&self) -> Watch {
        self.0.watch.clone()
    }

    /// Counts an opening, and keeps the count, before anything can be written in its name.
    fn next_epoch(&self) -> Result<u64, FolderError> {
        let mut epoch = lock(&self.0.epoch);
        let next = *epoch + 1;
        let path = self.0.path.join("FORMAT");
        write_format(&*self.0.disk, &path, next).map_err(|cause| FolderError::Io { path, cause })?;
        *epoch = next;
        Ok(next)
    }
}

/// Number of openings so far. A damaged file is no reason to stay away: it is written anew at each opening, and the
/// log is known by its own files.
fn read_format(disk: &dyn Disk, folder: &Path, watch: &Watch) -> Result<u64, FolderError> {
    let file = folder.join("FORMAT");
    let io = |cause| FolderError::Io { path: file.clone(), cause };
    let text = match disk::read_small(disk, &file, SMALL_FILE_BYTES) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let log = folder.join("log");
            if disk.list(&log).map_err(io)?.iter().all(|name| super::segment::number_in(name).is_none()) {
                return Ok(0);
            }
            String::new()
        }
        Err(cause) => return Err(io(cause)),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    if let ["longwire", "data", "format", version, "epoch", epoch, "check", check] = words[..]
        && let (Ok(version), Ok(epoch)) = (version.parse::<u32>(), epoch.parse::<u64>())
        && check == checksum(version, epoch)
    {
        return if version > VERSION {
            Err(FolderError::Newer { file, found: version, known: VERSION })
        } else {
            Ok(epoch)
        };
    }
    let damage = Damage {
        file: file.clone(),
        offset: 0,
        bytes: text.len() as u64,
        lost: None,
        what: "it does not say what it should, and was written anew".into(),
    };
    recovery::quarantine(disk, folder, &damage);
    watch.damage(damage);
    // Every epoch that was ever given is below this.
    disk.random().map(|random| (1 << 32) | (random >> 33)).map_err(io)
}

/// Writes over what is there, all of it in one sector, so that a full disk cannot refuse it.
fn write_format(disk: &dyn Disk, path: &Path, epoch: u64) -> io::Result<()> {
    let text = format!("longwire data format {VERSION} epoch {epoch} check {}", checksum(VERSION, epoch));
    let line = format!("{text:<FORMAT_BYTES$}\n");
    match disk.open(path) {
        Ok(file) => disk::write_all(&*file, 0, line.as_bytes()).and_then(|()| file.sync()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => disk::replace(disk, path, line.as_bytes()),
        Err(cause) => Err(cause),
    }
}

fn checksum(version: u32, epoch: u64) -> String {
    format!("{:08x}", crc32c::crc32c(format!("{version} {epoch}").as_bytes()))
}

/// Locks. Nothing that is done under these locks leaves a claim half changed, so poison is no reason to stop.
pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for FolderError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FolderError::Locked { file, process } => {
                write!(out, "another process ")?;
                if let Some(process) = process {
                    write!(out, "({process}) ")?;
                }
                write!(out, "has locked {}: end it, or use another folder", file.display())
            }
            FolderError::Newer { file, found, known } => write!(
                out,
                "{} has format {found}, written by a later version; this one knows formats up to {known}: use the \
                 later version, or another folder",
                file.display()
            ),
            FolderError::Io { path, cause } => write!(out, "{}: {cause}", path.display()),
        }
    }
}

impl Error for FolderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            FolderError::Io { cause, .. } => Some(cause),
            FolderError::Locked { .. } | FolderError::Newer { .. } => None,
        }
    }
}
