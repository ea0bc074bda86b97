//! Histories with a purpose of their own: [`walks`] are the three stories every change should be checked against.

mod fan_out;
mod groups;
mod journal_full;
mod letting_go;
mod walks;
