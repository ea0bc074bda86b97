//! The one door to the disk: everything that [`local`](crate::local) does with files goes through [`Disk`] and
//! [`DiskFile`]. [`RealDisk`] is the operating system's, [`SimDisk`] a disk in memory that forgets, tears and fails as
//! real ones do.
//!
//! The traits promise as little as a disk does. What was written is safe after [`DiskFile::sync`], and a name that was
//! made, changed or removed is after [`Disk::sync_folder`]; until then a crash may leave any part of it.

mod real;
mod simulated;

pub use real::RealDisk;
pub use simulated::{SECTOR_BYTES, SimDisk};

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Names and files.
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// Those of the disk; [`io::ErrorKind::NotFound`] if there is no such file.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file, in place of the one that may be there, and opens it.
    ///
    /// # Errors
    /// Those of the disk.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, in place of the file that may have it.
    ///
    /// # Errors
    /// Those of the disk.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Those of the disk.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Names of the files in a folder, in order.
    ///
    /// # Errors
    /// Those of the disk.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Makes a folder, and those above it, if they are not there.
    ///
    /// # Errors
    /// Those of the disk.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes the names in a folder survive a crash.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Locks a file, which is made if it is not there, against every other process for as long as what is returned
    /// lives; `None` if somebody else has it.
    ///
    /// # Errors
    /// Those of the disk.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;

    /// A number that nobody can guess.
    ///
    /// # Errors
    /// Those of the source of random numbers.
    fn random(&self) -> io::Result<u64>;
}

/// An open file, which several threads may use at once.
#[allow(clippy::len_without_is_empty)]
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Length in bytes.
    ///
    /// # Errors
    /// Those of the disk.
    fn len(&self) -> io::Result<u64>;

    /// Reads bytes at `offset`, at least one unless the file ends there, and perhaps fewer than there is room for.
    ///
    /// # Errors
    /// Those of the disk.
    fn read_at(&self, offset: u64, room: &mut [u8]) -> io::Result<usize>;

    /// Writes bytes at `offset`, at least one, and perhaps fewer than given.
    ///
    /// # Errors
    /// Those of the disk; nothing is known of the bytes then.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file, or makes it longer by zeros.
    ///
    /// # Errors
    /// Those of the disk.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes sure that there is room for `len` bytes, so that a full disk is known before anything is written.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] if there is not, and others of the disk.
    fn reserve(&self, len: u64) -> io::Result<()>;

    /// Makes what was written survive a crash.
    ///
    /// # Errors
    /// Those of the disk. What was written since the sync before may then be lost for good, although it can still be
    /// read, and syncing again proves nothing.
    fn sync(&self) -> io::Result<()>;
}

/// A lock that ends when it is dropped.
pub trait Lock: Send + Sync + fmt::Debug {
    /// Leaves a word in the locked file for those who find it locked.
    ///
    /// # Errors
    /// Those of the disk.
    fn sign(&self, word: &str) -> io::Result<()>;
}

/// Writes all of `bytes`.
pub(crate) fn write_all(file: &dyn DiskFile, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written..];
                offset += written as u64;
            }
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

/// Reads until `room` is full or the file ends, and tells how many bytes that were.
pub(crate) fn read_up_to(file: &dyn DiskFile, offset: u64, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < room.len() {
        match file.read_at(offset + filled as u64, &mut room[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(filled)
}

/// The bytes of a small file; at most `bytes_max` of them.
pub(crate) fn read_small(disk: &dyn Disk, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; bytes_max];
    let filled = read_up_to(&*disk.open(path)?, 0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Puts a whole file in place of the one that may be there: after a crash it is the old one or the new one.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("tmp");
    let file = disk.create(&fresh)?;
    write_all(&*file, 0, bytes)?;
    file.sync()?;
    disk.rename(&fresh, path)?;
    disk.sync_folder(path.parent().unwrap_or(path))
}
