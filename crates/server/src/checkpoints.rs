//! The thread that writes checkpoints, and when it does. The journal sends it all that was applied, and now and then
//! what else a checkpoint needs; it answers with the position that the checkpoint reaches.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use longwire_broker::record::Position;
use longwire_net::mail::Sender;
use longwire_store::checkpoint::{Applied, Checkpointer, HandOver};
use longwire_store::journal::Journal;
use longwire_store::rows::RowsError;
use tracing::error;

use crate::journal::ToJournal;

/// A checkpoint is due after so many bytes of log: about what a restart has to read.
const BYTES_BETWEEN: u64 = 64 << 20;
/// Or after so long, if anything happened.
const TIME_BETWEEN: Duration = Duration::from_secs(10);
/// Letters on their way to the thread. When they are too many, the journal waits for it.
const LETTERS_MAX: usize = 64;

enum Letter {
    Applied(Vec<Applied>),
    Commit(HandOver),
}

/// The journal's side of it.
pub(crate) struct Checkpoints {
    letters: SyncSender<Letter>,
    thread: JoinHandle<()>,
    is_under_way: bool,
    /// Something was applied since the last one.
    has_news: bool,
    last_at: Instant,
    last_bytes: u64,
}

impl Checkpoints {
    /// Starts the thread, which answers by `journal`.
    pub(crate) fn start(
        checkpointer: Checkpointer,
        journal: Sender<ToJournal>,
    ) -> std::io::Result<Checkpoints> {
        let (letters, inbox) = mpsc::sync_channel(LETTERS_MAX);
        let thread = thread::Builder::new()
            .name("checkpoints".into())
            .spawn(move || write_all(checkpointer, &inbox, &journal))?;
        Ok(Checkpoints {
            letters,
            thread,
            is_under_way: false,
            has_news: false,
            last_at: Instant::now(),
            last_bytes: 0,
        })
    }

    /// Passes on what the journal applied, and asks for a checkpoint when one is due.
    pub(crate) fn go_on(&mut self, journal: &mut Journal) {
        let applied = journal.take_applied();
        if !applied.is_empty() {
            self.has_news = true;
            self.send(Letter::Applied(applied));
        }
        let is_due = journal.appended_bytes() - self.last_bytes >= BYTES_BETWEEN
            || self.last_at.elapsed() >= TIME_BETWEEN;
        if is_due && self.has_news && !self.is_under_way {
            self.ask(journal);
        }
    }

    /// How long the journal may sleep before [`Checkpoints::go_on`] has something to do.
    pub(crate) fn wait_max(&self) -> Option<Duration> {
        let left = TIME_BETWEEN.saturating_sub(self.last_at.elapsed());
        (self.has_news && !self.is_under_way).then_some(left)
    }

    /// A checkpoint was written, or could not be.
    pub(crate) fn written(&mut self, through: Option<Position>, journal: &mut Journal) {
        self.is_under_way = false;
        if let Some(through) = through {
            journal.checkpointed(through);
        }
    }

    /// Writes the last one, and ends the thread.
    pub(crate) fn finish(mut self, journal: &mut Journal) {
        let applied = journal.take_applied();
        self.send(Letter::Applied(applied));
        self.ask(journal);
        drop(self.letters);
        if self.thread.join().is_err() {
            error!("the thread of checkpoints had panicked: this is a bug, please report it");
        }
    }

    fn ask(&mut self, journal: &mut Journal) {
        self.is_under_way = true;
        self.has_news = false;
        self.last_at = Instant::now();
        self.last_bytes = journal.appended_bytes();
        self.send(Letter::Commit(journal.hand_over()));
    }

    /// The thread ends only after it said why; the log then keeps everything.
    fn send(&self, letter: Letter) {
        let _ = self.letters.send(letter);
    }
}

fn write_all(mut checkpointer: Checkpointer, letters: &Receiver<Letter>, journal: &Sender<ToJournal>) {
    while let Ok(letter) = letters.recv() {
        match letter {
            Letter::Applied(all) => {
                for applied in &all {
                    if let Err(cause) = checkpointer.apply(applied) {
                        return give_up(&cause);
                    }
                }
            }
            Letter::Commit(hand_over) => {
                let written = checkpointer.commit(hand_over);
                if let Err(cause) = &written {
                    error!(
                        %cause,
                        remedy = "make room on the disk, or check it",
                        "no checkpoint could be written; the log keeps everything meanwhile"
                    );
                }
                journal.send(ToJournal::Checkpointed(written.ok()));
            }
        }
    }
}

fn give_up(cause: &RowsError) {
    error!(
        %cause,
        remedy = "start the broker again; if this repeats, check the disk and report it",
        "checkpoints ended; the log keeps everything from here on"
    );
}
