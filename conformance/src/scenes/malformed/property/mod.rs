//! Property sets of 5.0: every property in every packet, once too often, cut, misplaced, out of range, and at the
//! edge of what it may hold.

mod list;
mod value;

use super::carrier::{CARRIERS, Carrier};
use super::row::Table;
use crate::craft::{join, padded_length, user_property};
use list::{PROPERTIES, Property};

pub(super) fn rows(table: &mut Table) {
    unknown(table);
    misplaced(table);
    repeated(table);
    cut(table);
    too_long(table);
    wrong_lengths(table);
    accepted_lengths(table);
    value::rows(table);
}

/// Numbers that no property has, in every packet.
fn unknown(table: &mut Table) {
    for carrier in CARRIERS {
        let mut rule = table.rule("U5-03", "", carrier.statement(), carrier.refused(0x81));
        for (number, raw) in [
            ("00", &[0x00, 0][..]),
            ("04", &[0x04, 0]),
            ("2b", &[0x2B, 0]),
            ("7f", &[0x7F, 0]),
            ("81_in_two_bytes", &[0x81, 0x01, 0]),
            ("of_a_padded_01", &[0x81, 0x00, 1]),
        ] {
            rule.v5(format!("unknown_{number}_in_{}", carrier.name()), carrier.with(raw));
        }
    }
}

/// Every property in every packet of a client where it may not stand.
fn misplaced(table: &mut Table) {
    for carrier in CARRIERS {
        for property in PROPERTIES.iter().filter(|property| !property.may_stand_in(carrier)) {
            let is_identifier = carrier == Carrier::Publish && property.id() == 0x0B;
            let code = if is_identifier { 0x82 } else { 0x81 };
            let statement = if is_identifier { "3.3.4-6" } else { carrier.statement() };
            table
                .rule("U5-03", "", statement, carrier.refused(code))
                .v5(format!("{}_in_{}", property.name, carrier.name()), carrier.with(property.raw));
        }
    }
}

/// Every property that may stand in a packet, twice, unless it may repeat.
fn repeated(table: &mut Table) {
    for_each_place(|carrier, property| {
        if property.id() == 0x26 {
            return;
        }
        let twice = join(&[property.before, property.raw, property.raw]);
        table
            .rule("I01 U5-06", "", carrier.statement(), carrier.refused(0x82))
            .v5(format!("{}_twice_in_{}", property.name, carrier.name()), carrier.with(&twice));
        if property.before.is_empty() {
            let apart = join(&[property.raw, &user_property("k", "v"), property.raw]);
            table
                .rule("I01 U5-06", "", carrier.statement(), carrier.refused(0x82))
                .v5(format!("{}_twice_apart_in_{}", property.name, carrier.name()), carrier.with(&apart));
        }
    });
}

/// Every property that may stand in a packet, ended behind each of its bytes.
fn cut(table: &mut Table) {
    for_each_place(|carrier, property| {
        let mut rule = table.rule("I05 U5-04", "", carrier.statement(), carrier.refused(0x81));
        for len in 1..property.raw.len() {
            rule.v5(
                format!("{}_cut_behind_byte_{len}_in_{}", property.name, carrier.name()),
                carrier.with(&property.raw[..len]),
            );
        }
    });
}

/// Every property that may stand in a packet, a byte too long: the byte is the number of no property.
fn too_long(table: &mut Table) {
    for_each_place(|carrier, property| {
        table.rule("U5-03 U5-04", "", carrier.statement(), carrier.refused(0x81)).v5(
            format!("{}_a_byte_too_long_in_{}", property.name, carrier.name()),
            carrier.with(&join(&[property.before, property.raw, &[0]])),
        );
    });
}

/// The length of the whole set: beyond the packet, inside a property, padded, too long, only begun.
fn wrong_lengths(table: &mut Table) {
    for carrier in CARRIERS {
        let name = carrier.name();
        let user = user_property("key", "value");
        let packet = |length: &[u8], raw: &[u8]| carrier.packet(&join(&[length, raw]));
        let len = user.len() as u8;
        table
            .rule("I05 U5-05", "", carrier.statement(), carrier.refused(0x81))
            .v5(format!("length_beyond_{name}"), packet(&[100], &user))
            .v5(format!("length_far_beyond_{name}"), packet(&[0xFF, 0xFF, 0xFF, 0x7F], &user))
            .v5(format!("length_one_byte_too_long_in_{name}"), packet(&[len + 1], &user))
            .v5(format!("length_one_byte_too_short_in_{name}"), packet(&[len - 1], &user))
            .v5(format!("length_inside_a_name_in_{name}"), packet(&[4], &user));
        table
            .rule("I04", "", "1.5.5-1", carrier.refused(0x81))
            .by_choice()
            .v5(format!("length_in_two_bytes_in_{name}"), packet(&padded_length(len.into(), 2), &user))
            .v5(format!("length_in_four_bytes_in_{name}"), packet(&padded_length(len.into(), 4), &user))
            .v5(format!("length_0_in_two_bytes_in_{name}"), packet(&[0x80, 0], &[]));
        table
            .rule("U5-02", "", "1.5.5-1", carrier.refused(0x81))
            .v5(format!("length_in_five_bytes_in_{name}"), packet(&padded_length(len.into(), 5), &user));
    }
}

/// Sets on both sides of where their length takes one byte more, by a User Property of the right size.
fn accepted_lengths(table: &mut Table) {
    for carrier in CARRIERS {
        let Some(accepted) = carrier.accepted() else { continue };
        let mut rule = table.rule("", "", "1.5.5-1", accepted);
        for len in [127, 128, 16_383, 16_384, 65_541] {
            let raw = user_property("k", "v".repeat(len - user_property("k", "").len()));
            rule.v5(format!("length_of_{len}_in_{}", carrier.name()), carrier.with(&raw));
        }
        let many = user_property("", "").repeat(1_000);
        rule.v5(format!("a_thousand_user_properties_in_{}", carrier.name()), carrier.with(&many));
    }
}

/// Every property in each packet where it may stand.
fn for_each_place(mut visit: impl FnMut(Carrier, &Property)) {
    for carrier in CARRIERS {
        for property in PROPERTIES.iter().filter(|property| property.may_stand_in(carrier)) {
            visit(carrier, property);
        }
    }
}
