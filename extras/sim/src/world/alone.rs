//! How the runtime of a host that is alone waits: what is due happens, or the time moves.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use wakeful::kernel::{Wait, Work};

use super::{TURN_NS, World, ends};
use crate::net::Net;
use crate::panics::end_run;

impl World {
    /// Waits until something has happened, or the runtime has waited for long enough.
    ///
    /// # Panics
    ///
    /// If nothing can happen.
    pub(super) fn wait_alone(&self, wait: &mut Wait<'_>) -> io::Result<()> {
        let mut net = self.begin_turn();
        let limit = wait.limit();
        let until = limit.map(|limit| {
            let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
            net.now_ns.saturating_add(limit_ns)
        });
        let epoll = wait.epoll().as_raw_fd();
        let has_real = self
            .real
            .as_ref()
            .is_some_and(|real| real.is_watched(epoll));
        loop {
            let work = net.deliver();
            if !work.is_empty() {
                // A closure wakes the task that waits for it, so the runtime has work after it.
                drop(net);
                work.into_iter().for_each(Work::run);
                return Ok(());
            }
            while wait.room() > 0
                && let Some(event) = net.next_event(epoll)
            {
                assert!(wait.push(event), "there is room for an event");
            }
            if has_real {
                wait.real(Some(Duration::ZERO))?;
            }
            let has_events = !wait.events().is_empty();
            if has_events || until.is_some_and(|until| until <= net.now_ns) {
                return Ok(());
            }
            let next = match (net.next_ns(), until) {
                (Some(next), Some(until)) => next.min(until),
                (Some(next), None) => next,
                (None, Some(until)) => until,
                (None, None) if self.real.is_some() => {
                    // A real descriptor or a thread ends the wait, or nothing does.
                    drop(net);
                    return self.wait_real(wait, None);
                }
                (None, None) => {
                    let at = Duration::from_nanos(net.now_ns);
                    drop(net);
                    end_run(ends::deadlock(at, &wakeful::dump()));
                }
            };
            if has_real && next > net.now_ns {
                let left = Duration::from_nanos(next - net.now_ns);
                drop(net);
                self.wait_real(wait, Some(left))?;
                net = self.net();
                if wait.events().is_empty() {
                    continue;
                }
                return Ok(());
            }
            net.now_ns = next.max(net.now_ns);
            // Without it, a difference that only timers see would not be in the hash.
            net.note("time", 0, 0);
        }
    }

    /// Begins a turn of a host that is alone.
    fn begin_turn(&self) -> MutexGuard<'_, Net> {
        let mut net = self.net();
        net.now_ns += TURN_NS;
        net.lan.turns += 1;
        if !net.lan.is_endless() {
            return net;
        }
        let (at, turns) = (Duration::from_nanos(net.now_ns), net.lan.turns - 1);
        drop(net);
        end_run(ends::endless_alone(at, turns, &wakeful::dump()));
    }

    /// Waits for a real descriptor or a thread, and lets as much time pass as the machine's meanwhile.
    fn wait_real(&self, wait: &mut Wait<'_>, limit: Option<Duration>) -> io::Result<()> {
        let began = Instant::now();
        wait.real(limit)?;
        let passed = began.elapsed().min(limit.unwrap_or(Duration::MAX));
        self.net().now_ns += passed.as_nanos() as u64;
        Ok(())
    }
}
