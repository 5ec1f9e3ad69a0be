//! The tests of sockets once more, in the simulated world of `wakeful-sim`. Built only with the feature `world`:
//!
//! ```text
//! cargo test -p wakeful-tests --features world --test world [NAME]
//! ```
//!
//! The files are those of [`tests`](../tests), unedited: `#[test]` is the attribute of `world_macro`, which passes
//! the name and the body of a test to [`in_world`]. Each test runs in a process of its own, in one world after
//! another. The seeds follow from its name, see [`seeds`].
//!
//! A world has random delays, bytes that arrive in pieces, short writes, `EINTR`, `EAGAIN` without a cause, and random
//! orders of tasks and events. `world/list.txt` names the tests that count on less, and the *exceptions*, which
//! cannot run in a world, each with its reason. It is kept short: a test fails that is listed without need.

#[macro_use]
extern crate world_macro;

mod list;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Termination};
use std::{env, fs};

use list::{LIST, List, Place, Without};
use wakeful::seeds;
use wakeful_sim::{Faults, Options, enter};
use wakeful_tests::net_support::TempDir;
use wakeful_tests::trace::panic_of;

#[path = "../tests/abandoned_waits.rs"]
mod abandoned_waits;
#[path = "../tests/dump.rs"]
mod dump;
#[path = "../tests/fairness.rs"]
mod fairness;
#[path = "../tests/fairness_net.rs"]
mod fairness_net;
#[path = "../tests/fuzz_corpus.rs"]
mod fuzz_corpus;
#[path = "../tests/random_datagrams.rs"]
mod random_datagrams;
#[path = "../tests/recordings.rs"]
mod recordings;
#[path = "../tests/records.rs"]
mod records;
#[path = "../tests/relay.rs"]
mod relay;
#[path = "../tests/serve.rs"]
mod serve;
#[path = "../tests/socket_errors.rs"]
mod socket_errors;
#[path = "../tests/sockets_reliability.rs"]
mod sockets_reliability;
#[path = "../tests/stream_traits.rs"]
mod stream_traits;
#[path = "../tests/tcp.rs"]
mod tcp;
#[path = "../tests/udp.rs"]
mod udp;
#[path = "../tests/udp_segments.rs"]
mod udp_segments;
#[path = "../tests/unix.rs"]
mod unix;
#[path = "../tests/unix_datagram.rs"]
mod unix_datagram;
#[path = "../tests/waiting.rs"]
mod waiting;

/// The file whose tests install kernels of their own.
const KERNELS: &str = "kernel";

/// Worlds for each test. `WAKEFUL_SEEDS` replaces it.
const SEEDS: u32 = 5;

/// Worlds for a test that is expected to fail in one of them. Most fail in the first.
const MANY_SEEDS: &str = "200";

/// Set in the process of a test: to `1`, or to what its worlds are without, such as `without pieces order`.
/// Set to [`NAMES`], each test writes its name instead.
const VARIABLE: &str = "WAKEFUL_SIM";
const NAMES: &str = "names";
/// Path of a file that is created when a world is asked for anything.
const ASKED: &str = "WAKEFUL_SIM_ASKED";
/// Begins the line with a name.
const NAME_IS: &str = "a test of the world: ";

/// Seconds after which a test hangs: longer than any of them takes on a busy machine.
const HUNG: &str = "180";
/// The same for one that is expected to fail. A test that is only slow does not belong on the list: a faster machine
/// would run all its seeds in this time.
const EXCEPTION_HUNG: &str = "5";

/// Runs a test in worlds, if this is the process for it. Otherwise it starts that process, and compares the
/// outcome with the list. `panics` is a part of the message with which the test has to panic.
#[track_caller]
fn in_world<T: Termination>(path: &str, panics: Option<&str>, body: impl Fn() -> T) {
    let name = path.split_once("::").map_or(path, |(_program, name)| name);
    match env::var(VARIABLE).as_deref() {
        Err(_) => judge(name),
        Ok(NAMES) => println!("{NAME_IS}{name}"),
        Ok(text) => {
            let without =
                Without::parse(text).unwrap_or_else(|error| panic!("{VARIABLE}: {error}"));
            run(name, &without, panics, body);
        }
    }
}

/// The number of choices and the hash of all events of a world that was not asked anything.
const NOTHING: (u64, u64) = (0, 0);

fn run<T: Termination>(name: &str, without: &Without, panics: Option<&str>, body: impl Fn() -> T) {
    let once = |seed| {
        let world = enter(
            name,
            seed,
            Options::new().faults(faults(without)).allow_outside(true),
        );
        let code = match panics {
            None => body().report(),
            Some(expected) => {
                let message = panic_of(&body);
                assert!(message.contains(expected), "{message:?}");
                ExitCode::SUCCESS
            }
        };
        let repeats = !world.is_reached_from_outside();
        (code, (world.choices(), world.hash()), repeats)
    };
    let mut first = None;
    seeds::run(name, SEEDS, |seed| {
        if first == Some(NOTHING) {
            // More worlds would show no more, or the test has run in them in a process of its own.
            return ExitCode::SUCCESS;
        }
        let (code, asked, repeats) = once(seed);
        if first.is_none() && asked != NOTHING {
            let (_, again, repeats_again) = once(seed);
            // When a thread of the test wakes a task, or an event of a real descriptor comes, follows from no seed.
            if repeats && repeats_again {
                assert_eq!(asked, again, "two runs of the seed {seed:#x} differ");
            }
            if let Some(file) = env::var_os(ASKED) {
                fs::write(file, "").expect("a file that says that the world was asked");
            }
        }
        first.get_or_insert(asked);
        code
    });
}

