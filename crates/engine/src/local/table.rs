//! The table in `state.redb`. What was put since the last commit waits in memory and is written in one transaction, with
//! quick repair, so that reopening after a crash takes no longer than reopening after a stop.
//!
//! Copies are made when the owner asks for one, which is after a checkpoint: between two commits the file does not change,
//! so its bytes are copied. The two newest stay as `state.1.redb` and `state.2.redb`. An opening that finds the table
//! damaged puts it into `quarantine/` and goes on with the newest copy that is whole, or with nothing.
//!
//! Invariant: each row carries a checksum over key, revision and value, and none is given out without it being right.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use redb::{Builder, Database, ReadableDatabase, StorageBackend, TableDefinition};

use super::folder::{FolderError, lock};
use super::status::{Damage, Watch};
use crate::disk::{self, Disk, DiskFile};
use crate::{Expected, Page, Revision, Table, TableError, Value};

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const REVISION: &str = "revision";

/// Bytes of a row in front of its value: checksum and revision.
const ROW_HEAD_BYTES: usize = 12;

/// Memory that redb may use to hold pages.
const CACHE_BYTES: usize = 16 << 20;

/// Bytes copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// The table, and the copies of it from the newest to the oldest.
const FILES: [&str; 3] = ["state.redb", "state.1.redb", "state.2.redb"];

/// The writer's handle to the table of a [`Folder`](super::Folder).
#[derive(Debug)]
pub struct LocalTable {
    epoch: u64,
    shared: Arc<Mutex<OpenTable>>,
}

/// The table as it is open, for the handle with the newest epoch.
#[derive(Debug, Default)]
pub(crate) struct OpenTable {
    epoch: u64,
    rows: Option<Rows>,
}

#[derive(Debug)]
struct Rows {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    watch: Watch,
    /// Not there after an error, until it is opened again.
    database: Option<Database>,
    /// Written since the last commit; `None` for what was deleted.
    unwritten: BTreeMap<Box<[u8]>, Option<Value>>,
    revision: Revision,
}

/// A file as redb sees it.
#[derive(Debug)]
struct Backend {
    file: Arc<dyn DiskFile>,
    /// The disk refused something, so what redb says about the file proves nothing.
    has_failed: Arc<AtomicBool>,
}

/// Why a file could not be opened as a table.
enum Unopened {
    Damaged(String),
    Io(io::Error),
}

impl LocalTable {
    pub(crate) fn new(epoch: u64, shared: Arc<Mutex<OpenTable>>) -> Self {
        LocalTable { epoch, shared }
    }

    /// Works on the rows if this handle is still the writer.
    fn with<T>(&self, work: impl FnOnce(&mut Rows) -> Result<T, TableError>) -> Result<T, TableError> {
        let mut open = lock(&self.shared);
        if open.epoch != self.epoch {
            return Err(TableError::Fenced);
        }
        open.rows.as_mut().map_or(Err(TableError::Fenced), work)
    }
}

impl Table for LocalTable {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TableError> {
        self.with(|rows| rows.value(key))
    }

    fn put(&mut self, key: &[u8], value: &[u8], expected: Expected) -> Result<Revision, TableError> {
        self.with(|rows| {
            rows.check(key, expected)?;
            rows.revision += 1;
            let value = Value { bytes: value.into(), revision: rows.revision };
            rows.unwritten.insert(key.into(), Some(value));
            Ok(rows.revision)
        })
    }

    fn delete(&mut self, key: &[u8], expected: Expected) -> Result<bool, TableError> {
        self.with(|rows| {
            rows.check(key, expected)?;
            let existed = rows.value(key)?.is_some();
            if existed {
                rows.unwritten.insert(key.into(), None);
            }
            Ok(existed)
        })
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, rows_max: usize) -> Result<Page, TableError> {
        self.with(|rows| rows.scan(prefix, after, rows_max))
    }

    fn commit(&mut self) -> Result<(), TableError> {
        self.with(Rows::commit)
    }

    fn keep_copy(&mut self) -> Result<(), TableError> {
        self.with(Rows::keep_copy)
    }
}

impl OpenTable {
    /// Closes what is open, with everything that was not committed, and opens it for the handle with this epoch.
    pub(crate) fn reopen(
        &mut self,
        disk: &Arc<dyn Disk>,
        folder: &Path,
        watch: &Watch,
        epoch: u64,
    ) -> Result<(), FolderError> {
        self.rows = None;
        self.epoch = epoch;
        let mut rows = Rows {
            disk: Arc::clone(disk),
            folder: folder.to_owned(),
            watch: watch.clone(),
            database: None,
            unwritten: BTreeMap::new(),
            revision: 0,
        };
        let io = |cause| FolderError::Io { path: folder.join(FILES[0]), cause };
        rows.open_any().map_err(io)?;
        let newest = rows.committed_revision().map_err(|cause| io(io::Error::other(cause)))?;
        // What was given out and not committed is not known here; nothing is given twice all the same.
        rows.revision = newest.max(epoch << 32);
        self.rows = Some(rows);
        Ok(())
    }
}

