//! Records of one commit group as the lane stores them: a version byte, then record after record.

use longwire_broker::record::{DamagedRecord, Record};

/// Version of the block's form.
const VERSION: u8 = 1;

/// The bytes of a block.
pub(crate) fn encode(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + records.iter().map(Record::size_hint).sum::<usize>());
    bytes.push(VERSION);
    for record in records {
        record.encode(&mut bytes);
    }
    bytes
}

/// The records of a block.
///
/// # Errors
/// [`DamagedRecord`] if the bytes are no block of a known version.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Record>, DamagedRecord> {
    let Some((&VERSION, mut rest)) = bytes.split_first() else { return Err(DamagedRecord) };
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (record, tail) = Record::decode(rest)?;
        records.push(record);
        rest = tail;
    }
    Ok(records)
}
