//! B21. A queue for ten
//!
//! From: V. Stage: 11.
//! Model: `Queue` admits connections as the queue of a listening socket does.
//! Input: 100 clients connect while the program handles an event.
//! Bug: 11 of 100 connected, 89 try again after a second
//! Fix: 100 of 100 connected
//!
//! The backlog limits the connections that are complete and not accepted yet. Linux admits one more than the
//! number, and drops the handshakes of the others; those clients try again after a second or more. Ask for
//! thousands: the kernel caps the number at `somaxconn`.

mod bug {
    use super::*;

    pub fn listen() -> Queue {
        Queue::new(10)
    }
}

mod fix {
    use super::*;

    pub fn listen() -> Queue {
        Queue::new(4096)
    }
}

/// The queue of a listening socket, as Linux keeps it.
pub struct Queue {
    backlog: usize,
    length: usize,
}

impl Queue {
    fn new(backlog: usize) -> Queue {
        Queue { backlog, length: 0 }
    }

    fn connect(&mut self) -> bool {
        let admitted = self.length <= self.backlog;
        self.length += usize::from(admitted);
        admitted
    }
}

fn input(listen: fn() -> Queue) -> String {
    let mut queue = listen();
    let connected = (0..100).filter(|_| queue.connect()).count();
    match 100 - connected {
        0 => format!("{connected} of 100 connected"),
        others => format!("{connected} of 100 connected, {others} try again after a second"),
    }
}

fn main() {
    card::run(&|| input(bug::listen), &|| input(fix::listen));
}
