//! Reads the CPU clock of another process, for which no safe library exists.
//!
//! Unlike the tick counts in /proc the clock is exact, and unlike /proc/PID/task it includes threads
//! that have ended.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Returns the CPU time, user and kernel, that all threads of process `pid` have used so far.
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
