//! PINGREQ, which is two bytes and nothing else.

use super::answer::{Answer, Reply};
use super::row::Table;
use crate::craft::frame;

pub(super) fn rows(table: &mut Table) {
    table
        .rule("U3-04", "4.8.0-1", "4.13.1-1", Answer::Closed(0x81))
        .both("pingreq_with_a_byte", |_| frame(0xC0, &[0]))
        .both("pingreq_with_an_id", |_| frame(0xC0, &[0, 1]))
        .both("pingreq_with_a_code_and_properties", |_| frame(0xC0, &[0, 0, 0]))
        .both("pingreq_with_128_bytes", |_| frame(0xC0, &[0; 128]));
    for count in [1, 2, 200] {
        let answer = Answer::Stays(vec![Reply::PingResp; count]);
        table
            .rule("", "3.12.4-1", "3.12.4-1", answer)
            .both(format!("{count}_at_once"), |_| frame(0xC0, &[]).repeat(count));
    }
}
