//! The ground on local files, on real ones and on a disk that fails: the contracts, damage byte by byte, faults of every
//! kind, and random histories with crashes.

mod contract;
mod damage;
mod faults;
mod fixtures;
mod histories;
mod random;
mod support;
mod table;
