//! What a broker stands on: a folder of its own, or nothing but memory. Opened before anything else, and read to the end,
//! so that clients find what they left.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longwire_broker::address::HashKey;
use longwire_broker::kept::{KeptGroup, KeptSession};
use longwire_broker::limits::Limits;
use longwire_broker::message::Message;
use longwire_engine::disk::RealDisk;
use longwire_engine::local::{self, Folder, Recovery, State, Watch};
use longwire_engine::memory::MemoryLog;
use longwire_store::checkpoint::Checkpointer;
use longwire_store::journal::Journal;
use longwire_store::recover::{self, Recovered};
use tracing::{error, info, warn};

use crate::StartError;
use crate::settings::{Durability, Origin, Settings};

/// Bytes above `journal_bytes_max` that may still arrive after publishers were told that the log is full.
const LOG_BYTES_SLACK: u64 = 1 << 30;

/// The ground, and what was found on it.
pub(crate) struct Ground {
    pub(crate) journal: Journal,
    /// `None` in memory, where no checkpoint would survive.
    pub(crate) checkpointer: Option<Checkpointer>,
    pub(crate) key: HashKey,
    pub(crate) sessions: Vec<KeptSession>,
    pub(crate) groups: Vec<KeptGroup>,
    pub(crate) retained: Vec<Arc<Message>>,
    /// `None` in memory.
    pub(crate) disk: Option<DiskReport>,
}

/// Tells the operator of a disk that fails, once for each thing.
pub(crate) struct DiskReport {
    watch: Watch,
    /// Keeps other processes out as long as the journal runs.
    _held: Folder,
    folder: PathBuf,
    told: u64,
    has_failed: bool,
}

/// Opens the ground that the settings name. `key` is used where nothing was kept before.
pub(crate) fn open(settings: &Settings, key: HashKey) -> Result<Ground, StartError> {
    let durability = match settings.durability {
        Durability::Os => local::Durability::Os,
        Durability::Fsync => local::Durability::Fsync,
    };
    let Some(folder) = settings.data.clone() else { return Ok(in_memory(&settings.limits, key)) };
    on_disk(&folder, durability, settings, key).map_err(|cause| StartError::Data { folder, cause })
}

fn in_memory(limits: &Limits, key: HashKey) -> Ground {
    warn!(
        remedy = "name a folder: --data ./longwire-data",
        "no data folder: everything is kept in memory, nothing survives a restart"
    );
    let lane = MemoryLog::new(limits.journal_bytes_max as u64 + LOG_BYTES_SLACK).open();
    Ground {
        journal: Journal::new(Box::new(lane), key, limits),
        checkpointer: None,
        key,
        sessions: Vec::new(),
        groups: Vec::new(),
        retained: Vec::new(),
        disk: None,
    }
}

fn on_disk(
    path: &Path,
    durability: local::Durability,
    settings: &Settings,
    key: HashKey,
) -> Result<Ground, Box<dyn Error + Send + Sync>> {
    let mut limits = settings.limits.clone();
    if *settings.origin("limits.journal_bytes_max") == Origin::Default {
        limits.journal_bytes_max = share_of_volume(path)?;
    }
    let options = local::Options {
        durability,
        bytes_max: limits.journal_bytes_max as u64 + LOG_BYTES_SLACK,
        ..local::Options::default()
    };
    let folder = Folder::open(Arc::new(RealDisk), path, options)?;
    let lane = folder.open_lane()?;
    tell_torn(lane.recovery());
    let table = folder.open_table()?;
    let mut disk = DiskReport {
        watch: folder.watch(),
        _held: folder.clone(),
        folder: path.to_owned(),
        told: 0,
        has_failed: false,
    };
    disk.tell_news();
    let shards = settings.workers.max(1) as u16;
    let Recovered { journal, checkpointer, key, sessions, groups, retained, replayed } =
        recover::recover(Box::new(lane), Box::new(table), &limits, key, shards)?;
    info!(
        data = %path.display(),
        sessions = sessions.len(),
        retained = retained.len(),
        replayed,
        "data is at hand"
    );
    Ok(Ground {
        journal,
        checkpointer: Some(checkpointer),
        key,
        sessions,
        groups,
        retained,
        disk: Some(disk),
    })
}

/// Bytes that the log may take unless the operator says otherwise: four fifths of the volume.
fn share_of_volume(path: &Path) -> Result<usize, Box<dyn Error + Send + Sync>> {
    std::fs::create_dir_all(path)?;
    let volume = rustix::fs::statvfs(path)?;
    Ok((volume.f_blocks.saturating_mul(volume.f_frsize) / 5 * 4) as usize)
}

fn tell_torn(recovery: &Recovery) {
    if recovery.torn_bytes > 0 {
        info!(
            bytes = recovery.torn_bytes,
            "the end of the log was being written when the broker last ended; none of it was acknowledged"
        );
    }
}

impl DiskReport {
    /// Tells what was not told yet.
    pub(crate) fn tell_news(&mut self) {
        let status = self.watch.status();
        for damage in status.damages.iter().skip(self.told as usize) {
            error!(
                %damage,
                remedy = %format_args!(
                    "check the disk; copies of damaged parts are in {}", self.folder.join("quarantine").display()
                ),
                "the data folder is damaged"
            );
        }
        self.told = status.damages.len() as u64;
        if let State::Failed(why) = status.state
            && !std::mem::replace(&mut self.has_failed, true)
        {
            error!(
                why,
                remedy = "nothing is acknowledged any more: replace the disk, and start the broker on a copy of the folder",
                "the disk has failed"
            );
        }
    }
}
