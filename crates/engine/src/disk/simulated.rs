//! A disk in memory with the habits of real ones, from a seed. It loses any part of what was not synced, sector by
//! sector; names that were not synced vanish; it fails when told to, is full when told to, writes less than it was
//! given, and drops data when a sync fails.
//!
//! A crash is [`SimDisk::crash`], which gives the disk as the next start finds it; [`SimDisk::kill`] gives what a killed
//! process leaves, where everything that was written is still there. Folders are not lost: only names in them are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile, Lock};

/// What is written at once or not at all.
pub const SECTOR_BYTES: usize = 512;

/// Called with the name of each file before it is synced, without any lock held: a slow disk waits in here.
type OnSync = Arc<dyn Fn(&Path) + Send + Sync>;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    random: Random,
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// What happened to names since their folder was synced.
    changes: Vec<Change>,
    locked: BTreeSet<PathBuf>,
    bytes_max: u64,
    /// Changes so far: writes, syncs, and everything about names.
    operations: u64,
    syncs: u64,
    reads: u64,
    fail_at: BTreeSet<u64>,
    fail_reads_at: BTreeSet<u64>,
    off_at: Option<u64>,
    is_off: bool,
    writes_short: bool,
    on_sync: Option<OnSync>,
}

#[derive(Clone, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum Change {
    Made(PathBuf, usize),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    number: usize,
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl SimDisk {
    /// An empty disk; `seed` decides what its crashes leave.
    pub fn new(seed: u64) -> Self {
        SimDisk(Arc::new(Mutex::new(State {
            random: Random(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            locked: BTreeSet::new(),
            bytes_max: u64::MAX,
            operations: 0,
            syncs: 0,
            reads: 0,
            fail_at: BTreeSet::new(),
            fail_reads_at: BTreeSet::new(),
            off_at: None,
            is_off: false,
            writes_short: false,
            on_sync: None,
        })))
    }

    /// Turns this disk off, as a power cut does, and gives it back as it is found at the next start.
    pub fn crash(&self) -> SimDisk {
        let mut state = self.lock_state();
        state.is_off = true;
        let mut random = Random(state.random.next());
        let names = state.surviving_names(&mut random);
        let percent = random.below(5) * 25;
        let files = state.files.iter().map(|content| content.survives(&mut random, percent)).collect();
        SimDisk::restarted(random, files, names)
    }

    /// Turns this disk off for the process that uses it, and gives it back with everything that was written.
    pub fn kill(&self) -> SimDisk {
        let mut state = self.lock_state();
        state.is_off = true;
        let random = Random(state.random.next());
        let after = SimDisk::restarted(random, state.files.clone(), state.names.clone());
        let mut later = after.lock_state();
        later.durable_names.clone_from(&state.durable_names);
        later.changes.clone_from(&state.changes);
        drop(later);
        after
    }

    fn restarted(random: Random, files: Vec<Content>, names: BTreeMap<PathBuf, usize>) -> SimDisk {
        let after = SimDisk::new(0);
        let mut state = after.lock_state();
        state.random = random;
        state.files = files;
        state.names = names.clone();
        state.durable_names = names;
        drop(state);
        after
    }

    /// Changes made so far.
    pub fn operations(&self) -> u64 {
        self.lock_state().operations
    }

    /// Syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.lock_state().syncs
    }

    /// Lets the `nth` change from now, counted from 1, fail with an error of the device. A sync that fails drops what
    /// it should have kept.
    pub fn fail_at(&self, nth: u64) {
        let mut state = self.lock_state();
        let at = state.operations + nth;
        state.fail_at.insert(at);
    }

    /// Lets the `nth` reading from now, counted from 1, fail.
    pub fn fail_read_at(&self, nth: u64) {
        let mut state = self.lock_state();
        let at = state.reads + nth;
        state.fail_reads_at.insert(at);
    }

    /// Lets nothing fail any more that was told to.
    pub fn fail_no_more(&self) {
        let mut state = self.lock_state();
        state.fail_at.clear();
        state.fail_reads_at.clear();
    }

    /// Turns the disk off in the middle of the `nth` change from now, counted from 1.
    pub fn turn_off_at(&self, nth: u64) {
        let mut state = self.lock_state();
        state.off_at = Some(state.operations + nth);
    }

    /// True after the disk was turned off.
    pub fn is_off(&self) -> bool {
        self.lock_state().is_off
    }

    /// Bounds the sum of all files.
    pub fn limit(&self, bytes_max: u64) {
        self.lock_state().bytes_max = bytes_max;
    }

    /// Sum of all files.
    pub fn bytes(&self) -> u64 {
        self.lock_state().bytes()
    }

    /// From now on some writes take less than they are given.
    pub fn write_short(&self) {
        self.lock_state().writes_short = true;
    }

    /// Calls `hook` with the name of each file before it is synced.
    pub fn on_sync(&self, hook: impl Fn(&Path) + Send + Sync + 'static) {
        self.lock_state().on_sync = Some(Arc::new(hook));
    }

    /// All files with what they hold.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.lock_state();
        state.names.iter().map(|(path, &number)| (path.clone(), state.files[number].live.clone())).collect()
    }

    /// Puts a file on the disk, safe from crashes, in place of the one that may be there.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.lock_state();
        let content = Content { live: bytes.to_vec(), durable: bytes.to_vec(), dirty: BTreeSet::new() };
        let number = state.files.len();
        state.files.push(content);
        state.names.insert(path.to_owned(), number);
        state.durable_names.insert(path.to_owned(), number);
    }

    /// Flips bits of the byte at `offset`, as a failing disk does.
    pub fn flip(&self, path: &Path, offset: u64, bits: u8) {
        let mut state = self.lock_state();
        let Some(&number) = state.names.get(path) else { return };
        let content = &mut state.files[number];
        for bytes in [&mut content.live, &mut content.durable] {
            if let Some(byte) = bytes.get_mut(offset as usize) {
                *byte ^= bits;
            }
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, path: &Path, number: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), path: path.to_owned(), number })
    }
}