impl Rows {
    // --- opening

    /// Opens the table, or the newest copy that is whole in its place, or an empty one.
    fn open_any(&mut self) -> io::Result<()> {
        let mut is_whole = true;
        for name in FILES {
            let path = self.folder.join(name);
            match self.open_file(&path, false) {
                Ok(None) => {}
                Ok(Some(database)) => {
                    if name == FILES[0] {
                        self.database = Some(database);
                        return Ok(());
                    }
                    drop(database);
                    if is_whole {
                        self.tell(&self.folder.join(FILES[0]), "it is missing");
                    }
                    self.tell(&path, "this copy took the place of the table, which lacks what came after it");
                    self.copy(&path, &self.folder.join(FILES[0]))?;
                    return self.open_again();
                }
                Err(Unopened::Io(cause)) => return Err(cause),
                Err(Unopened::Damaged(why)) => {
                    is_whole = false;
                    self.tell(&path, &format!("it is damaged ({why}) and was put into quarantine"));
                    self.quarantine(&path, name)?;
                }
            }
        }
        if !is_whole {
            self.tell(&self.folder.join(FILES[0]), "no copy is whole; the table begins empty");
        }
        self.make_empty()
    }

    fn open_again(&mut self) -> io::Result<()> {
        match self.open_file(&self.folder.join(FILES[0]), false) {
            Ok(Some(database)) => self.database = Some(database),
            Ok(None) => return Err(io::ErrorKind::NotFound.into()),
            Err(Unopened::Io(cause)) => return Err(cause),
            Err(Unopened::Damaged(why)) => return Err(io::Error::other(why)),
        }
        Ok(())
    }

