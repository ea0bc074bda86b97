//! The thread around [`longwire_store::journal`]: mail in, blocks to the lane, answers out. While one group of records
//! is being kept, the next gathers in the inbox; there is no timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longwire_broker::record::Position;
use longwire_net::mail::{BlockingInbox, Sender};
use longwire_store::journal::{Answers, Journal, Mail};
use tracing::{error, info};

use crate::checkpoints::Checkpoints;
use crate::ground::DiskReport;
use crate::worker;

/// What the journal thread is sent.
#[derive(Debug)]
pub(crate) enum ToJournal {
    /// A shard's requests of one turn.
    Mail(Mail),
    /// A checkpoint reaches this position, or could not be written.
    Checkpointed(Option<Position>),
    /// Finish what was sent before, and end.
    Stop,
}

/// Bytes on their way to the journal and not yet kept, which hold publishers back when there are too many.
pub(crate) type Unkept = Arc<AtomicUsize>;

/// How soon a lane that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// A journal and what its thread has to remember.
struct Keeper {
    journal: Journal,
    /// `None` where no checkpoint would survive.
    checkpoints: Option<Checkpoints>,
    /// `None` in memory.
    disk: Option<DiskReport>,
    unkept: Unkept,
    /// Bytes of records that the log has not taken yet; a part of `unkept`.
    gathered_bytes: usize,
    /// The log took nothing when it was last asked.
    is_failing: bool,
}

/// Starts the thread.
pub(crate) fn start(
    journal: Journal,
    checkpoints: Option<Checkpoints>,
    disk: Option<DiskReport>,
    mut inbox: BlockingInbox<ToJournal>,
    workers: Vec<Sender<worker::Mail>>,
    unkept: Unkept,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("journal".into()).spawn(move || {
        let mut letters = Vec::new();
        let mut answers: Answers = workers.iter().map(|_| Vec::new()).collect();
        let mut keeper = Keeper { journal, checkpoints, disk, unkept, gathered_bytes: 0, is_failing: false };
        loop {
            inbox.wait_take(&mut letters, keeper.wait_max());
            let stops = keeper.serve(&mut letters, &mut answers);
            for (answer, worker) in answers.iter_mut().zip(&workers) {
                if !answer.is_empty() {
                    worker.send(worker::Mail::Journal(std::mem::take(answer)));
                }
            }
            if stops {
                return keeper.finish();
            }
        }
    })
}

impl Keeper {
    fn wait_max(&self) -> Option<Duration> {
        let retry = (!self.journal.is_idle()).then_some(RETRY_AFTER);
        let checkpoint = self.checkpoints.as_ref().and_then(Checkpoints::wait_max);
        retry.into_iter().chain(checkpoint).min()
    }

    /// After this nothing is left to replay.
    fn finish(mut self) {
        if let Some(checkpoints) = self.checkpoints {
            checkpoints.finish(&mut self.journal);
        }
    }

    /// Keeps and answers everything in `letters`; true if the last of them said to stop.
    fn serve(&mut self, letters: &mut Vec<ToJournal>, answers: &mut Answers) -> bool {
        let mut stops = false;
        let mut asks = Vec::new();
        for letter in letters.drain(..) {
            match letter {
                ToJournal::Mail(mail) => {
                    self.gathered_bytes += mail.bytes();
                    asks.extend(mail.asks.into_iter().map(|ask| (mail.from, ask)));
                    self.journal.gather(mail.from, mail.keeps, mail.confirm);
                }
                ToJournal::Checkpointed(through) => {
                    if let Some(checkpoints) = &mut self.checkpoints {
                        checkpoints.written(through, &mut self.journal);
                    }
                    self.tell_of_disk();
                }
                ToJournal::Stop => stops = true,
            }
        }
        self.commit(answers);
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.go_on(&mut self.journal);
        }
        for (from, ask) in asks {
            self.journal.ask(from, ask, answers);
        }
        stops
    }

    /// What a failing log does not take goes on holding publishers back. It is told of once, and once that it is over.
    fn commit(&mut self, answers: &mut Answers) {
        match self.journal.commit(answers) {
            Ok(()) => {
                self.unkept.fetch_sub(std::mem::take(&mut self.gathered_bytes), Ordering::Relaxed);
                if std::mem::take(&mut self.is_failing) {
                    info!("the log takes records again");
                }
            }
            Err(cause) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    error!(%cause, "the log took nothing; nothing is acknowledged until it does");
                }
                self.tell_of_disk();
            }
        }
    }

    fn tell_of_disk(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.tell_news();
        }
    }
}

#[cfg(test)]
mod tests {
    use longwire_broker::address::{HashKey, SessionRef};
    use longwire_broker::limits::Limits;
    use longwire_broker::record::Record;
    use longwire_engine::memory::MemoryLog;

    use super::*;

    #[test]
    fn what_a_failing_log_did_not_take_stays_unkept() {
        let session = SessionRef { slot: 0, generation: 0, shard: 0 };
        let keeps = vec![(1, Record::SessionEnded { session })];
        let mail = Mail { from: 0, keeps, confirm: 0, asks: vec![] };
        let bytes = mail.bytes();
        let unkept = Arc::new(AtomicUsize::new(bytes));
        let lane = Box::new(MemoryLog::new(1).open());
        let journal = Journal::new(lane, HashKey(1, 2), &Limits::default());
        let mut keeper = Keeper {
            journal,
            checkpoints: None,
            disk: None,
            unkept: Arc::clone(&unkept),
            gathered_bytes: 0,
            is_failing: false,
        };
        keeper.serve(&mut vec![ToJournal::Mail(mail)], &mut vec![vec![]]);
        assert_eq!(unkept.load(Ordering::Relaxed), bytes);
    }
}
