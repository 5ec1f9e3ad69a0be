//! Calls for which no safe library exists: the CPU clock of another process, and the options of
//! datagram sockets.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Lets a datagram socket send its bytes in datagrams of `size`, and receive several at once. See
/// `UDP_SEGMENT` and `UDP_GRO` in udp(7).
pub(crate) fn set_segments(socket: BorrowedFd<'_>, size: u16) -> io::Result<()> {
    for (name, value) in [
        (libc::UDP_SEGMENT, libc::c_int::from(size)),
        (libc::UDP_GRO, 1),
    ] {
        let (from, len) = ((&raw const value).cast(), size_of_val(&value) as u32);
        let fd = socket.as_raw_fd();
        // SAFETY: `from` points to `len` bytes that live until the call returns.
        if unsafe { libc::setsockopt(fd, libc::SOL_UDP, name, from, len) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Returns the CPU time, user and kernel, that all threads of process `pid` have used so far.
///
/// Unlike the tick counts in /proc the clock is exact, and unlike /proc/PID/task it includes threads
/// that have ended.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: `clock` is writable; a number that is no process is an error, not undefined.
    let code = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is writable and as large as the kernel's type.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has written all of `time`.
    let time = unsafe { time.assume_init() };
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
