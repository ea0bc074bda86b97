//! What survives, written once above the engine.
//!
//! [`journal::Journal`] keeps the records that shards ask to keep, applies them in log order, hands kept messages to
//! live receivers, and reads pages for those that are behind. Its promises:
//!
//! - All records of one ticket are in one block: kept together or not at all.
//! - A ticket is confirmed only after everything before it in the log is durable and applied.
//! - A receiver gets every message that matched one of its subscriptions since the place of that subscription in the
//!   log, in log order, until it says that it needs it no more.
//! - A message is stored once, however many receivers want it.
//!
//! [`checkpoint::Checkpointer`] condenses the log into rows of a table, and [`recover::recover`] brings both back after
//! a restart.

mod block;
pub mod checkpoint;
pub mod journal;
pub mod ledger;
mod postings;
pub mod recover;
pub mod rows;
