//! Properties as they are on the wire: where each begins and ends.

use super::table::{Id, Kind, Row, row_of};
use crate::integer::{IntegerFault, variable_byte_integer};

/// One property as it is on the wire: nothing but its extent is known to be right.
pub(crate) struct Item<'a> {
    pub(crate) id: Id,
    pub(crate) row: &'static Row,
    pub(crate) value: &'a [u8],
}

/// Why the next item cannot be told from what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemFault {
    UnknownId,
    Cut,
    VariableByteInteger(IntegerFault),
}

/// The items of a set, one after the other.
#[derive(Clone)]
pub(crate) struct Items<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, ItemFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&id, rest) = self.rest.split_first()?;
        let Some(row) = row_of(id) else { return Some(Err(ItemFault::UnknownId)) };
        Some(value_len(row.kind, rest).and_then(|len| {
            let (value, rest) = rest.split_at_checked(len).ok_or(ItemFault::Cut)?;
            self.rest = rest;
            Ok(Item { id: row.id, row, value })
        }))
    }
}

/// Bytes of the value at the start of `rest`, which may have fewer.
fn value_len(kind: Kind, rest: &[u8]) -> Result<usize, ItemFault> {
    Ok(match kind {
        Kind::Flag => 1,
        Kind::TwoBytes => 2,
        Kind::FourBytes => 4,
        Kind::VariableByteInteger => match variable_byte_integer(rest) {
            Ok((_, len)) => len,
            Err(IntegerFault::Cut) => return Err(ItemFault::Cut),
            Err(fault) => return Err(ItemFault::VariableByteInteger(fault)),
        },
        Kind::Text | Kind::Binary => counted_len(rest)?,
        Kind::Pair => {
            let name_len = counted_len(rest)?;
            name_len + counted_len(rest.get(name_len..).ok_or(ItemFault::Cut)?)?
        }
    })
}

fn counted_len(rest: &[u8]) -> Result<usize, ItemFault> {
    let len = rest.first_chunk::<2>().ok_or(ItemFault::Cut)?;
    Ok(2 + usize::from(u16::from_be_bytes(*len)))
}

/// The bytes behind a length of two bytes; `value` is known to be that long.
pub(crate) fn counted(value: &[u8]) -> &[u8] {
    value.get(2..).unwrap_or_default()
}

/// Both halves of a pair whose extent is known to be right.
pub(crate) fn pair(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = value.split_at_checked(counted_len(value).ok()?)?;
    Some((counted(name), counted(value)))
}
