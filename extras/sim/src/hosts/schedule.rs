//! A run with several hosts, and the beginning and end of their programs.
//!
//! ```text
//!   the thread of the test    next_step --> actions and checks of the test
//!                               |   ^
//!                             resume|
//!                               v   |
//!   the thread of a host      its program --> wait
//! ```
//!
//! A host that ends another one resumes it in the same way, and so lends its turn to it.

use std::any::Any;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Hosts;
use super::run::run_program;
use crate::net::hosts::HostId;
use crate::net::steps::Step;
use crate::panics::end_run;
use crate::run::Report;
use crate::world::World;
use crate::world::ends::{self, DEADLOCK, LATE, NO_HOST};
use crate::world::gate::{Crashed, Ended, Gate, Turn};

/// The program of a host.
pub(super) struct Program {
    closure: Arc<dyn Fn() + Send + Sync>,
    is_client: bool,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    /// After a crash, or a signal.
    Down,
    Runs {
        gate: Arc<Gate>,
        thread: JoinHandle<()>,
    },
    Ended,
}

/// How a program is ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With its host.
    Crash,
    /// By the kernel, which closes its descriptors.
    Exit,
}

/// Why a run fails, if it is not a panic of the test's thread.
pub(super) struct Failure {
    pub(super) payload: Box<dyn Any + Send>,
    pub(super) place: Option<String>,
    /// Whether a thread took part that is no part of the simulation.
    pub(super) is_from_outside: bool,
}

impl Program {
    pub(super) fn new(closure: Arc<dyn Fn() + Send + Sync>, is_client: bool) -> Self {
        Self {
            closure,
            is_client,
            phase: Phase::Down,
        }
    }
}

/// Returns the text of a panic.
pub(super) fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is no text")
}

impl Hosts {
    /// Runs until all clients have ended.
    ///
    /// # Errors
    ///
    /// What has ended a host that was not to end. A panic of the test's own code unwinds.
    pub(super) fn run_to_end(&self) -> Result<(), Failure> {
        loop {
            if let Some(failure) = self.state().failure.take() {
                return Err(failure);
            }
            let is_over = self.is_over();
            let step = if is_over {
                Step::Deadlock
            } else {
                self.net().next_step()
            };
            if step == Step::Deadlock
                && let Some(host) = self.woken_from_outside()
            {
                // Its next wait fails the run.
                self.resume(host);
                continue;
            }
            if is_over {
                return Ok(());
            }
            match step {
                Step::Turn(host) => self.resume(host),
                Step::Action(number) => {
                    let action = self.state().actions.remove(&number);
                    if let Some(action) = action {
                        action(self);
                    }
                }
                Step::Arrived | Step::Time => {}
                Step::Deadlock => {
                    let (at, hosts) = (self.elapsed(), self.describe_for_report());
                    end_run(format!(
                        "{DEADLOCK} after {at:?}: nothing is in flight, and no timer is armed: {hosts}"
                    ));
                }
                Step::Late => {
                    let last = Duration::from_nanos(self.net().lan.last_ns);
                    let hosts = self.describe_for_report();
                    end_run(format!("{LATE} after {last:?}: {hosts}"));
                }
                Step::Endless => {
                    let (at, hosts) = (self.elapsed(), self.describe_for_report());
                    let turns = self.net().lan.turns - 1;
                    end_run(format!("{}: {hosts}", ends::endless(at, turns)));
                }
            }
            self.check();
        }
    }

    /// # Panics
    ///
    /// When the test has made no host, because it would test nothing.
    pub(super) fn assert_has_some(&self) {
        if self.state().programs.is_empty() {
            end_run(format!(
                "{NO_HOST}: `Hosts::host` and `Hosts::client` make one, before its function returns"
            ));
        }
    }

    fn check(&self) {
        let checks = self.state().checks.clone();
        checks.iter().for_each(|check| check(self));
    }

    fn is_over(&self) -> bool {
        let state = self.state();
        let has_clients = state.programs.iter().any(|program| program.is_client);
        let mut counted = state
            .programs
            .iter()
            .filter(|program| program.is_client == has_clients);
        counted.all(|program| matches!(program.phase, Phase::Ended))
    }

    /// Returns what each host does, as text. The hosts' tasks are written when they are ended.
    fn describe_for_report(&self) -> String {
        let mut state = self.state();
        state.wants_dumps = self.shared.report == Report::Print;
        let net = self.net();
        let hosts = net.lan.hosts.iter().zip(&state.programs);
        let hosts = hosts.map(|(host, program)| {
            let does = match program.phase {
                Phase::Down if program.is_client => {
                    "is down, so it has not ended: `Hosts::restart` starts it again"
                }
                Phase::Down => "is down",
                Phase::Runs { .. } => "waits",
                Phase::Ended => "has ended",
            };
            format!("`{}` {does}", host.name)
        });
        hosts.collect::<Vec<_>>().join(", ")
    }

