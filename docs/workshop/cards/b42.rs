//! B42. Ten times a second, for nothing
//!
//! From: evio. Stage: 8.
//! Input: an idle server, and a timer that is due after one second.
//! Bug: awake 10 times
//! Fix: awake 1 time
//!
//! A limit of 100 ms on each wait hides that the loop does not know when it has to wake up, or cannot be woken. It
//! costs ten turns a second for each idle process. Wait until the next deadline, or without a limit if there is
//! none.

use std::io;
use std::time::{Duration, Instant};

use kernel::{Epoll, Event, Script};

mod bug {
    use super::*;

    pub fn sleep_until(epoll: &Epoll, deadline: Instant) -> io::Result<()> {
        while kernel::now() < deadline {
            epoll.wait(&mut [Event::default(); 8], 100)?;
        }
        Ok(())
    }
}

mod fix {
    use super::*;

    pub fn sleep_until(epoll: &Epoll, deadline: Instant) -> io::Result<()> {
        while kernel::now() < deadline {
            let left = deadline - kernel::now();
            // Rounded up: a wait that ends too early is a turn for nothing.
            let ms = left.as_nanos().div_ceil(1_000_000);
            epoll.wait(&mut [Event::default(); 8], i32::try_from(ms).unwrap_or(i32::MAX))?;
        }
        Ok(())
    }
}

fn input(sleep_until: fn(&Epoll, Instant) -> io::Result<()>) -> String {
    let epoll = Epoll::new().unwrap();
    Script::new().begin();
    sleep_until(&epoll, kernel::now() + Duration::from_secs(1)).unwrap();
    format!("awake {}", card::count(kernel::timed_parks() as usize, "time"))
}

fn main() {
    card::run(&|| input(bug::sleep_until), &|| input(fix::sleep_until));
}
