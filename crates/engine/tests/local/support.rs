//! Folders, lanes and what is in them, in few words.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longwire_engine::disk::SimDisk;
use longwire_engine::local::{Durability, Folder, LocalLane, Options};
use longwire_engine::{Block, Lane, LaneError};

/// Where data lies on simulated disks.
pub(crate) const DATA: &str = "/data";

pub(crate) fn options(segment_bytes: u64) -> Options {
    Options {
        durability: Durability::Fsync,
        segment_bytes,
        bytes_max: u64::MAX,
        cache_bytes: 256,
        background: false,
    }
}

pub(crate) fn folder_on(disk: &SimDisk, options: Options) -> Folder {
    Folder::open(Arc::new(disk.clone()), Path::new(DATA), options).unwrap()
}

/// Folder and lane on a simulated disk.
pub(crate) fn lane_on(disk: &SimDisk, options: Options) -> (Folder, LocalLane) {
    let folder = folder_on(disk, options);
    let lane = folder.open_lane().unwrap();
    (folder, lane)
}

/// Everything that can be read from the first record on, and the ranges that are lost.
pub(crate) fn content(lane: &dyn Lane) -> (Vec<Block>, Vec<(u64, u64)>) {
    let (mut blocks, mut lost) = (Vec::new(), Vec::new());
    let mut position = lane.first();
    while position < lane.next() {
        match lane.read(position) {
            Ok(Some(block)) => {
                position = block.last() + 1;
                blocks.push(block);
            }
            Err(LaneError::Damaged { first, last }) => {
                position = last + 1;
                lost.push((first, last));
            }
            other => panic!("at {position}: {other:?}"),
        }
    }
    (blocks, lost)
}

/// A log of three commits on a disk, as a killed process leaves it, with what each commit holds.
pub(crate) fn three_commits(options: Options) -> (SimDisk, Vec<Block>) {
    let disk = SimDisk::new(7);
    let (folder, mut lane) = lane_on(&disk, options);
    for text in ["the first", "the second one", "the third"] {
        lane.append(text.as_bytes(), 2).unwrap();
        lane.commit().unwrap();
    }
    let blocks = content(&lane).0;
    drop((lane, folder));
    (disk.kill(), blocks)
}

/// A folder on a real disk that is gone afterwards.
pub(crate) struct RealFolder(pub(crate) PathBuf);

impl RealFolder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("longwire-engine-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        RealFolder(path)
    }
}

impl Drop for RealFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
