//! The recording of `--trace`: when it begins, and how it becomes a file.
//!
//! Called by [`crate::setup`], which starts it with the runtime, and by [`crate::workers`] and
//! [`crate::program`] for SIGUSR2 and at the end. A `.wtr` file is the recording itself and is up to date
//! at any time. The other formats are converted from a copy, on a thread of the blocking pool while the
//! server runs, one per thread at a time. The conversion at the end can overlap with that one, so each copy has a
//! number, and an older one does not replace a newer one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{error, info, warn};
use wakeful::task::spawn_blocking;
use wakeful::trace::{self, Recording};
use wakeful_trace::Trace;

use crate::args::Args;
use crate::log::REPORT;
use crate::trace_file::TraceFile;

/// A recording that is converted.
struct Copy {
    file: TraceFile,
    bytes: Vec<u8>,
    /// A later copy has a higher number.
    number: u64,
}

/// Number of copies so far.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// The number of the copy in each file. Locked while a file is written.
static WRITTEN: Mutex<BTreeMap<PathBuf, u64>> = Mutex::new(BTreeMap::new());

/// The threads whose recording is being converted while they run.
static CONVERTING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Returns the recording for the runtime of a thread, if `--trace` was given.
///
/// # Errors
///
/// The file cannot be written, which is reported now and not at the end.
pub(crate) fn recording(args: &Args, thread: u32) -> io::Result<Option<Recording>> {
    let Some(file) = &args.trace else {
        return Ok(None);
    };
    let file = file.of_thread(thread);
    let recording = Recording::new().events(args.trace_events as usize);
    if file.format.is_none() {
        return Ok(Some(recording.file(&file.path)));
    }
    let opened = match fs::metadata(&file.path) {
        // To open a pipe would block, and to write one would block the end of the server.
        Ok(exists) if !exists.is_file() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it exists and is not a regular file",
        )),
        _ => OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file.path),
    };
    opened.map_err(|error| {
        let message = format!(
            "the trace cannot be written to {}: {error}",
            file.path.display()
        );
        io::Error::new(error.kind(), message)
    })?;
    Ok(Some(recording))
}

/// Writes what this thread has recorded so far. Its connections wait for the copy only. While a file is being
/// written, a further request is refused, because a copy can be large.
pub(crate) fn write(args: &Args, thread: u32) {
    let Some(converting) = Converting::begin(thread) else {
        warn!(target: REPORT, "the trace asked for before is still being written");
        return;
    };
    if let Some(copy) = copy(args, thread) {
        // The closure logs how it ended.
        drop(spawn_blocking(move || {
            convert(&copy);
            drop(converting);
        }));
    }
}

/// Marks a thread in [`CONVERTING`] until it is dropped, also by a conversion that panics, and by a closure that is
/// never run.
struct Converting(u32);

impl Converting {
    /// Returns `None` if the thread is marked.
    fn begin(thread: u32) -> Option<Converting> {
        Converting::all().insert(thread).then(|| Converting(thread))
    }

    fn all() -> MutexGuard<'static, BTreeSet<u32>> {
        CONVERTING.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Converting {
    fn drop(&mut self) {
        Converting::all().remove(&self.0);
    }
}

/// Writes what this thread has recorded, at its end.
pub(crate) fn finish(args: &Args, thread: u32) {
    if let Some(copy) = copy(args, thread) {
        convert(&copy);
    }
}

/// Copies the recording of this thread. `None` if there is nothing to convert.
fn copy(args: &Args, thread: u32) -> Option<Copy> {
    let file = args.trace.as_ref()?.of_thread(thread);
    if file.format.is_none() {
        log_written(&file.path);
        return None;
    }
    Some(Copy {
        file,
        bytes: trace::snapshot()?,
        number: COPIES.fetch_add(1, Ordering::Relaxed),
    })
}

fn convert(copy: &Copy) {
    let path = &copy.file.path;
    let Some(format) = copy.file.format else {
        return;
    };
    let converted = match caught(|| Ok(format.render(&Trace::from_bytes(&copy.bytes)?))) {
        Ok(converted) => converted,
        Err(error) => {
            error!(file = %path.display(), %error, "converting the recording failed");
            return;
        }
    };
    match write_unless_older(path, copy.number, &converted) {
        Ok(true) => log_written(path),
        Ok(false) => {}
        Err(error) => error!(file = %path.display(), %error, "writing the trace failed"),
    }
}

/// Returns the result of a conversion, or the cause of its failure: its error, or the message of its panic.
fn caught<T>(conversion: impl FnOnce() -> Result<T, wakeful_trace::Error>) -> Result<T, String> {
    // What it changes is dropped with it.
    match catch_unwind(AssertUnwindSafe(conversion)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().copied();
            let text = text.or_else(|| payload.downcast_ref().map(String::as_str));
            Err(format!("it panicked: {}", text.unwrap_or("no message")))
        }
    }
}

/// Writes a file. Returns `false`, without effect, if it has a later copy.
fn write_unless_older(path: &Path, number: u64, content: &[u8]) -> io::Result<bool> {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    if written.get(path).is_some_and(|last| *last > number) {
        return Ok(false);
    }
    written.insert(path.to_owned(), number);
    fs::write(path, content).map(|()| true)
}

fn log_written(path: &Path) {
    info!(target: REPORT, file = %path.display(), "trace written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_that_panics_or_never_runs_lets_the_next_one_begin() {
        let thread = u32::MAX;
        let convert = Converting::begin(thread).expect("the first one");
        assert!(Converting::begin(thread).is_none());
        let panics = move || {
            let _converting = convert;
            panic!("for the test");
        };
        std::panic::catch_unwind(panics).expect_err("it panics");
        let never_runs = Converting::begin(thread).map(|converting| move || drop(converting));
        assert!(never_runs.is_some() && Converting::begin(thread).is_none());
        drop(never_runs);
        assert!(Converting::begin(thread).is_some());
    }

    #[test]
    fn a_conversion_that_panics_is_a_failure_with_its_message() {
        let failure = |conversion: fn() -> u32| caught(|| Ok(conversion()));
        let panics = |message: &str| Err(format!("it panicked: {message}"));
        assert_eq!(failure(|| panic!("row {}", 7)), panics("row 7"));
        assert_eq!(failure(|| panic!("no row")), panics("no row"));
        let other = failure(|| std::panic::panic_any(7));
        assert_eq!(other, panics("no message"));
        assert_eq!(failure(|| 7), Ok(7));
        let damaged = caught(|| Trace::from_bytes(b"WAKEFUL")).map(drop);
        assert_eq!(
            damaged,
            Err("not a recording: it has 7 bytes, and the header alone has 4096".to_owned())
        );
    }

    #[test]
    fn an_older_copy_does_not_replace_a_newer_one() {
        let path = std::env::temp_dir().join(format!("echo-server-{}.txt", std::process::id()));
        let write = |number, content| write_unless_older(&path, number, content).expect("written");
        assert!(write(7, b"seven"));
        assert!(!write(6, b"six"));
        assert_eq!(fs::read(&path).expect("readable"), b"seven");
        assert!(write(8, b"eight"));
        assert_eq!(fs::read(&path).expect("readable"), b"eight");
        fs::remove_file(&path).expect("removed");
    }
}