    /// Opens a file as a table; `None` if it is not there.
    fn open_file(&self, path: &Path, is_new: bool) -> Result<Option<Database>, Unopened> {
        let opened = if is_new { self.disk.create(path) } else { self.disk.open(path) };
        let file = match opened {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Unopened::Io(cause)),
        };
        if !is_new && file.len().map_err(Unopened::Io)? == 0 {
            return Err(Unopened::Damaged("it is empty".into()));
        }
        let has_failed = Arc::new(AtomicBool::new(false));
        let backend = Backend { file, has_failed: Arc::clone(&has_failed) };
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(!is_new)
            .create_with_backend(backend);
        database.map(Some).map_err(|cause| {
            if has_failed.load(Ordering::Acquire) {
                Unopened::Io(io::Error::other(cause))
            } else {
                Unopened::Damaged(cause.to_string())
            }
        })
    }

    /// Makes an empty table under another name first, so that a half-made one is never taken for a damaged one.
    fn make_empty(&mut self) -> io::Result<()> {
        let path = self.folder.join(FILES[0]);
        let unready = path.with_extension("tmp");
        match self.open_file(&unready, true) {
            Ok(Some(database)) => write(&database, &BTreeMap::new(), 0).map_err(io::Error::other)?,
            Ok(None) => return Err(io::ErrorKind::NotFound.into()),
            Err(Unopened::Io(cause)) => return Err(cause),
            Err(Unopened::Damaged(why)) => return Err(io::Error::other(why)),
        }
        self.disk.open(&unready)?.sync()?;
        self.disk.rename(&unready, &path)?;
        self.disk.sync_folder(&self.folder)?;
        self.open_again()
    }

    fn quarantine(&self, path: &Path, name: &str) -> io::Result<()> {
        let folder = self.folder.join("quarantine");
        self.disk.make_folder(&folder)?;
        let count = self.disk.list(&folder)?.iter().filter(|place| place.ends_with(name)).count();
        self.disk.rename(path, &folder.join(format!("{}-{name}", count + 1)))?;
        self.disk.sync_folder(&folder)?;
        self.disk.sync_folder(&self.folder)
    }

    fn tell(&self, file: &Path, what: &str) {
        let file = file.to_owned();
        self.watch.damage(Damage { file, offset: 0, bytes: 0, lost: None, what: what.to_owned() });
    }

    /// The open database, opened again if an error closed it.
    fn database(&mut self) -> Result<&Database, TableError> {
        if self.database.is_none() {
            self.open_again()?;
        }
        self.database.as_ref().ok_or_else(|| TableError::Io(io::ErrorKind::NotFound.into()))
    }

    /// What went wrong inside redb. It refuses everything after an error, so it has to be opened again.
    fn failed(&mut self, cause: redb::Error) -> TableError {
        self.database = None;
        table_error(cause)
    }

    // --- reading

    fn value(&mut self, key: &[u8]) -> Result<Option<Value>, TableError> {
        if let Some(unwritten) = self.unwritten.get(key) {
            return Ok(unwritten.clone());
        }
        let found = stored(self.database()?, key).map_err(|cause| self.failed(cause))?;
        found.map(|row| self.whole(key, &row)).transpose()
    }

    fn check(&mut self, key: &[u8], expected: Expected) -> Result<(), TableError> {
        let found = match expected {
            Expected::Anything => return Ok(()),
            Expected::Nothing | Expected::Revision(_) => self.value(key)?.map(|value| value.revision),
        };
        let wanted = match expected {
            Expected::Revision(revision) => Some(revision),
            Expected::Nothing | Expected::Anything => None,
        };
        if found == wanted { Ok(()) } else { Err(TableError::Conflict { found }) }
    }

    fn scan(&mut self, prefix: &[u8], after: Option<&[u8]>, rows_max: usize) -> Result<Page, TableError> {
        let mut rows = Vec::new();
        let mut start = match after {
            Some(key) if key >= prefix => Bound::Excluded(key.to_vec()),
            _ => Bound::Included(prefix.to_vec()),
        };
        // Rows that were deleted and are still stored make a page of the file shorter than one of the table.
        loop {
            let wanted = rows_max.saturating_add(1) - rows.len();
            let database = self.database()?;
            let (page, is_last) =
                stored_page(database, prefix, &start, wanted).map_err(|cause| self.failed(cause))?;
            let end = match page.last() {
                Some((key, _)) if !is_last => Bound::Included(key.clone()),
                _ => Bound::Unbounded,
            };
            self.merge(prefix, (start, end.clone()), page, &mut rows)?;
            match end {
                Bound::Included(key) if rows.len() <= rows_max => start = Bound::Excluded(key),
                _ => break,
            }
        }
        let more = rows.len() > rows_max;
        rows.truncate(rows_max);
        Ok(Page { rows, more })
    }

    /// Puts stored rows and those that were not written yet together, in key order.
    fn merge(
        &self,
        prefix: &[u8],
        range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        page: Vec<(Vec<u8>, Vec<u8>)>,
        rows: &mut Vec<(Box<[u8]>, Value)>,
    ) -> Result<(), TableError> {
        let mut merged: BTreeMap<Box<[u8]>, Value> = BTreeMap::new();
        for (key, row) in page {
            if !self.unwritten.contains_key(&*key) {
                let value = self.whole(&key, &row)?;
                merged.insert(key.into(), value);
            }
        }
        let bounds = (range.0.as_ref().map(Vec::as_slice), range.1.as_ref().map(Vec::as_slice));
        let unwritten =
            self.unwritten.range::<[u8], _>(bounds).take_while(|(key, _)| key.starts_with(prefix));
        for (key, value) in unwritten {
            if let Some(value) = value {
                merged.insert(key.clone(), value.clone());
            }
        }
        rows.extend(merged);
        Ok(())
    }

    fn committed_revision(&mut self) -> Result<Revision, redb::Error> {
        let Some(database) = &self.database else { return Ok(0) };
        let revision = database.begin_read()?.open_table(META)?.get(REVISION)?;
        Ok(revision.map_or(0, |revision| revision.value()))
    }

    /// The value in a row, if the row is as it was written.
    fn whole(&self, key: &[u8], row: &[u8]) -> Result<Value, TableError> {
        let value = decode_row(key, row);
        value.ok_or_else(|| {
            let what = "a row is not as it was written";
            self.tell(&self.folder.join(FILES[0]), what);
            TableError::Io(io::Error::new(io::ErrorKind::InvalidData, what))
        })
    }

    // --- writing

    fn commit(&mut self) -> Result<(), TableError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let unwritten = mem::take(&mut self.unwritten);
        let revision = self.revision;
        let written = self.database().map(|database| write(database, &unwritten, revision));
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => {
                self.unwritten = unwritten;
                Err(self.failed(cause))
            }
            Err(cause) => {
                self.unwritten = unwritten;
                Err(cause)
            }
        }
    }

    fn keep_copy(&mut self) -> Result<(), TableError> {
        let [table, newer, older] = FILES.map(|name| self.folder.join(name));
        let unready = newer.with_extension("tmp");
        // A database that an error closed is opened first, so that what is copied is known to be whole.
        self.database()?;
        self.copy_bytes(&table, &unready)?;
        match self.disk.rename(&newer, &older) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause.into()),
            _ => {}
        }
        self.disk.rename(&unready, &newer)?;
        Ok(self.disk.sync_folder(&self.folder)?)
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let unready = to.with_extension("tmp");
        self.copy_bytes(from, &unready)?;
        self.disk.rename(&unready, to)?;
        self.disk.sync_folder(&self.folder)
    }

    fn copy_bytes(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.disk.open(from)?, self.disk.create(to)?);
        let length = from.len()?;
        let mut bytes = vec![0; COPY_BYTES.min(length) as usize];
        let mut offset = 0;
        while offset < length {
            let read = disk::read_up_to(&*from, offset, &mut bytes)?;
            disk::write_all(&*to, offset, &bytes[..read])?;
            offset += read.max(1) as u64;
        }
        to.sync()
    }
}