    /// Returns a line about the hosts whose programs do not run, but for one host. It is empty if there are none.
    fn describe_others(&self, but: HostId) -> String {
        let (state, net) = (self.state(), self.net());
        let hosts = net.lan.hosts.iter().zip(&state.programs).enumerate();
        let others = hosts.filter(|(host, _)| *host != but);
        let others = others.filter_map(|(_, (host, program))| match program.phase {
            Phase::Down => Some(format!("`{}` is down", host.name)),
            Phase::Ended => Some(format!("`{}` has ended", host.name)),
            Phase::Runs { .. } => None,
        });
        match others.collect::<Vec<_>>().join(", ") {
            others if others.is_empty() => others,
            others => format!("\n{others}"),
        }
    }

    fn name_of(&self, host: HostId) -> String {
        self.net().lan.hosts[host].name.clone()
    }

    /// Starts the program of a host. It runs with its first turn.
    pub(super) fn start(&self, host: HostId) {
        let name = self.name_of(host);
        let gate = Arc::new(Gate::new());
        let net = Arc::clone(&self.shared.net);
        let world = World::of_host(net, host, &name, Arc::clone(&gate));
        let closure = Arc::clone(&self.state().programs[host].closure);
        let is_quiet = self.shared.report != Report::Print;
        let thread = thread::Builder::new().name(name.clone()).spawn({
            let gate = Arc::clone(&gate);
            move || run_program(world, &gate, is_quiet, &*closure)
        });
        let thread = match thread {
            Ok(thread) => thread,
            Err(error) => panic!("starting the thread of host `{name}`: {error}"),
        };
        self.net().start_program(host);
        self.state().programs[host].phase = Phase::Runs { gate, thread };
    }

    fn gate(&self, host: HostId) -> Option<Arc<Gate>> {
        match &self.state().programs[host].phase {
            Phase::Runs { gate, .. } => Some(Arc::clone(gate)),
            _ => None,
        }
    }

    /// Returns whether this is the thread of a host.
    pub(super) fn is_current(&self, host: HostId) -> bool {
        match &self.state().programs[host].phase {
            Phase::Runs { thread, .. } => thread.thread().id() == thread::current().id(),
            _ => false,
        }
    }

    /// Lets a host run until it waits, or ends.
    fn resume(&self, host: HostId) {
        let Some(gate) = self.gate(host) else {
            return;
        };
        let mut net = self.net();
        net.begin_turn(host);
        let before = mem::replace(&mut net.lan.running, host);
        drop(net);
        let turn = gate.resume(self.shared.patience);
        self.net().lan.running = before;
        match turn {
            Turn::Waits => {}
            Turn::Ended(ended) => self.ended(host, ended),
            Turn::Stuck => self.stuck(host, &gate),
        }
    }

    /// A program has ended by itself, or because it was ended.
    fn ended(&self, host: HostId, ended: Ended) {
        let phase = mem::replace(&mut self.state().programs[host].phase, Phase::Down);
        let Phase::Runs { gate, thread } = phase else {
            return;
        };
        if !matches!(ended, Ended::Left) {
            // The destructors of its thread-locals come before anything else. Panics are caught.
            thread.join().ok();
        }
        if gate.is_dead() {
            return;
        }
        let name = self.name_of(host);
        let mut net = self.net();
        net.end_recordings(host);
        if let Ended::Panicked { payload, .. } = &ended {
            net.note_for_timeline(&name, &format!("panicked: {}", text_of(&**payload)));
        }
        let work = net.exit(host);
        drop(net);
        drop(work);
        let (text, place) = match ended {
            Ended::Panicked { payload, place } => {
                let others = self.describe_others(host);
                let text = format!("host `{name}` panicked: {}{others}", text_of(&*payload));
                (Some(text), place)
            }
            // After its last wait, which has not found it.
            _ => {
                let text = gate.outside.text(|| None);
                let text = text.map(|text| format!("host `{name}`: {text}"));
                (text, Some(format!("host `{name}`")))
            }
        };
        let mut state = self.state();
        state.programs[host].phase = Phase::Ended;
        if let Some(text) = text {
            state.failure = Some(Failure {
                payload: Box::new(text),
                place,
                is_from_outside: gate.outside.is_noted(),
            });
        }
    }

