//! The record of a check's calls, and the faults that a check injects.

use std::io;
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::script;

/// One line of the record.
struct Entry {
    /// The name of the call; empty for a step of the script.
    name: &'static str,
    text: String,
}

static RECORD: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
static FAULTS: Mutex<Vec<Fault>> = Mutex::new(Vec::new());

struct Fault {
    name: &'static str,
    times: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Errno(i32),
    Limit(usize),
}

/// Locks, also after a panic: a check goes on to report what it saw.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets all recorded calls and injected faults.
pub fn clear_record() {
    lock(&RECORD).clear();
    lock(&FAULTS).clear();
}

/// Ends the faults: from now on calls succeed as they can.
pub fn clear_faults() {
    lock(&FAULTS).clear();
}

/// Returns how often a call was made: `read`, `write`, `accept`, `epoll_wait`, `epoll_ctl(ADD)`,
/// `epoll_ctl(MOD)`, `epoll_ctl(DEL)`, `eventfd_write`, `eventfd_read`.
#[must_use]
pub fn count(name: &str) -> usize {
    lock(&RECORD).iter().filter(|entry| entry.name == name).count()
}

/// Returns the recorded calls and steps of the script, in order, as text.
#[must_use]
pub fn steps() -> Vec<String> {
    lock(&RECORD).iter().map(|entry| entry.text.clone()).collect()
}

/// Lets the next `times` calls of that name fail with `errno`.
pub fn inject(name: &'static str, errno: i32, times: u32) {
    lock(&FAULTS).push(Fault { name, times, kind: Kind::Errno(errno) });
}

/// Lets the next `times` reads or writes transfer at most `bytes`.
pub fn limit(name: &'static str, bytes: usize, times: u32) {
    lock(&FAULTS).push(Fault { name, times, kind: Kind::Limit(bytes) });
}

fn take_fault(name: &str, wanted: impl Fn(Kind) -> bool) -> Option<Kind> {
    let mut faults = lock(&FAULTS);
    let fault = faults.iter_mut().find(|f| f.name == name && f.times > 0 && wanted(f.kind))?;
    fault.times -= 1;
    Some(fault.kind)
}

/// Returns how many bytes the next call of that name may transfer.
pub(crate) fn limited(name: &str, length: usize) -> usize {
    match take_fault(name, |kind| matches!(kind, Kind::Limit(_))) {
        Some(Kind::Limit(bytes)) => length.min(bytes),
        _ => length,
    }
}

/// Adds a line that is not a call, in a check.
pub fn note(text: impl Into<String>) {
    if script::is_checking() {
        lock(&RECORD).push(Entry { name: "", text: text.into() });
    }
}

/// Makes a call, or fails as injected, and records it in a check.
pub(crate) fn recorded<T>(
    name: &'static str,
    fd: RawFd,
    call: impl FnOnce() -> io::Result<T>,
    number: impl Fn(&T) -> i64,
) -> io::Result<T> {
    if !script::is_checking() {
        return call();
    }
    let result = match take_fault(name, |kind| matches!(kind, Kind::Errno(_))) {
        Some(Kind::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
        _ => call(),
    };
    let on = if fd < 0 { String::new() } else { format!(" fd {fd}") };
    let text = match &result {
        Ok(value) => format!("{name}{on} = {}", number(value)),
        Err(error) => format!("{name}{on} = {}", errno_name(error)),
    };
    lock(&RECORD).push(Entry { name, text });
    result
}

fn errno_name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(4) => "EINTR".to_owned(),
        Some(9) => "EBADF".to_owned(),
        Some(11) => "EAGAIN".to_owned(),
        Some(12) => "ENOMEM".to_owned(),
        Some(17) => "EEXIST".to_owned(),
        Some(22) => "EINVAL".to_owned(),
        Some(23) => "ENFILE".to_owned(),
        Some(24) => "EMFILE".to_owned(),
        Some(32) => "EPIPE".to_owned(),
        Some(103) => "ECONNABORTED".to_owned(),
        Some(104) => "ECONNRESET".to_owned(),
        Some(105) => "ENOBUFS".to_owned(),
        _ => error.to_string(),
    }
}
