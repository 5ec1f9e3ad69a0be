//! B31. One case for three results
//!
//! From: F. Stage: 6.
//! Model: `Raw` is what read(2) returns and sets; no call is made.
//! Input: a client that is slow, and one that resets its connection.
//! Bug: slow: closed, reset: closed without a reason
//! Fix: slow: waits, reset: closed after ECONNRESET
//!
//! A system call returns -1 for each error, and 0 for the end. `n <= 0` makes one case of three: a slow client is
//! closed, and a reset looks like an orderly end. A system call never returns `io::EOF` either. In Rust, `Result` and
//! `Ok(0)` keep the three apart.

mod bug {
    use super::*;

    pub fn next(read: &Raw) -> &'static str {
        if read.n <= 0 {
            return "closed without a reason";
        }
        if read.errno == EOF {
            return "closed at the end";
        }
        "echoed"
    }
}

mod fix {
    use super::*;

    pub fn next(read: &Raw) -> &'static str {
        match (read.n, read.errno) {
            (1.., _) => "echoed",
            (0, _) => "closed at the end",
            (_, EAGAIN) => "waits",
            (_, EINTR) => "reads again",
            (_, ECONNRESET) => "closed after ECONNRESET",
            _ => "closed after another error",
        }
    }
}

/// What read(2) returns, and what it sets.
pub struct Raw {
    n: isize,
    errno: i32,
}

const EOF: i32 = -1;
const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const ECONNRESET: i32 = 104;

fn input(next: fn(&Raw) -> &'static str) -> String {
    let slow = next(&Raw { n: -1, errno: EAGAIN });
    let reset = next(&Raw { n: -1, errno: ECONNRESET });
    let slow = slow.split(" without").next().unwrap();
    format!("slow: {slow}, reset: {reset}")
}

fn main() {
    card::run(&|| input(bug::next), &|| input(fix::next));
}
