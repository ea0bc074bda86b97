//! The thread around [`longwire_store::journal`]: mail in, blocks to the lane, answers out. While one group of records
//! is being kept, the next gathers in the inbox; there is no timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longwire_net::mail::{BlockingInbox, Sender};
use longwire_store::journal::{Answers, Journal, Mail};
use tracing::error;

use crate::worker;

/// What the journal thread is sent.
#[derive(Debug)]
pub(crate) enum ToJournal {
    /// A shard's requests of one turn.
    Mail(Mail),
    /// Finish what was sent before, and end.
    Stop,
}

/// Bytes on their way to the journal and not yet kept, which hold publishers back when there are too many.
pub(crate) type Unkept = Arc<AtomicUsize>;

/// How soon a lane that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Starts the thread.
pub(crate) fn start(
    mut journal: Journal,
    mut inbox: BlockingInbox<ToJournal>,
    workers: Vec<Sender<worker::Mail>>,
    unkept: Unkept,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("journal".into()).spawn(move || {
        let mut letters = Vec::new();
        let mut answers: Answers = workers.iter().map(|_| Vec::new()).collect();
        loop {
            let timeout = if journal.is_idle() { None } else { Some(RETRY_AFTER) };
            inbox.wait_take(&mut letters, timeout);
            let stops = serve(&mut journal, &mut letters, &mut answers, &unkept);
            for (answer, worker) in answers.iter_mut().zip(&workers) {
                if !answer.is_empty() {
                    worker.send(worker::Mail::Journal(std::mem::take(answer)));
                }
            }
            if stops {
                return;
            }
        }
    })
}

/// Keeps and answers everything in `letters`; true if the last of them said to stop.
fn serve(
    journal: &mut Journal,
    letters: &mut Vec<ToJournal>,
    answers: &mut Answers,
    unkept: &Unkept,
) -> bool {
    let mut stops = false;
    let mut asks = Vec::new();
    let mut bytes = 0;
    for letter in letters.drain(..) {
        match letter {
            ToJournal::Mail(mail) => {
                bytes += mail.bytes();
                asks.extend(mail.asks.into_iter().map(|ask| (mail.from, ask)));
                journal.gather(mail.from, mail.keeps, mail.confirm);
            }
            ToJournal::Stop => stops = true,
        }
    }
    if let Err(cause) = journal.commit(answers) {
        error!(%cause, "the log took nothing; nothing is acknowledged until it does");
    }
    unkept.fetch_sub(bytes, Ordering::Relaxed);
    for (from, ask) in asks {
        journal.ask(from, ask, answers);
    }
    stops
}
