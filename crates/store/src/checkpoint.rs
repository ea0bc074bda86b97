//! Checkpoints: what the log says, condensed into rows, so that the log behind them may go and a restart reads little.
//!
//! A [`Checkpointer`] gets every record that the journal applied, in log order, and writes what they came to when the
//! journal hands over the rest: postings, and how far groups are finished. All of it becomes durable in one commit of
//! the table, together with the position up to which it reaches. It works beside the journal, on a thread of its own
//! where there is one.

use longwire_broker::address::GroupRef;
use longwire_broker::record::{Position, Record};
use longwire_engine::Table;

use crate::ledger::Ledger;
use crate::postings::{FilterChange, PostingChange};
use crate::rows::{Meta, Moves, RowsError, RowsMut, TableRows};

/// Records that the journal has applied, from the first position on.
#[derive(Debug)]
pub struct Applied {
    pub(crate) first: Position,
    pub(crate) records: Vec<Record>,
}

/// What a checkpoint needs beside the records up to its place.
#[derive(Debug)]
pub struct HandOver {
    /// The place.
    pub(crate) through: Position,
    pub(crate) postings: Vec<PostingChange>,
    /// Groups, with the positions up to which all is finished.
    pub(crate) settled: Vec<(GroupRef, Position)>,
}

/// Writes checkpoints.
pub struct Checkpointer {
    table: Box<dyn Table>,
    pub(crate) ledger: Ledger,
    pub(crate) meta: Meta,
    /// Changes of postings that no commit has taken yet.
    postings: Vec<PostingChange>,
    /// Changes of rows about moved addresses, as well; `None` removes one.
    pub(crate) moves: Vec<(Position, Option<Moves>)>,
}

impl Checkpointer {
    pub(crate) fn new(table: Box<dyn Table>, meta: Meta) -> Self {
        Checkpointer { table, ledger: Ledger::default(), meta, postings: Vec::new(), moves: Vec::new() }
    }

    /// Takes in what the journal applied.
    ///
    /// # Errors
    /// [`RowsError`] if a row that it builds on cannot be read.
    pub fn apply(&mut self, applied: &Applied) -> Result<(), RowsError> {
        for (position, record) in (applied.first..).zip(&applied.records) {
            self.apply_one(position, record)?;
        }
        Ok(())
    }

    pub(crate) fn apply_one(&mut self, position: Position, record: &Record) -> Result<(), RowsError> {
        self.ledger.apply(position, record, &TableRows(&*self.table))
    }

    /// Writes a checkpoint and returns the position that it reaches: what the log may forget.
    ///
    /// # Errors
    /// [`RowsError`]; the last checkpoint stands, and the next one takes along what this one did not write.
    pub fn commit(&mut self, hand_over: HandOver) -> Result<Position, RowsError> {
        for (group, through) in hand_over.settled {
            self.ledger.settle_group(group, through, &TableRows(&*self.table))?;
        }
        self.postings.extend(hand_over.postings);
        let mut rows = RowsMut(&mut *self.table);
        for (session, state) in &self.ledger.sessions {
            rows.put_session(*session, state.as_ref())?;
        }
        for (group, state) in &self.ledger.groups {
            rows.put_group(*group, state.as_ref())?;
        }
        for (topic, message) in &self.ledger.retained {
            rows.put_retained(topic, message.as_deref())?;
        }
        for change in &self.postings {
            put_posting(&mut rows, change)?;
        }
        for (below, moves) in &self.moves {
            rows.put_moves(*below, moves.as_ref())?;
        }
        self.meta.through = self.meta.through.max(hand_over.through);
        rows.put_meta(self.meta)?;
        self.table.commit()?;
        self.ledger.clear();
        self.postings.clear();
        self.moves.clear();
        Ok(self.meta.through)
    }

    pub(crate) fn rows(&self) -> TableRows<'_> {
        TableRows(&*self.table)
    }
}

fn put_posting(rows: &mut RowsMut<'_>, change: &PostingChange) -> Result<(), RowsError> {
    match &change.filter {
        FilterChange::Stays => {}
        FilterChange::Added(text) => rows.put_filter(change.number, Some(text))?,
        FilterChange::Gone => rows.put_filter(change.number, None)?,
    }
    for chunk in &change.chunks {
        rows.put_chunk(change.number, chunk)?;
    }
    for first in &change.dropped {
        rows.delete_chunk(change.number, *first)?;
    }
    Ok(())
}
