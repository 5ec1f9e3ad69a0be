//! How the runtime of one of several hosts waits: it gives its turn up, and takes what has happened meanwhile.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::thread;

use wakeful::kernel::{Wait, Work};

use super::gate::{Crashed, Ended, Gate};
use super::{TURN_NS, World};
use crate::net::programs::Program;

impl World {
    /// Waits until the simulation gives this host a turn. Then it has work, an event, or has waited for long
    /// enough.
    pub(super) fn wait_for_turn(&self, gate: &Gate, wait: &mut Wait<'_>) -> io::Result<()> {
        self.unwind_if_dead(gate);
        let limit_ns = wait.limit().map(|limit| {
            let limit_ns = limit.as_nanos();
            u64::try_from(limit_ns).unwrap_or(u64::MAX)
        });
        let epoll = wait.epoll().as_raw_fd();
        let mut net = self.net();
        net.now_ns += TURN_NS;
        net.begin_wait(self.host, epoll, limit_ns);
        let keeps = net.keep_turn(self.host);
        drop(net);
        if !keeps {
            gate.pause(write_dump);
            self.unwind_if_dead(gate);
        }
        let work = self.net().take_work(self.host);
        let has_work = !work.is_empty();
        work.into_iter().for_each(Work::run);
        let mut net = self.net();
        // A closure wakes the task that waits for it, so the runtime has work after it. Events come with the
        // next wait, as without other hosts.
        while !has_work
            && wait.room() > 0
            && let Some(event) = net.next_event_of(self.host, epoll)
        {
            assert!(wait.push(event), "there is room for an event");
        }
        net.end_wait(self.host);
        Ok(())
    }

    /// Changes what is known about the program that runs on this thread, if it is one of several.
    pub(super) fn with_program<R>(&self, change: impl FnOnce(&mut Program) -> R) -> Option<R> {
        self.live()?.program(self.host).map(change)
    }

    /// Ends the program if its host has crashed or the run is over.
    fn unwind_if_dead(&self, gate: &Gate) {
        if !gate.is_dead() {
            return;
        }
        if thread::panicking() {
            // A second panic would end the process.
            gate.end(Ended::Left);
            loop {
                thread::park();
            }
        }
        resume_unwind(Box::new(Crashed));
    }
}

/// Writes what the program of this thread waits for.
fn write_dump() {
    let name = thread::current().name().unwrap_or_default().to_owned();
    // A failure to write is ignored, because there is no other place for the report.
    writeln!(io::stderr(), "host `{name}`: {}", wakeful::dump()).ok();
}