    /// Returns a host that waits and has been woken by a thread that is no part of the simulation.
    fn woken_from_outside(&self) -> Option<HostId> {
        self.state().programs.iter().position(
            |program| matches!(&program.phase, Phase::Runs { gate, .. } if gate.outside.is_noted()),
        )
    }

    /// A host runs and does not come back. Its thread is left behind.
    fn stuck(&self, host: HostId, gate: &Gate) {
        gate.kill();
        let name = self.name_of(host);
        let patience = self.shared.patience;
        let mut net = self.net();
        net.end_recordings(host);
        net.note_for_timeline(&name, &format!("has not waited for {patience:?}"));
        drop(net);
        let does = gate.doing();
        let does = does.unwrap_or("computes, or makes a call that blocks its thread".to_owned());
        let text = format!("host `{name}` has not waited for {patience:?}: it {does}");
        let mut state = self.state();
        state.programs[host].phase = Phase::Down;
        state.failure = Some(Failure {
            place: Some(format!("host `{name}`")),
            payload: Box::new(text),
            is_from_outside: false,
        });
    }

    /// Ends the program of a host, if one runs, and returns when its destructors have run. If it is the caller's,
    /// it unwinds.
    pub(super) fn end(&self, host: HostId, how: End) {
        let gate = self.gate(host);
        let is_current = self.is_current(host);
        let mut net = self.net();
        if let Some(gate) = &gate {
            net.end_recordings(host);
            gate.kill();
        }
        let work = match how {
            End::Crash => net.crash(host),
            End::Exit => net.exit(host),
        };
        drop(net);
        drop(work);
        if is_current {
            resume_unwind(Box::new(Crashed));
        }
        self.resume(host);
    }

    /// Ends all programs, and forgets what the test has set up: it can have clones of this value.
    pub(super) fn tear_down(&self) {
        let state = self.state();
        let (count, wants_dumps) = (state.programs.len(), state.wants_dumps);
        drop(state);
        for host in 0..count {
            if let Some(gate) = self.gate(host).filter(|_| wants_dumps) {
                // Before any of them is ended, because its dump shows its sockets and their peers.
                gate.ask_for_dump(self.shared.patience);
            }
        }
        for host in 0..count {
            self.end(host, End::Crash);
        }
        let mut state = self.state();
        let programs = mem::take(&mut state.programs);
        let actions = mem::take(&mut state.actions);
        let checks = mem::take(&mut state.checks);
        drop(state);
        drop((programs, actions, checks));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;
    use crate::faults::Faults;
    use crate::run;
    use crate::world::choices::Choices;
    use crate::world::tape::Tape;

    type Blocks = Arc<Mutex<mpsc::Receiver<()>>>;

    /// Returns why a run fails with a host whose program receives from a channel to which nothing is sent.
    fn stuck(patience: Duration, program: impl Fn(Blocks) + Send + Sync + 'static) -> String {
        // All choices are plain, so the first host begins.
        let choices = Choices::from_tape(Tape::new("test", None));
        let options = run::Options::new().faults(Faults::none());
        let net = run::new_net(choices, Report::Quiet, options);
        let hosts = Hosts::new(net, Report::Quiet, options, patience);
        let (release, blocks) = mpsc::channel();
        let blocks = Arc::new(Mutex::new(blocks));
        hosts.host("stuck", move || program(Arc::clone(&blocks)));
        hosts.client("client", || wakeful::time::sleep(Duration::from_secs(1)));
        let Err(failure) = hosts.run_to_end() else {
            panic!("the run has not failed");
        };
        hosts.tear_down();
        drop(release);
        text_of(&*failure.payload).to_owned()
    }

    #[test]
    fn a_host_that_does_not_come_back_is_named() {
        let patience = Duration::from_millis(20);
        let text = stuck(patience, |blocks| {
            blocks.lock().unwrap().recv().ok();
        });
        let begin = "host `stuck` has not waited for 20ms: it computes, or makes a call that";
        assert!(text.starts_with(begin), "{text}");
    }

    #[test]
    fn the_task_that_keeps_a_host_from_coming_back_is_named() {
        // So that it is polled before.
        let patience = Duration::from_secs(2);
        let text = stuck(patience, |blocks| {
            wakeful::block_on(async {
                let block = async move { blocks.lock().unwrap().recv().ok() };
                let task = wakeful::task::Builder::new().name("import").spawn(block);
                task.unwrap().await.unwrap();
            });
        });
        let begin =
            "host `stuck` has not waited for 2s: it is polling task 1.0 \"import\" (spawned at ";
        let end = "), and its thread sleeps";
        assert!(text.starts_with(begin) && text.contains(end), "{text}");
        assert!(text.contains("schedule.rs:"), "{text}");
    }
}