fn stored(database: &Database, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
    let table = database.begin_read()?.open_table(ROWS)?;
    Ok(table.get(key)?.map(|row| row.value().to_vec()))
}

/// Keys with their rows, as they are stored.
type StoredRows = Vec<(Vec<u8>, Vec<u8>)>;

/// Stored rows from `start` on, and whether they are the last ones with the prefix.
fn stored_page(
    database: &Database,
    prefix: &[u8],
    start: &Bound<Vec<u8>>,
    rows_max: usize,
) -> Result<(StoredRows, bool), redb::Error> {
    let table = database.begin_read()?.open_table(ROWS)?;
    let bounds = (start.as_ref().map(Vec::as_slice), Bound::Unbounded);
    let mut page = Vec::new();
    for row in table.range::<&[u8]>(bounds)? {
        let (key, row) = row?;
        if !key.value().starts_with(prefix) {
            break;
        }
        page.push((key.value().to_vec(), row.value().to_vec()));
        if page.len() == rows_max {
            return Ok((page, false));
        }
    }
    Ok((page, true))
}

fn write(
    database: &Database,
    rows: &BTreeMap<Box<[u8]>, Option<Value>>,
    revision: Revision,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    {
        let mut table = transaction.open_table(ROWS)?;
        for (key, value) in rows {
            match value {
                Some(value) => table.insert(&**key, &*encode_row(key, value))?,
                None => table.remove(&**key)?,
            };
        }
        transaction.open_table(META)?.insert(REVISION, revision)?;
    }
    Ok(transaction.commit()?)
}

fn encode_row(key: &[u8], value: &Value) -> Vec<u8> {
    let mut row = Vec::with_capacity(ROW_HEAD_BYTES + value.bytes.len());
    row.extend_from_slice(&[0; 4]);
    row.extend_from_slice(&value.revision.to_le_bytes());
    row.extend_from_slice(&value.bytes);
    let crc = crc32c::crc32c_append(crc32c::crc32c(key), &row[4..]);
    row[..4].copy_from_slice(&crc.to_le_bytes());
    row
}

fn decode_row(key: &[u8], row: &[u8]) -> Option<Value> {
    let (crc, rest) = row.split_first_chunk::<4>()?;
    let (revision, bytes) = rest.split_first_chunk::<8>()?;
    let is_whole = crc32c::crc32c_append(crc32c::crc32c(key), rest) == u32::from_le_bytes(*crc);
    is_whole.then(|| Value { bytes: bytes.into(), revision: u64::from_le_bytes(*revision) })
}

fn table_error(cause: redb::Error) -> TableError {
    match cause {
        redb::Error::Io(cause) if cause.kind() == io::ErrorKind::StorageFull => TableError::Full,
        redb::Error::Io(cause) => TableError::Io(cause),
        other => TableError::Io(io::Error::other(other)),
    }
}

impl Backend {
    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.has_failed.store(true, Ordering::Release);
        }
        result
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.noted(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.noted(disk::read_up_to(&*self.file, offset, out))?;
        if read == out.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.noted(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.noted(self.file.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.noted(disk::write_all(&*self.file, offset, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_validates_as_a_whole_and_only_under_its_key() {
        let value = Value { bytes: b"value"[..].into(), revision: 7 };
        let mut row = encode_row(b"key", &value);
        assert_eq!(decode_row(b"key", &row), Some(value));
        assert_eq!(decode_row(b"kez", &row), None);
        for at in 0..row.len() {
            row[at] ^= 1;
            assert_eq!(decode_row(b"key", &row), None, "byte {at}");
            row[at] ^= 1;
        }
    }
}
