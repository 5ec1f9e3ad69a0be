//! The runtime's epoll descriptor is replaced. The loop has to end with an error, not to spin.
//!
//! A program of its own with one test, because the change of descriptor numbers would break other
//! tests.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use wakeful_tests::trace::{panic_of, runtime, secs, settle};

/// Returns the number of the only epoll descriptor.
fn find_epoll() -> RawFd {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    let mut numbers = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let target = fs::read_link(&path).unwrap_or_default();
        let number = path.file_name()?.to_str()?.parse().ok()?;
        (target == Path::new("anon_inode:[eventpoll]")).then_some(number)
    });
    let found = numbers.next().expect("a runtime has an epoll");
    assert_eq!(numbers.next(), None, "more than one epoll descriptor");
    found
}

#[test]
fn a_loop_without_its_epoll_ends_with_an_error_and_does_not_spin() {
    let runtime = runtime();
    runtime.block_on(settle());
    let epoll = find_epoll();
    let other = File::open("/dev/null").unwrap();
    // SAFETY: both numbers are open descriptors. The epoll's number gets another file, which its
    // owner will close as if it were its own, so nothing is closed twice.
    let replaced = unsafe { libc::dup2(other.as_raw_fd(), epoll) };
    assert_eq!(replaced, epoll);
    for _ in 0..2 {
        let text = panic_of(|| runtime.block_on(async { wakeful::time::sleep(secs(3600)).await }));
        assert!(
            text.contains("cannot wait for events any more: epoll_wait"),
            "{text}"
        );
    }
    // A future that needs no epoll still ends, and the runtime can be dropped.
    assert_eq!(runtime.block_on(async { 1 }), 1);
    drop(runtime);
}
