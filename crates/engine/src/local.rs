//! The ground on local files: a [`Folder`] that one process has to itself, with the lane as segment files and the
//! table as a redb file in it.
//!
//! | file | holds | written by |
//! |---|---|---|
//! | `LOCK` | the number of the process that has the folder | `folder` |
//! | `FORMAT` | version of all of this, number of openings | `folder` |
//! | `log/*.log` | the lane: frames in segments | `log`, `recovery`, `chores` |
//! | `state.redb`, `state.1.redb`, `state.2.redb` | the table and two copies from before | `table` |
//! | `quarantine/` | copies of damaged parts, for whoever investigates | `recovery`, `log` |
//!
//! `docs/internals/disk-format.md` has every byte. Invariant: with [`Durability::Fsync`] nothing is reported durable that
//! a power cut could take away, and nothing that was reported durable goes without being named in [`Status`].

mod chores;
mod folder;
mod frame;
mod log;
mod pages;
mod recovery;
mod segment;
mod status;
mod table;
mod walk;

pub use folder::{Folder, FolderError};
pub use log::LocalLane;
pub use recovery::Recovery;
pub use status::{Counters, Damage, State, Status, Watch};
pub use table::LocalTable;

/// What being durable means. To keep nothing at all, use [`MemoryLog`](crate::memory::MemoryLog).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Survives a power cut: every commit is synced.
    #[default]
    Fsync,
    /// Survives the end of the process, however it ends: every commit is handed to the operating system.
    Os,
}

/// How the lane in a [`Folder`] is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What being durable means.
    pub durability: Durability,
    /// Size of a segment file. Blocks are let go by whole segments, so a log that is to stay small needs small ones.
    pub segment_bytes: u64,
    /// The lane refuses blocks beyond this.
    pub bytes_max: u64,
    /// Blocks up to this many bytes, the newest, are read without touching a file. What was read from files takes as
    /// much again.
    pub cache_bytes: u64,
    /// Segments are prepared, sealed and removed by a thread. Without it that happens inside
    /// [`commit`](crate::Lane::commit) and [`trim`](crate::Lane::trim), in an order that a simulation can repeat.
    pub background: bool,
}

/// The least a segment can be.
pub const SEGMENT_BYTES_MIN: u64 = 8192;

impl Default for Options {
    fn default() -> Self {
        Options {
            durability: Durability::Fsync,
            segment_bytes: 64 << 20,
            bytes_max: u64::MAX,
            cache_bytes: 8 << 20,
            background: true,
        }
    }
}
