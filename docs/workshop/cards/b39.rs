//! B39. Seconds in the field for nanoseconds
//!
//! From: F. Stage: 8.
//! Input: wait for 2 seconds.
//! Bug: never sleeps
//! Fix: 1 wait, 2 s passed
//!
//! Two seconds become two nanoseconds, which is no wait at all, so the loop turns without a pause. Convert a
//! duration by its own functions, and let the unit be part of the name.

use std::time::Duration;

use card::outcome;
use kernel::{Epoll, Event, Script};

mod bug {
    use super::*;

    pub fn timespec(wait: Duration) -> Timespec {
        Timespec { tv_sec: 0, tv_nsec: wait.as_secs() }
    }
}

mod fix {
    use super::*;

    pub fn timespec(wait: Duration) -> Timespec {
        Timespec { tv_sec: wait.as_secs(), tv_nsec: wait.subsec_nanos().into() }
    }
}

pub struct Timespec {
    tv_sec: u64,
    tv_nsec: u64,
}

impl Timespec {
    fn whole_ms(&self) -> i32 {
        i32::try_from(self.tv_sec * 1_000 + self.tv_nsec / 1_000_000).unwrap()
    }
}

fn input(timespec: fn(Duration) -> Timespec) -> String {
    let wait = Duration::from_secs(2);
    let epoll = Epoll::new().unwrap();
    Script::new().begin();
    let start = kernel::now();
    let waited = outcome(|| {
        while kernel::now() < start + wait {
            epoll.wait(&mut [Event::default()], timespec(wait).whole_ms()).unwrap();
        }
    });
    match waited {
        Ok(()) => {
            let passed = (kernel::now() - start).as_secs();
            format!("{}, {passed} s passed", card::count(kernel::timed_parks() as usize, "wait"))
        }
        Err(end) => end,
    }
}

fn main() {
    card::run(&|| input(bug::timespec), &|| input(fix::timespec));
}
