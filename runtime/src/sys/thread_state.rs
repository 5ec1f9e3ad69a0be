//! What a thread of this process does, as far as the kernel says.
//!
//! Called by [`crate::watch`], from another thread.
//!
//! Sources: proc(5), proc_pid_syscall(5), proc_pid_stat(5), syscalls(2).

use std::fs;

/// The names of system calls that can block for long. The other ones are shown as numbers.
const CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_brk, "brk"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_close, "close"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_copy_file_range, "copy_file_range"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_epoll_pwait2, "epoll_pwait2"),
    (libc::SYS_execve, "execve"),
    (libc::SYS_fallocate, "fallocate"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_getdents64, "getdents64"),
    (libc::SYS_getrandom, "getrandom"),
    (libc::SYS_io_getevents, "io_getevents"),
    (libc::SYS_io_uring_enter, "io_uring_enter"),
    (libc::SYS_ioctl, "ioctl"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_madvise, "madvise"),
    (libc::SYS_membarrier, "membarrier"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_mprotect, "mprotect"),
    (libc::SYS_mq_timedreceive, "mq_timedreceive"),
    (libc::SYS_mq_timedsend, "mq_timedsend"),
    (libc::SYS_mremap, "mremap"),
    (libc::SYS_msync, "msync"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_openat2, "openat2"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_preadv, "preadv"),
    (libc::SYS_pselect6, "pselect6"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_pwritev, "pwritev"),
    (libc::SYS_read, "read"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmmsg, "recvmmsg"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_rt_sigsuspend, "rt_sigsuspend"),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait"),
    (libc::SYS_sendfile, "sendfile"),
    (libc::SYS_sendmmsg, "sendmmsg"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_splice, "splice"),
    (libc::SYS_statx, "statx"),
    (libc::SYS_sync, "sync"),
    (libc::SYS_syncfs, "syncfs"),
    (libc::SYS_tee, "tee"),
    (libc::SYS_truncate, "truncate"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_vmsplice, "vmsplice"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_waitid, "waitid"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
];

/// Calls that not every architecture has.
#[cfg(target_arch = "x86_64")]
const MORE_CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_accept, "accept"),
    (libc::SYS_epoll_wait, "epoll_wait"),
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_newfstatat, "newfstatat"),
    (libc::SYS_open, "open"),
    (libc::SYS_pause, "pause"),
    (libc::SYS_poll, "poll"),
    (libc::SYS_rename, "rename"),
    (libc::SYS_select, "select"),
    (libc::SYS_semop, "semop"),
    (libc::SYS_stat, "stat"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_vfork, "vfork"),
];
#[cfg(target_arch = "aarch64")]
const MORE_CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_accept, "accept"),
    (libc::SYS_newfstatat, "newfstatat"),
    (libc::SYS_semop, "semop"),
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MORE_CALLS: &[(libc::c_long, &str)] = &[];

/// Returns what a thread does: `is running`, or `sleeps in futex`. `None` without /proc, and if the thread has
/// ended.
pub(crate) fn of(thread: i32) -> Option<String> {
    let task = format!("/proc/self/task/{thread}");
    let stat = fs::read_to_string(format!("{task}/stat")).ok()?;
    // Only the user of the process can read it.
    let call = fs::read_to_string(format!("{task}/syscall")).unwrap_or_default();
    text(&stat, &call)
}

/// Returns the contents of the two files in words.
fn text(stat: &str, call: &str) -> Option<String> {
    // The second field is a name in parentheses, which can contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let state = rest.trim_start().chars().next()?;
    // The second file is later: its thread was not blocked any more.
    if call.starts_with("running") {
        return Some("is running".to_owned());
    }
    let does = match state {
        'R' => return Some("is running".to_owned()),
        'D' => "waits for a device",
        'T' | 't' => "is stopped",
        _ => "sleeps",
    };
    let number = call.split_ascii_whitespace().next();
    Some(
        match number.and_then(|number| number.parse::<libc::c_long>().ok()) {
            // A page fault, or no permission to read the file.
            Some(-1) | None => does.to_owned(),
            Some(number) => match name_of(number) {
                Some(name) => format!("{does} in {name}"),
                None => format!("{does} in system call {number}"),
            },
        },
    )
}

fn name_of(number: libc::c_long) -> Option<&'static str> {
    let mut calls = CALLS.iter().chain(MORE_CALLS);
    let found = calls.find(|(of_call, _)| *of_call == number);
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::thread;

    use super::*;
    use crate::sys::inspect;

    #[test]
    fn the_files_of_the_kernel_are_put_into_words() {
        let is = |stat: &str, call: &str, words: &str| {
            assert_eq!(
                text(stat, call).as_deref(),
                Some(words),
                "{stat:?} {call:?}"
            );
        };
        let futex = format!("{} 0x7f 0x80 0x0\n", libc::SYS_futex);
        is("7 (a) S 1", &futex, "sleeps in futex");
        is("7 (a) R) S 1", &futex, "sleeps in futex");
        is("7 (a) S 1", "running\n", "is running");
        is("7 (a) R 1", "", "is running");
        is("7 (a) S 1", "", "sleeps");
        is("7 (a) D 1", "-1 0x7f 0x80\n", "waits for a device");
        is("7 (a) T 1", &futex, "is stopped in futex");
        is("7 (a) S 1", "9999 0x7f\n", "sleeps in system call 9999");
        assert_eq!(text("7 (a", "running"), None);
        assert_eq!(text("7 (a)", "running"), None);
    }

    #[test]
    fn each_call_is_listed_once() {
        let mut numbers: Vec<_> = CALLS.iter().chain(MORE_CALLS).map(|call| call.0).collect();
        numbers.sort_unstable();
        let listed = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), listed);
    }

    #[test]
    fn a_thread_that_reads_sleeps_in_read_and_one_that_has_ended_does_nothing() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let (send, sent) = std::sync::mpsc::channel();
        let reads = thread::spawn(move || {
            send.send(inspect::current_thread().unwrap()).unwrap();
            reader.read_exact(&mut [0]).unwrap();
        });
        let id = sent.recv().unwrap();
        while of(id).unwrap() != "sleeps in read" {
            thread::yield_now();
        }
        writer.write_all(b"x").unwrap();
        reads.join().unwrap();
        while of(id).is_some() {
            thread::yield_now();
        }
        // A thread that asks about itself runs.
        let this = inspect::current_thread().unwrap();
        assert_eq!(of(this).unwrap(), "is running");
    }
}