fn faults(without: &Without) -> Faults {
    let faults = if without.delays {
        Faults::loopback()
    } else if without.pieces {
        Faults::delays_only()
    } else {
        Faults::lossless()
    };
    if without.order {
        faults.in_order()
    } else {
        faults
    }
}

/// Runs a test in a process of its own, and fails if the outcome is not that of the list.
#[track_caller]
fn judge(name: &str) {
    let list = List::parse(LIST).unwrap_or_else(|error| panic!("{error}"));
    match list.place(name) {
        Place::Nowhere => expect_pass(name, &Without::default()),
        Place::Without(without) => {
            expect_pass(name, &without);
            for more in without.each_with_one_more() {
                assert!(
                    !passes_in_many(name, &more),
                    "{name} passes with `{more}`: change its place in the list"
                );
            }
        }
        Place::Exception => {
            for without in [Without::default(), Without::everything()] {
                assert!(
                    !passes_in_many(name, &without),
                    "{name} passes in the world with `{without}`: take it off the list of exceptions"
                );
            }
        }
    }
}

/// Returns whether a test passes in many worlds. Seeds that the user has chosen show nothing about that.
fn passes_in_many(name: &str, without: &Without) -> bool {
    let are_chosen = ["WAKEFUL_SEED", "WAKEFUL_SEEDS"].map(|name| env::var_os(name).is_some());
    !are_chosen.contains(&true) && start(name, without, EXCEPTION_HUNG, Some(MANY_SEEDS)).passes()
}

#[track_caller]
fn expect_pass(name: &str, without: &Without) {
    let Outcome { output, was_asked } = start(name, without, HUNG, None);
    let result = match (succeeded(&output), was_asked) {
        (true, true) => return,
        (true, false) => "asks the world nothing",
        (false, _) => "fails in the world",
    };
    let mut kinds = Without::all().into_iter();
    let place = kinds.find(|without| start(name, without, EXCEPTION_HUNG, None).passes());
    let place = place.map_or("in no other, so it is an exception".to_owned(), |without| {
        format!("in one `{without}`")
    });
    panic!(
        "{name} {result}, {}. It passes {place}. Again, in one process: {VARIABLE}='{without}' cargo test \
         -p wakeful-tests --features world --test world {name}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// How the process of a test has ended.
struct Outcome {
    output: Output,
    /// Whether a world decided about a socket, a closure or the order of tasks.
    was_asked: bool,
}

impl Outcome {
    fn passes(&self) -> bool {
        succeeded(&self.output) && self.was_asked
    }
}

fn succeeded(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("1 passed")
}

/// Runs a test in a process of its own, which is ended after a time limit.
fn start(name: &str, without: &Without, limit: &str, seeds: Option<&str>) -> Outcome {
    let folder = TempDir::new();
    let asked = folder.join("asked");
    let output = Command::new("timeout")
        .args(["--signal=KILL", limit])
        .arg(this_program())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, without.to_string())
        .env(ASKED, &asked)
        .env("RUST_BACKTRACE", "0")
        .envs(seeds.map(|seeds| ("WAKEFUL_SEEDS", seeds)))
        .output()
        .expect("timeout(1) starts");
    Outcome {
        output,
        was_asked: asked.exists(),
    }
}

fn this_program() -> PathBuf {
    env::current_exe().expect("the path of this program")
}

#[::core::prelude::v1::test]
fn each_name_on_the_list_is_a_test() {
    let output = Command::new(this_program())
        .args(["--nocapture", "--test-threads=1"])
        .args(["--skip", "each_name_on_the_list_is_a_test"])
        .env(VARIABLE, NAMES)
        .output()
        .expect("this program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once(NAME_IS)?.1))
        .collect();
    let list = List::parse(LIST).unwrap_or_else(|error| panic!("{error}"));
    for name in list.names() {
        assert!(
            names.contains(&name),
            "the list names `{name}`, which is no test"
        );
    }
    let counted = list.summary(names.len());
    // Not captured, as it is the result of the run.
    writeln!(io::stderr(), "{counted}").expect("stderr is open");
}

#[::core::prelude::v1::test]
fn every_file_with_sockets_is_here() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let this = fs::read_to_string(package.join("world/main.rs")).expect("this file");
    let here: BTreeSet<&str> = this
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .filter(|name| *name != "list")
        .collect();
    let mut expected = BTreeSet::new();
    for entry in fs::read_dir(package.join("tests")).expect("the folder of tests") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.expect("a name").to_owned();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let uses_sockets = ["use wakeful_net::", "datagrams", "sockets_reliability/"];
        if uses_sockets.iter().any(|word| text.contains(word)) && name != KERNELS {
            expected.insert(name);
        }
    }
    assert_eq!(here, expected.iter().map(String::as_str).collect());
}
