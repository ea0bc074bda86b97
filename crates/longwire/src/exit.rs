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
/// The broker denied a publication, or every subscription; the number of libmosquitto's MOSQ_ERR_ACL_DENIED.
pub(crate) const DENIED: u8 = 12;
/// The time given with `-W` was up, as of mosquitto_sub.
pub(crate) const TIMED_OUT: u8 = 27;
/// Added to the number of a signal that ended the program before it was done.
pub(crate) const SIGNAL: i32 = 128;
