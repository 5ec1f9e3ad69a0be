//! The programs of hosts: which one can run, what it waits for, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::os::fd::RawFd;

use wakeful::kernel::{Event, Work};

use super::clock::Clock;
use super::epoll::Watch;
use super::hosts::HostId;
use super::{Delivery, Net};

/// A host. Its machine can be up without a program.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) is_up: bool,
    pub(crate) clock: Clock,
    pub(crate) program: Option<Program>,
    /// Closures of the blocking pool that are due.
    pub(super) work: Vec<Work>,
}

/// One run of a host's program.
#[derive(Default)]
pub(crate) struct Program {
    /// `None` before the first wait.
    waits: Option<Waits>,
    /// Number of the last turn among those of all hosts.
    last_turn: u64,
    /// How often it has kept its turn since it gave it up.
    pub(super) kept: u32,
    /// Whether another host has woken a task.
    is_woken: bool,
    /// Descriptors in its epolls that are no sockets: eventfds, and that of signals.
    others: Vec<Watch>,
    /// Those of them that are due an event, because of a signal.
    others_ready: Vec<Watch>,
    /// How often each signal was caught, for those that have a listener.
    caught: BTreeMap<i32, u64>,
    listens: BTreeSet<i32>,
}

/// What a program waits for.
struct Waits {
    epoll: RawFd,
    /// What the clock of the host shows at its end, and the time of the simulation then; `None` if only an event ends
    /// the wait.
    until: Option<Deadline>,
}

#[derive(Clone, Copy)]
struct Deadline {
    shown_ns: u64,
    at_ns: u64,
}

impl Deadline {
    fn new(clock: &Clock, shown_ns: u64) -> Self {
        Self {
            shown_ns,
            at_ns: clock.when(shown_ns),
        }
    }
}

/// Returns whether a signal without a listener ends the program. See signal(7).
fn ends_program(signal: i32) -> bool {
    let harmless = [
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
        // Stopping a program is not part of the simulation.
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];
    !harmless.contains(&signal)
}

impl Net {
    pub(crate) fn add_host(&mut self, name: &str) -> HostId {
        self.lan.hosts.push(Host {
            name: name.to_owned(),
            is_up: false,
            clock: Clock::default(),
            program: None,
            work: Vec::new(),
        });
        self.lan.hosts.len() - 1
    }

    pub(crate) fn program(&mut self, host: HostId) -> Option<&mut Program> {
        self.lan.hosts.get_mut(host)?.program.as_mut()
    }

    pub(crate) fn start_program(&mut self, host: HostId) {
        self.note("start", 0, host as i64);
        let host = &mut self.lan.hosts[host];
        host.is_up = true;
        host.program = Some(Program::default());
        self.note_faults();
    }

    /// Switches a host off. Returns its closures, which the caller drops without a lock.
    pub(crate) fn crash(&mut self, host: HostId) -> Vec<Work> {
        self.note("crash", 0, host as i64);
        self.drop_sockets(host);
        self.lan.hosts[host].is_up = false;
        self.note_faults();
        self.end_program(host)
    }

    /// Ends a program whose host stays up. Returns its closures, as [`crash`](Self::crash).
    pub(crate) fn exit(&mut self, host: HostId) -> Vec<Work> {
        self.note("exit", 0, host as i64);
        self.close_sockets(host);
        self.end_program(host)
    }

    fn end_program(&mut self, host: HostId) -> Vec<Work> {
        let of_host = &mut self.lan.hosts[host];
        of_host.program = None;
        let mut ended = mem::take(&mut of_host.work);
        for flight in mem::take(&mut self.in_flight) {
            match flight.delivery {
                Delivery::Work { host: of, work } if of == host => ended.push(work),
                _ => self.in_flight.push_back(flight),
            }
        }
        ended
    }

    /// Returns what the clock of a host shows.
    pub(crate) fn host_now_ns(&self, host: HostId) -> u64 {
        match self.lan.hosts.get(host) {
            Some(host) => host.clock.at(self.now_ns),
            None => self.now_ns,
        }
    }

    /// Returns the hosts whose programs can run, the one first that has run least recently.
    pub(super) fn able_hosts(&self) -> Vec<HostId> {
        let able = self.lan.hosts.iter().enumerate().filter_map(|(id, host)| {
            let program = host.program.as_ref()?;
            let is_able = !host.work.is_empty() || self.is_able(program);
            is_able.then_some((program.last_turn, id))
        });
        let mut able: Vec<_> = able.collect();
        able.sort_unstable();
        able.into_iter().map(|(_, id)| id).collect()
    }

