//! Runs of a test with several hosts, and the thread of a host.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use wakeful::kernel::{self, Kernel, Verdict, Wait};

use super::Hosts;
use super::pin::Pinned;
use super::schedule::text_of;
use crate::panics::end_run;
use crate::run::{self, Options, Report, Run};
use crate::world::choices::Choices;
use crate::world::ends::BESIDE;
use crate::world::gate::{Crashed, Ended, Gate};
use crate::world::tape::Tape;
use crate::world::{SharedNet, World, lock};
use crate::{exits, panics};

/// The time of the machine for which a host can run without a wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// As [`run_seed`](crate::run_seed), for several hosts. `setup` makes them. A panic of the test or of a host is in the
/// result.
pub fn run_seed(test: &str, seed: u64, options: Options, setup: impl Fn(&Hosts)) -> Run {
    run::with_seed(test, seed, &|choices, report| {
        run_once(choices, options, report, &setup)
    })
}

/// As [`run_tape`](crate::run_tape), for several hosts.
pub fn run_tape(tape: Tape, options: Options, setup: impl Fn(&Hosts)) -> Run {
    run::with_tape(tape, &|choices, report| {
        run_once(choices, options, report, &setup)
    })
}

/// As [`shrink_tape`](crate::shrink_tape), for several hosts.
pub fn shrink_tape(tape: Tape, options: Options, setup: impl Fn(&Hosts)) -> Tape {
    let once = |choices, report| run_once(choices, options, report, &setup);
    run::shrink(tape, &once).tape
}

/// As [`check`](crate::check), for several hosts. `setup` is called once for each run, and makes the hosts.
/// [`test!`](crate::test) calls it for a function that is not `async`.
///
/// # Panics
///
/// As [`check`](crate::check). For a host that panics the message begins with its name.
pub fn check(test: &str, options: Options, setup: impl Fn(&Hosts)) {
    run::check(test, options, &|choices, report| {
        run_once(choices, options, report, &setup)
    });
}

/// The name of the test's own code on a timeline. No host has one with a space.
const THE_TEST: &str = "the test";

/// The kernel of the test's own thread: its actions and checks can wake tasks, but have no runtime.
struct Outside(SharedNet);

impl Kernel for Outside {
    fn wake(&self, eventfd: BorrowedFd<'_>) -> Verdict<()> {
        lock(&self.0).wake(eventfd.as_raw_fd());
        Verdict::Real
    }

    fn wait(&self, _wait: &mut Wait<'_>) -> io::Result<()> {
        end_run(format!(
            "{BESIDE}, whose time is that of the machine: let it run in a program of `Hosts::host`, or let \
             `Hosts::client` build it"
        ));
    }
}

fn run_once(choices: Choices, options: Options, report: Report, setup: &impl Fn(&Hosts)) -> Run {
    let pinned = Pinned::new();
    let net = run::new_net(choices, report, options);
    let installed = kernel::install(Arc::new(Outside(Arc::clone(&net))));
    let hosts = Hosts::new(Arc::clone(&net), report, options, PATIENCE);
    let whole = AssertUnwindSafe(|| {
        setup(&hosts);
        hosts.assert_has_some();
        hosts.run_to_end()
    });
    let outcome = exits::named(exits::of_test, || catch_unwind(whole));
    let (panic, place, is_from_outside) = match outcome {
        Ok(Ok(())) => (None, None, false),
        Ok(Err(failure)) => {
            let from_outside = failure.is_from_outside;
            (Some(failure.payload), failure.place, from_outside)
        }
        Err(panic) => {
            let text = text_of(&*panic).to_owned();
            lock(&net).note_for_timeline(THE_TEST, &text);
            (Some(panic), None, false)
        }
    };
    // Before the end of the programs, which is none of the run.
    let timeline = lock(&net).take_timeline();
    hosts.tear_down();
    drop((pinned, installed));
    let mut run = Run::of(&net, panic);
    run.place = place;
    run.timeline = timeline.map(Ok);
    run.is_from_outside = is_from_outside;
    run
}

