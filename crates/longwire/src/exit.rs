//! Exit codes, a promise to scripts; `docs/reference/exit-codes.md` explains them.

/// Everything asked for was done.
pub(crate) const SUCCESS: u8 = 0;
/// Something failed on the way that no other code stands for.
pub(crate) const FAILURE: u8 = 1;
/// The arguments were not understood; nothing was done.
pub(crate) const USAGE: u8 = 2;
/// The settings were refused; nothing was done.
pub(crate) const SETTINGS: u8 = 3;
/// The broker could not start.
pub(crate) const START: u8 = 4;
/// Added to the number of a signal that ended the program before it was done.
pub(crate) const SIGNAL: i32 = 128;