    fn is_able(&self, program: &Program) -> bool {
        let Some(waits) = &program.waits else {
            return true;
        };
        program.is_woken
            || program
                .others_ready
                .iter()
                .any(|watch| watch.epoll == waits.epoll)
            || waits.until.is_some_and(|until| until.at_ns <= self.now_ns)
            || self.has_event(waits.epoll)
    }

    /// Returns the time until which the first program waits.
    pub(super) fn first_deadline_ns(&self) -> Option<u64> {
        let programs = self.lan.hosts.iter().flat_map(|host| &host.program);
        let waits = programs.flat_map(|program| &program.waits);
        let deadlines = waits.filter_map(|waits| waits.until);
        deadlines.map(|until| until.at_ns).min()
    }

    /// Begins the turn of a host.
    pub(crate) fn begin_turn(&mut self, host: HostId) {
        self.note("turn", 0, host as i64);
        self.lan.turns += 1;
        let turns = self.lan.turns;
        if let Some(program) = self.program(host) {
            program.last_turn = turns;
        }
    }

    /// A host begins to wait, for at most `limit_ns` of its clock.
    pub(crate) fn begin_wait(&mut self, host: HostId, epoll: RawFd, limit_ns: Option<u64>) {
        let clock = self.lan.hosts[host].clock;
        let shown_ns = clock.at(self.now_ns);
        let until = limit_ns.map(|limit| Deadline::new(&clock, shown_ns.saturating_add(limit)));
        if let Some(program) = self.program(host) {
            program.waits = Some(Waits { epoll, until });
        }
    }

    /// Sets the clock of a host. A wait of its program ends when the new one shows the time.
    pub(crate) fn set_clock(&mut self, host: HostId, offset_ns: u64, drift_ppm: i32) {
        let now_ns = self.now_ns;
        let host_of = &mut self.lan.hosts[host];
        host_of.clock.set(now_ns, offset_ns, drift_ppm);
        let clock = host_of.clock;
        let waits = host_of
            .program
            .iter_mut()
            .flat_map(|program| &mut program.waits);
        for until in waits.flat_map(|waits| &mut waits.until) {
            *until = Deadline::new(&clock, until.shown_ns);
        }
        self.note_clock(host, clock);
    }

    /// Takes the closures that are due.
    pub(crate) fn take_work(&mut self, host: HostId) -> Vec<Work> {
        mem::take(&mut self.lan.hosts[host].work)
    }

    /// Takes the next event of a program's epoll.
    pub(crate) fn next_event_of(&mut self, host: HostId, epoll: RawFd) -> Option<Event> {
        let program = self.program(host)?;
        let mut others = program.others_ready.iter();
        if let Some(place) = others.position(|watch| watch.epoll == epoll) {
            let watch = program.others_ready.remove(place);
            return Some(Event {
                token: watch.token,
                flags: libc::EPOLLIN as u32,
            });
        }
        self.next_event(epoll)
    }

    /// The wait of a program has ended.
    pub(crate) fn end_wait(&mut self, host: HostId) {
        if let Some(program) = self.program(host) {
            program.is_woken = false;
        }
    }

    /// A descriptor is written, which can be in an epoll of any program.
    pub(crate) fn wake(&mut self, fd: RawFd) {
        for host in &mut self.lan.hosts {
            if let Some(program) = &mut host.program {
                program.is_woken |= program.others.iter().any(|watch| watch.fd == fd);
            }
        }
    }

    /// Sends a signal to a program. Returns whether it ends the program.
    #[must_use]
    pub(crate) fn signal(&mut self, host: HostId, signal: i32) -> bool {
        self.note("signal", 0, signal.into());
        let Some(program) = self.program(host) else {
            return false;
        };
        if !program.listens.contains(&signal) {
            return ends_program(signal);
        }
        *program.caught.entry(signal).or_default() += 1;
        // The descriptor of signals is one of them. For the others it is one event too many.
        program.others_ready.clone_from(&program.others);
        false
    }
}

impl Program {
    /// Returns how often a signal was caught. To ask for it makes a listener.
    pub(crate) fn caught(&mut self, signal: i32) -> u64 {
        self.listens.insert(signal);
        self.caught.get(&signal).copied().unwrap_or(0)
    }

    pub(crate) fn watch_other(&mut self, watch: Watch) {
        self.others.push(watch);
    }

    pub(crate) fn unwatch_other(&mut self, epoll: RawFd, fd: RawFd) {
        let is_it = |watch: &Watch| watch.epoll == epoll && watch.fd == fd;
        self.others.retain(|watch| !is_it(watch));
        self.others_ready.retain(|watch| !is_it(watch));
    }
}
