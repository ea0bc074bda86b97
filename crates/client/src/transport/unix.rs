//! A socket of this machine, by its path.

use std::path::Path;

use tokio::net::UnixStream;

use crate::dial_error::DialFault;

pub(super) async fn open(path: &Path) -> Result<UnixStream, DialFault> {
    UnixStream::connect(path).await.map_err(DialFault::Network)
}