impl State {
    fn bytes(&self) -> u64 {
        let held: BTreeSet<usize> = self.names.values().copied().collect();
        held.iter().map(|&number| self.files[number].live.len() as u64).sum()
    }

    /// Counts a change, which may be the one that fails.
    fn change(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.operations += 1;
        if self.off_at == Some(self.operations) {
            self.is_off = true;
            return Err(power_cut());
        }
        if self.fail_at.remove(&self.operations) { Err(device_error()) } else { Ok(()) }
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off { Err(power_cut()) } else { Ok(()) }
    }

    fn number_of(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn check_room(&self, number: usize, len: u64) -> io::Result<()> {
        let grown = len.saturating_sub(self.files[number].live.len() as u64);
        if grown > 0 && self.bytes() + grown > self.bytes_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// How much is written of something that is not written whole: up to one of the borders of sectors within it, since a
    /// sector is written at once; `whole` if there is none.
    fn part_of(&mut self, offset: u64, length: usize, whole: usize) -> usize {
        let until_border = SECTOR_BYTES - offset as usize % SECTOR_BYTES;
        if until_border >= length {
            return whole;
        }
        let borders = (length - 1 - until_border) / SECTOR_BYTES + 1;
        until_border + self.random.below(borders as u64) as usize * SECTOR_BYTES
    }

    /// Any of the changes that were not synced, in their order, as far as they can still be made.
    fn surviving_names(&self, random: &mut Random) -> BTreeMap<PathBuf, usize> {
        let mut names = self.durable_names.clone();
        for change in &self.changes {
            if random.below(2) == 0 {
                change.apply(&mut names);
            }
        }
        names
    }
}

impl Content {
    /// What is left after a crash; each sector that was not synced with a chance of `percent`.
    fn survives(&self, random: &mut Random, percent: u64) -> Content {
        let mut bytes = self.durable.clone();
        if self.live.len() != bytes.len() && random.below(100) < percent {
            bytes.resize(self.live.len(), 0);
        }
        for &sector in &self.dirty {
            if random.below(100) < percent {
                self.keep_sector(sector, &mut bytes);
            }
        }
        Content { durable: bytes.clone(), live: bytes, dirty: BTreeSet::new() }
    }

    /// Copies a sector as it was written, as far as `bytes` reaches.
    fn keep_sector(&self, sector: usize, bytes: &mut [u8]) {
        let start = sector * SECTOR_BYTES;
        let end = (start + SECTOR_BYTES).min(self.live.len()).min(bytes.len());
        if start < end {
            bytes[start..end].copy_from_slice(&self.live[start..end]);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
    }

    fn sync(&mut self) {
        let mut durable = mem::take(&mut self.durable);
        durable.resize(self.live.len(), 0);
        for sector in mem::take(&mut self.dirty) {
            self.keep_sector(sector, &mut durable);
        }
        self.durable = durable;
    }

    /// A sync that failed: some of it was kept, and the rest is gone at once.
    fn sync_badly(&mut self, random: &mut Random) {
        let left = self.survives(random, 50);
        *self = left;
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Change::Made(path, number) => {
                names.insert(path.clone(), *number);
            }
            Change::Renamed(from, to) => {
                if let Some(number) = names.remove(from) {
                    names.insert(to.clone(), number);
                }
            }
            Change::Removed(path) => {
                names.remove(path);
            }
        }
    }

    fn is_in(&self, folder: &Path) -> bool {
        let (Change::Made(path, _) | Change::Renamed(_, path) | Change::Removed(path)) = self;
        path.parent() == Some(folder)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock_state();
        state.check_power()?;
        Ok(self.file(path, state.number_of(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_state();
        state.change()?;
        let number = state.files.len();
        state.files.push(Content::default());
        let made = Change::Made(path.to_owned(), number);
        made.apply(&mut state.names);
        state.changes.push(made);
        Ok(self.file(path, number))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.change()?;
        state.number_of(from)?;
        let renamed = Change::Renamed(from.to_owned(), to.to_owned());
        renamed.apply(&mut state.names);
        state.changes.push(renamed);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.change()?;
        state.number_of(path)?;
        let removed = Change::Removed(path.to_owned());
        removed.apply(&mut state.names);
        state.changes.push(removed);
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.lock_state();
        state.check_power()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn make_folder(&self, _folder: &Path) -> io::Result<()> {
        self.lock_state().check_power()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.change()?;
        let (synced, waiting) =
            mem::take(&mut state.changes).into_iter().partition(|change| change.is_in(folder));
        state.changes = waiting;
        let synced: Vec<Change> = synced;
        for change in synced {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.lock_state();
        state.check_power()?;
        let is_free = state.locked.insert(path.to_owned());
        let lock = SimLock { disk: self.clone(), path: path.to_owned() };
        drop(state);
        if !is_free {
            mem::forget(lock);
            return Ok(None);
        }
        Ok(Some(Box::new(lock)))
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.lock_state().random.next())
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.lock_state();
        state.check_power()?;
        Ok(state.files[self.number].live.len() as u64)
    }

    fn read_at(&self, offset: u64, room: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.lock_state();
        state.check_power()?;
        state.reads += 1;
        let reads = state.reads;
        if state.fail_reads_at.remove(&reads) {
            return Err(device_error());
        }
        let live = &state.files[self.number].live;
        let rest = live.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(room.len());
        room[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.lock_state();
        state.check_room(self.number, offset + bytes.len() as u64)?;
        let was_on = !state.is_off;
        let outcome = state.change();
        let mut taken = bytes.len();
        if outcome.is_err() {
            taken = state.part_of(offset, taken, 0);
        } else if state.writes_short && state.random.below(4) == 0 {
            taken = state.part_of(offset, taken, taken);
        }
        if was_on {
            state.files[self.number].write(offset as usize, &bytes[..taken]);
        }
        outcome.map(|()| taken)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        state.check_room(self.number, len)?;
        state.change()?;
        let content = &mut state.files[self.number];
        content.live.resize(len as usize, 0);
        let sectors = (len as usize).div_ceil(SECTOR_BYTES);
        content.dirty.retain(|&sector| sector < sectors);
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let state = self.disk.lock_state();
        state.check_power()?;
        state.check_room(self.number, len)
    }

    fn sync(&self) -> io::Result<()> {
        let hook = self.disk.lock_state().on_sync.clone();
        if let Some(hook) = hook {
            hook(&self.path);
        }
        let mut state = self.disk.lock_state();
        state.syncs += 1;
        let outcome = state.change();
        match &outcome {
            Ok(()) => state.files[self.number].sync(),
            Err(_) if !state.is_off => {
                let mut random = Random(state.random.next());
                state.files[self.number].sync_badly(&mut random);
            }
            Err(_) => {}
        }
        outcome
    }
}

impl Lock for SimLock {
    fn sign(&self, word: &str) -> io::Result<()> {
        self.disk.lock_state().check_power()?;
        self.disk.put(&self.path, word.as_bytes());
        Ok(())
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock_state().locked.remove(&self.path);
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SimDisk")
    }
}

/// Random numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn power_cut() -> io::Error {
    io::Error::other("the disk is off")
}

fn device_error() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

#[cfg(test)]
mod tests;
