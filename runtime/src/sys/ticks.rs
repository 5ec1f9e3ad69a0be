//! The time stamp counter of the processor, a clock that is read in a few nanoseconds.
//!
//! Called by the recorder. Only a counter that the kernel itself takes for its clock is used: it runs at one
//! rate and is the same on all processors.

#[cfg(target_arch = "x86_64")]
use std::fs;

/// Returns whether the counter is a clock.
pub(crate) fn are_a_clock() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        fs::read_to_string(path).is_ok_and(|name| name.trim_end() == "tsc")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Reads the counter.
#[inline]
pub(crate) fn read() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: reads a register, on every processor of this architecture. Linux traps the instruction
        // only for a process that asked for that by `prctl(2)`.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}
