//! What a process costs, as the system accounts it; and on which processor it runs. Linux only where it reads `/proc`.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process so far, in user space and in the system, of all threads, in nanosecond steps.
pub fn own_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // It begins at zero and does not run backwards.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// CPU time so far of the threads that process `pid` has now, in user space and in the system, in nanosecond steps.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        nanoseconds += thread_nanoseconds(&thread?.path())?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Time on a processor is the first number of `schedstat`.
fn thread_nanoseconds(thread: &Path) -> io::Result<u64> {
    let text = match fs::read_to_string(thread.join("schedstat")) {
        Ok(text) => text,
        // The thread has ended since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.ok_or_else(|| unreadable("schedstat"))
}

/// Memory of process `pid` that is in RAM now, in bytes: its own pages and those of mapped files.
///
/// # Errors
/// When there is no such process, no `/proc`, or no right to look.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kibibytes.map(|count| count * 1024).ok_or_else(|| unreadable("smaps_rollup"))
}

fn unreadable(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{file} has a form that is not known"))
}

/// Ties this thread, and those that it starts from now on, to one processor.
///
/// # Errors
/// When there is no processor of that number, or this process may not use it.
pub fn pin_to_processor(number: usize) -> io::Result<()> {
    if number >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut processors = CpuSet::new();
    processors.set(number);
    Ok(sched_setaffinity(None, &processors)?)
}

/// The processors that this thread may run on, in ascending order.
///
/// # Errors
/// None that is expected.
pub fn processors() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&number| set.is_set(number)).collect())
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::thread;

    use super::*;

    #[test]
    fn work_shows_in_every_account() {
        let thread = Path::new("/proc/thread-self");
        let before = (own_cpu_time(), thread_nanoseconds(thread).unwrap());
        let mut sum = 0u64;
        while thread_nanoseconds(thread).unwrap() < before.1 + 30_000_000 {
            sum = black_box(sum + 1);
        }
        assert!(own_cpu_time() >= before.0 + Duration::from_millis(30));
        assert!(cpu_time(std::process::id()).unwrap() >= Duration::from_millis(30));
    }

    #[test]
    fn touched_memory_is_resident() {
        let before = resident_bytes(std::process::id()).unwrap();
        let memory = black_box(vec![1u8; 64 << 20]);
        let now = resident_bytes(std::process::id()).unwrap();
        assert!(now >= before + (48 << 20), "{before} then {now} with {} bytes more", memory.len());
    }

    #[test]
    fn a_pinned_thread_has_one_processor() {
        let last = *processors().unwrap().last().unwrap();
        let pinned = thread::spawn(move || {
            pin_to_processor(last).unwrap();
            processors().unwrap()
        });
        assert_eq!(pinned.join().unwrap(), [last]);
    }
}
