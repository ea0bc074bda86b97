//! [`walks`] are the three stories every change should be checked against, [`histories`] many random ones, which
//! [`model`] judges.

mod fan_out;
mod histories;
mod journal_full;
mod letting_go;
mod model;
mod random;
mod walks;
