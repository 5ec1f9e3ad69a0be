//! The steps of a simulation with several hosts.
//!
//! ```text
//!   next_step: what is due arrives --> a host can run?  yes: one of them has a turn
//!                     ^                    | no
//!                     |                    v
//!                     +--- the time moves to the next delivery, or to the first deadline of a host
//! ```
//!
//! The thread of the test makes the steps, or that of a host that waits: if the next turn is its own, no other
//! thread has to run. Both make the same steps, in the same order.

use super::hosts::HostId;
use super::{Delivery, Net};

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something has arrived.
    Arrived,
    /// The time has moved.
    Time,
    /// A host has a turn.
    Turn(HostId),
    /// An action of the test is due, by its number.
    Action(u64),
    /// All hosts wait for each other.
    Deadlock,
    /// What is next is due after the last time of the run.
    Late,
    /// The run has had too many turns.
    Endless,
}

/// How often a host can keep its turn. Then the thread of the test sees that it is not stuck.
const MAX_KEPT: u32 = 1_000;

impl Net {
    /// Makes the next step, as far as no program is concerned.
    pub(crate) fn next_step(&mut self) -> Step {
        if let Some(step) = self.lan.next.take() {
            return step;
        }
        if let Some(step) = self.deliver_one() {
            return step;
        }
        if self.lan.is_endless() {
            return Step::Endless;
        }
        let able = self.able_hosts();
        match able.len() {
            0 => self.move_time(),
            1 => Step::Turn(able[0]),
            count => Step::Turn(able[self.choices.choose("hosts", count as u32) as usize]),
        }
    }

    /// Makes steps on the thread of a host that waits. Returns whether it is the one that has the next turn. If not,
    /// the thread of the test continues with the step that was found.
    pub(crate) fn keep_turn(&mut self, host: HostId) -> bool {
        let kept = self.program(host).map_or(MAX_KEPT, |program| program.kept);
        let mut step = Step::Arrived;
        // A test that looks at each step does it on its own thread.
        if kept < MAX_KEPT && !self.lan.is_checked {
            while matches!(step, Step::Arrived | Step::Time) {
                step = self.next_step();
            }
        }
        let keeps = step == Step::Turn(host);
        if let Some(program) = self.program(host) {
            program.kept = if keeps { kept + 1 } else { 0 };
        }
        if keeps {
            self.begin_turn(host);
        } else if step != Step::Arrived {
            self.lan.next = Some(step);
        }
        keeps
    }

    fn move_time(&mut self) -> Step {
        let next_ns = match (self.next_ns(), self.first_deadline_ns()) {
            (Some(delivery), Some(deadline)) => delivery.min(deadline),
            (Some(next), None) | (None, Some(next)) => next,
            (None, None) => return Step::Deadlock,
        };
        if next_ns > self.lan.last_ns {
            return Step::Late;
        }
        self.now_ns = next_ns.max(self.now_ns);
        self.note("time", 0, 0);
        Step::Time
    }

    /// Makes one thing happen that is due.
    fn deliver_one(&mut self) -> Option<Step> {
        match self.take_due()? {
            Delivery::Action(number) => return Some(Step::Action(number)),
            Delivery::Work { host, work } => self.lan.hosts[host].work.push(work),
            Delivery::Resend { to, tries } => self.resend(to, tries),
            delivery => self.arrive_at_host(delivery),
        }
        Some(Step::Arrived)
    }
}
