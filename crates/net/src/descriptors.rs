//! The limit on open files, which is the limit on connections.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit on file descriptors of this process to its hard limit. Tells the limit before and now;
/// `u64::MAX` stands for none.
///
/// # Errors
/// When the system refuses, as it may in a sandbox; the limit is then as it was.
pub fn raise_descriptor_limit() -> io::Result<(u64, u64)> {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })?;
    }
    let now = getrlimit(Resource::Nofile);
    Ok((before.current.unwrap_or(u64::MAX), now.current.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lowered_limit_is_raised_to_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum: hard }).unwrap();
        assert_eq!(raise_descriptor_limit().unwrap(), (200, hard.unwrap_or(u64::MAX)));
    }
}