/// Runs the program of a host on the thread that is made for it.
pub(super) fn run_program(
    world: World,
    gate: &Gate,
    is_quiet: bool,
    program: &(dyn Fn() + Send + Sync),
) {
    gate.begin();
    if gate.is_dead() {
        return gate.end(Ended::Unwound);
    }
    let installed = kernel::install(Arc::new(world));
    let (outcome, place) = panics::observed(is_quiet, || {
        exits::named(exits::of_host, || catch_unwind(AssertUnwindSafe(program)))
    });
    drop(installed);
    gate.end(match outcome {
        Ok(()) => Ended::Returned,
        Err(payload) if payload.is::<Crashed>() => Ended::Unwound,
        Err(payload) => Ended::Panicked { payload, place },
    });
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use wakeful::runtime::{Builder, Runtime};
    use wakeful::time::{sleep, timeout};
    use wakeful_net::{TcpListener, TcpStream, UdpSocket};
    use wakeful_trace::{Format, Model, Trace};

    use super::*;
    use crate::faults::Faults;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Records a run without faults whose choices are all plain.
    fn recorded(setup: impl Fn(&Hosts)) -> (Run, Trace) {
        let choices = Choices::from_tape(Tape::new("test", None));
        let options = Options::new().faults(Faults::none());
        let quietly = || run_once(choices, options, Report::Record, &setup);
        let (mut run, _) = panics::observed(true, quietly);
        let timeline = run.timeline.take().expect("a timeline");
        (run, timeline.unwrap())
    }

    fn text(trace: &Trace) -> String {
        String::from_utf8(Format::Text.render(trace)).unwrap()
    }

    /// Returns the name, the begin and the end in milliseconds, and the text of each note.
    fn notes(trace: &Trace) -> Vec<(&str, u64, u64, &str)> {
        let notes = trace.notes.iter();
        let ms = |ns: u64| ns / 1_000_000;
        notes
            .map(|note| (&*note.name, ms(note.begin), ms(note.end), &*note.text))
            .collect()
    }

    async fn serve() {
        let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            wakeful::spawn(async move {
                stream.read_exact(&mut [0]).await.ok();
            });
        }
    }

    #[test]
    fn a_timeline_has_all_runs_of_a_host_up_to_its_crash_on_the_time_of_the_simulation() {
        let (run, trace) = recorded(|sim| {
            sim.host("server", || Runtime::new().unwrap().block_on(serve()));
            sim.client("client", async || {
                sleep(secs(1)).await;
                let stream = TcpStream::connect("server:7000").await.unwrap();
                timeout(secs(9), stream.read(&mut [0])).await.unwrap_err();
                panic!("no answer\nat all");
            });
            // Its clock shows half of the time that passes, then twice as much.
            sim.clock("client", Duration::ZERO, -500_000);
            sim.at(secs(6), |sim| sim.clock("client", secs(7), 1_000_000));
            sim.between(secs(3), secs(5), |sim| sim.crash("server"));
            sim.at(secs(4), |sim| sim.partition("client", "server"));
        });
        // 1 s of its clock takes 2 s, then 9 s take 4 s and 3.5 s.
        assert_eq!(run.elapsed.as_millis(), 9_500);
        let expected = [
            ("server", 3_000, 5_000, "crashed"),
            ("server", 4_000, 9_500, "no way to client"),
            ("client", 4_000, 9_500, "no way to server"),
            ("client", 9_500, 9_500, "panicked: no answer"),
        ];
        assert_eq!(notes(&trace), expected);
        let names: Vec<_> = trace
            .runtimes
            .iter()
            .map(|runtime| &*runtime.name)
            .collect();
        assert_eq!(names, ["server", "server", "client"]);
        let model = Model::new(&trace);
        assert_eq!(model.groups.len(), 2);
        let ms = |ns: u64| ns / 1_000_000;
        // The task of the connection lives from the client's begin to the crash.
        let lives = model.tasks.iter().filter(|task| !task.is_root());
        let lives = lives.map(|task| (ms(task.begin), ms(model.task_end(task))));
        assert_eq!(lives.collect::<Vec<_>>(), [(2_000, 3_000)]);
        let polls = model.polls.iter().map(|poll| (poll.task, ms(poll.begin)));
        let root = model.tasks.iter().rposition(|task| task.is_root()).unwrap();
        let of_client = polls.filter(|(task, _)| *task == root).map(|(_, ms)| ms);
        assert_eq!(of_client.collect::<Vec<_>>(), [0, 2_000, 2_000, 9_500]);
        let text = text(&trace);
        assert!(!text.contains("aborted"), "after the crash: {text}");
    }

    #[test]
    fn the_timeline_of_a_deadlock_has_what_each_host_waits_for_until_the_end() {
        let (_, trace) = recorded(|sim| {
            for name in ["a", "b"] {
                sim.client(name, async || {
                    sleep(secs(1)).await;
                    let socket = UdpSocket::bind("0.0.0.0:9").await.unwrap();
                    socket.recv_from(&mut [0]).await.unwrap();
                });
            }
            sim.at(secs(7), |_| ());
        });
        let [(name, 7_000, 7_000, text)] = notes(&trace)[..] else {
            panic!("{:?}", trace.notes);
        };
        assert!(
            name == "the test" && text.starts_with("deadlock after 7"),
            "{text}"
        );
        let model = Model::new(&trace);
        let open = model.waits.iter().filter(|wait| wait.end.is_none());
        let open = open.map(|wait| (wait.begin / 1_000_000, model.wait_end(wait) / 1_000_000));
        assert_eq!(open.collect::<Vec<_>>(), [(1_000, 7_000); 2]);
    }

    #[test]
    fn a_host_that_crashes_itself_or_drops_its_runtimes_is_on_the_timeline() {
        let (_, trace) = recorded(|sim| {
            sim.host("two", || {
                for mark in ["first", "second"] {
                    let runtime = Builder::new().build().unwrap();
                    runtime.block_on(async {
                        sleep(secs(1)).await;
                        wakeful::trace::mark(mark);
                    });
                }
            });
            let itself = sim.clone();
            sim.client("crashes", move || {
                let sim = itself.clone();
                async move {
                    sleep(secs(1)).await;
                    wakeful::trace::mark("last words");
                    sim.crash("crashes");
                }
            });
            sim.at(secs(4), |_| panic!("the test's own"));
        });
        let text = text(&trace);
        for line in [
            "+1.0000",
            "mark \"last words\"",
            "mark \"first\"",
            "mark \"second\"",
        ] {
            assert!(text.contains(line), "{line} {text}");
        }
        let expected = [
            ("crashes", 1_000, 4_000, "crashed"),
            ("the test", 4_000, 4_000, "the test's own"),
        ];
        assert_eq!(notes(&trace), expected);
        let runtimes = trace.runtimes.iter();
        let ends = runtimes.map(|runtime| (&*runtime.name, runtime.end / 1_000_000));
        // In the order in which the hosts were made.
        let expected = [("two", 1_000), ("two", 2_000), ("crashes", 1_000)];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_host_that_does_not_come_back_is_on_the_timeline_with_its_poll() {
        let choices = Choices::from_tape(Tape::new("test", None));
        let options = Options::new().faults(Faults::none());
        let net = run::new_net(choices, Report::Record, options);
        let patience = Duration::from_millis(20);
        let hosts = Hosts::new(Arc::clone(&net), Report::Record, options, patience);
        let (release, blocks) = mpsc::channel::<()>();
        let blocks = std::sync::Mutex::new(blocks);
        hosts.host("stuck", move || {
            Runtime::new().unwrap().block_on(async {
                sleep(secs(1)).await;
                blocks.lock().unwrap().recv().ok();
            });
        });
        assert!(hosts.run_to_end().is_err());
        let trace = lock(&net).take_timeline().unwrap();
        let model = Model::new(&trace);
        let last = model.polls.last().unwrap();
        assert_eq!(last.outcome, wakeful_trace::model::Outcome::Unfinished);
        assert_eq!(last.begin / 1_000_000, 1_000);
        assert_eq!(
            notes(&trace),
            [("stuck", 1_000, 1_000, "has not waited for 20ms")]
        );
        drop(release);
        hosts.tear_down();
    }

    #[test]
    fn only_a_run_for_a_timeline_is_recorded_and_its_files_are_removed() {
        // Whether it is recorded, the file of another runtime, whether there is a timeline, and the hash.
        let run = |report| {
            let found = Arc::new(std::sync::Mutex::new((false, None)));
            let choices = Choices::from_tape(Tape::new("test", None));
            let run = run_once(choices, Options::new(), report, &|sim: &Hosts| {
                let found = Arc::clone(&found);
                sim.client("client", move || {
                    let found = Arc::clone(&found);
                    let file = kernel::current().and_then(|kernel| kernel.recording());
                    if let Some(file) = &file {
                        std::fs::write(file, "no recording").unwrap();
                    }
                    async move {
                        *found.lock().unwrap() = (wakeful::trace::is_recording(), file);
                    }
                });
            });
            let (is_recorded, file) = found.lock().unwrap().clone();
            (is_recorded, file, run.timeline.is_some(), run.hash)
        };
        let (is_recorded, file, has_timeline, hash) = run(Report::Print);
        assert_eq!((is_recorded, file, has_timeline), (false, None, false));
        let (is_recorded, file, has_timeline, hash_of_recorded) = run(Report::Record);
        assert!(is_recorded && has_timeline);
        assert_eq!(hash_of_recorded, hash);
        let file = file.unwrap();
        assert!(!file.exists(), "{}", file.display());
    }
}
