//! The report of a seed that fails: its lines, its files, and what it says about a tape.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

use async_lock::Mutex;
use wakeful::runtime::Runtime;
use wakeful::task::{Builder, yield_now};
use wakeful::time::{sleep, timeout};
use wakeful_net::{TcpListener, TcpStream, UnixListener};
use wakeful_sim::{Faults, Hosts, Sim};

/// Set in a process in which the tests below fail.
const FAILS: &str = "WAKEFUL_SIM_FAILS";

fn fails() -> bool {
    env::var_os(FAILS).is_some()
}

wakeful_sim::test! {
    seeds = 500;
    /// In each of ten rounds two tasks say their numbers. Fails if two certain rounds have the other order.
    async fn two_orders_matter(_sim: Sim) {
        let mut reversed = Vec::new();
        for round in 0..10 {
            let said = Rc::new(RefCell::new(Vec::new()));
            for (number, name) in [(1, "one"), (2, "two")] {
                let said = Rc::clone(&said);
                let say = async move { said.borrow_mut().push(number) };
                Builder::new().name(name).spawn(say).unwrap();
            }
            // Each round makes one choice between the two.
            sleep(Duration::from_secs(1)).await;
            assert_eq!(said.borrow().len(), 2);
            if *said.borrow() == [2, 1] {
                reversed.push(round);
            }
        }
        let both = reversed.contains(&3) && reversed.contains(&7);
        if both {
            wakeful::trace::mark("both are reversed");
        }
        assert!(!(fails() && both), "both");
    }
}

wakeful_sim::test! {
    seeds = 500;
    /// Two tasks that take two locks in opposite orders, or in the same order.
    async fn two_locks_do_not_hang(_sim: Sim) {
        let locks = [(); 2].map(|()| Rc::new(Mutex::new(())));
        let order = if fails() { [1, 0] } else { [0, 1] };
        let tasks = [("first", [0, 1]), ("second", order)].map(|(name, order)| {
            let [one, other] = order.map(|index| Rc::clone(&locks[index]));
            let task = async move {
                let _one = one.lock().await;
                yield_now().await;
                let _other = other.lock().await;
            };
            Builder::new().name(name).spawn(task).unwrap()
        });
        for task in tasks {
            task.await.unwrap();
        }
    }
}

wakeful_sim::test! {
    seeds = 20;
    faults = Faults::lossless();
    /// A client asks a server five times, which crashes meanwhile. Fails if it is asked again after the crash.
    fn a_client_of_a_server_that_crashes(sim: &Hosts) {
        sim.host("server", || Runtime::new().unwrap().block_on(serve()));
        sim.client("client", async || {
            for number in 0..5 {
                sleep(Duration::from_secs(1)).await;
                let asked = timeout(Duration::from_secs(2), ask()).await;
                assert!(!fails() || number < 4, "asked {asked:?}");
            }
        });
        // Half of the rate of the simulation.
        sim.clock("server", Duration::ZERO, -500_000);
        let at = Duration::from_millis;
        sim.between(at(2_500), at(4_500), |sim| sim.crash("server"));
        sim.between(at(1_500), at(2_000), |sim| sim.partition("client", "server"));
    }
}

async fn serve() {
    let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = async move {
            // 0.4 s of the simulation.
            sleep(Duration::from_millis(200)).await;
            stream.write_all(b"!").await.ok();
        };
        Builder::new().name("answer").spawn(answer).unwrap();
    }
}

async fn ask() -> std::io::Result<()> {
    let stream = TcpStream::connect("server:7000").await?;
    stream.read_exact(&mut [0]).await?;
    Ok(())
}

wakeful_sim::test! {
    seeds = 1;
    /// A client that ends in time, or too late.
    fn a_client_ends(sim: &Hosts) {
        let hours = if fails() { 2 } else { 1 };
        sim.client("client", move || sleep(Duration::from_secs(3_600 * hours)));
        sim.end_by(Duration::from_secs(3_700));
    }
}

wakeful_sim::test! {
    seeds = 1;
    fn a_test_has_a_host(sim: &Hosts) {
        if !fails() {
            sim.client("client", async || {});
        }
    }
}

wakeful_sim::test! {
    seeds = 1;
    fn the_thread_of_a_test_has_no_runtime(sim: &Hosts) {
        sim.client("client", async || {});
        if fails() {
            wakeful::block_on(async { sleep(Duration::from_millis(1)).await });
        }
    }
}

wakeful_sim::test! {
    seeds = 1;
    faults = Faults::none();
    /// A server and a client of which each can wait for the other.
    async fn both_ends_do_not_wait(_sim: Sim) {
        let waiting = UnixListener::bind("\0waiting").unwrap();
        let accept = async move { waiting.accept().await.map(drop).unwrap() };
        Builder::new().name("accept").spawn(accept).unwrap();
        let listener = TcpListener::bind("127.0.0.1:7000").await.unwrap();
        let serve = async move {
            let (stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 2]).await.ok();
        };
        Builder::new().name("serve").spawn(serve).unwrap();
        let stream = TcpStream::connect("127.0.0.1:7000").await.unwrap();
        if fails() {
            stream.read_exact(&mut [0]).await.unwrap();
        }
    }
}

wakeful_sim::test! {
    seeds = 1;
    faults = Faults::none();
    /// The same, on two hosts.
    fn two_hosts_do_not_wait(sim: &Hosts) {
        sim.host("server", || wakeful::block_on(async {
            let listener = TcpListener::bind("0.0.0.0:7000").await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 2]).await.ok();
        }));
        sim.client("client", async || {
            sleep(Duration::from_secs(1)).await;
            let stream = TcpStream::connect("server:7000").await.unwrap();
            if fails() {
                stream.read_exact(&mut [0]).await.unwrap();
            }
        });
    }
}

/// Runs a test of this file in a process of its own.
fn run(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(env::current_exe().unwrap());
    for name in ["WAKEFUL_SEED", "WAKEFUL_SEEDS", "WAKEFUL_TAPE", FAILS] {
        child.env_remove(name);
    }
    child.args(["--exact", test, "--nocapture"]);
    child.envs(variables.iter().copied()).output().unwrap()
}

/// Returns what a test writes that fails.
fn failure(test: &str, variables: &[(&str, &str)]) -> String {
    let variables = [variables, &[(FAILS, "1")]].concat();
    let output = run(test, &variables);
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// Returns the rest of the line that begins so.
#[track_caller]
fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    let mut found = text.lines().filter_map(|line| line.strip_prefix(begin));
    let line = found.next();
    assert!(found.next().is_none(), "{begin} occurs twice in {text}");
    line.unwrap_or_else(|| panic!("{begin} is not in {text}"))
}

/// Writes a tape to a file that this process alone has.
fn tape_file(name: &str, tape: &str) -> PathBuf {
    let path = env::temp_dir().join(format!("wakeful-sim-{}-{name}.tape", std::process::id()));
    fs::write(&path, tape).unwrap();
    path
}

#[test]
fn a_report_names_seed_and_place_and_its_files_repeat_and_show_the_failure() {
    let text = failure("two_orders_matter", &[]);
    let head = line(&text, "reports::two_orders_matter: seed 0x");
    assert!(head.contains(" of 500): panicked after 10.0"), "{head}");
    assert!(head.contains("s at extras/sim/tests/reports.rs:"), "{head}");
    line(&text, "  both");
    let again = line(&text, "again:    WAKEFUL_SEED=0x");
    assert!(again.ends_with(" cargo test two_orders_matter"), "{again}");
    let shrunk = line(&text, "shrunk:   2 of ");
    assert!(shrunk.contains(" choices matter, of "), "{shrunk}");
    assert!(shrunk.contains("): order "), "{shrunk}");
    let tape = line(&text, "tape:     ");
    assert!(tape.ends_with("wakeful-sim/reports-two_orders_matter.tape"));
    // The timeline is that of the shrunk run.
    let page = line(&text, "timeline: ");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("extras/sim/tests/reports.rs:"));
    assert!(page.contains("both are reversed"), "it shows the failure");
    let kept = tape_file("kept", &fs::read_to_string(tape).unwrap());
    let again = failure(
        "two_orders_matter",
        &[("WAKEFUL_TAPE", kept.to_str().unwrap())],
    );
    let head = line(&again, "reports::two_orders_matter: tape ");
    assert!(head.contains(": panicked after 10.0"), "{head}");
    line(&again, "  both");
    assert!(Path::new(line(&again, "timeline: ")).is_file());
    fs::remove_file(kept).unwrap();
}

#[test]
fn the_timeline_of_several_hosts_has_each_host_and_its_crash() {
    let text = failure("a_client_of_a_server_that_crashes", &[]);
    let page = fs::read_to_string(line(&text, "timeline: ")).unwrap();
    assert!(page.contains("<title>Wakeful: server, client</title>"));
    assert!(page.contains(" of 3 runtimes"), "the server has two");
    assert!(
        page.contains("\"groups\":[\"server\",\"client\"]"),
        "on lanes of one host"
    );
    let notes = [
        "no way to server",
        "no way to client",
        "crashed",
        "panicked: asked",
    ];
    for note in notes {
        assert!(page.contains(&format!("\"{note}")), "{note}");
    }
}

#[test]
fn the_command_of_a_report_repeats_the_failure() {
    let text = failure("two_orders_matter", &[]);
    let again = line(&text, "again:    WAKEFUL_SEED=");
    let (seed, _) = again.split_once(' ').unwrap();
    let again = failure("two_orders_matter", &[("WAKEFUL_SEED", seed)]);
    let head = format!("reports::two_orders_matter: seed {seed} (1 of 1): panicked after");
    line(&again, &head);
}

#[test]
fn the_report_of_a_deadlock_lists_the_root_and_the_tasks_once() {
    let text = failure("two_locks_do_not_hang", &[]);
    let head = line(&text, "reports::two_locks_do_not_hang: seed 0x");
    let nothing = "nothing is in flight, and no timer is armed";
    assert!(
        head.contains(": deadlock after ") && head.ends_with(nothing),
        "{head}"
    );
    assert!(line(&text, "  root: ").starts_with("waits "));
    let first = line(&text, "  task 1.0 \"first\": spawned at ");
    assert!(first.contains("1 clone of its waker exists"), "{first}");
    line(&text, "  task 2.0 \"second\": spawned at ");
    assert!(!text.contains("panicked at"), "{text}");
}

#[test]
fn what_the_simulation_itself_finds_has_no_place_in_it() {
    for (test, why) in [
        (
            "a_client_ends",
            "the clients have not ended after 3700s: `client` waits",
        ),
        ("a_test_has_a_host", "the test has made no host: "),
        (
            "the_thread_of_a_test_has_no_runtime",
            "a runtime waits on the thread of the test, ",
        ),
    ] {
        let text = failure(test, &[]);
        let head = line(&text, &format!("reports::{test}: seed 0x"));
        assert!(head.contains(&format!(" (1 of 1): {why}")), "{head}");
        assert!(!text.contains("panicked at"), "{text}");
    }
}

#[test]
fn the_report_of_a_deadlock_has_the_addresses_of_simulated_sockets() {
    let text = failure("both_ends_do_not_wait", &[]);
    let client = ", TCP stream 127.0.0.1:40002, peer 127.0.0.1:7000)";
    let root = line(&text, "  root: waits ");
    assert!(root.contains(client), "{root}");
    let server = ", TCP stream 127.0.0.1:7000, peer 127.0.0.1:40002)";
    let task = line(&text, "  task 2.0 \"serve\": ");
    assert!(task.contains(server), "{task}");
    let task = line(&text, "  task 1.0 \"accept\": ");
    assert!(task.contains(", Unix listener @waiting)"), "{task}");
}

#[test]
fn the_dump_of_each_host_has_the_addresses_of_its_sockets() {
    let text = failure("two_hosts_do_not_wait", &[]);
    line(&text, "reports::two_hosts_do_not_wait: seed 0x");
    let hosts = text.split_once("host `server`: ");
    let (_, hosts) = hosts.unwrap_or_else(|| panic!("no dump in {text}"));
    for socket in [
        ", TCP stream 10.0.0.1:7000, peer 10.0.0.2:40002)",
        ", TCP stream 10.0.0.2:40002, peer 10.0.0.1:7000)",
    ] {
        assert!(hosts.contains(socket), "{socket} is not in {text}");
    }
}

#[test]
fn a_tape_that_does_not_fail_any_more_says_so() {
    let tape =
        "wakeful-sim tape 1\ntest reports::two_orders_matter\norder 2 = 1 of 2\nold 7 = 1 of 2\n";
    let file = tape_file("old", tape);
    let path = file.to_str().unwrap();
    let output = run("two_orders_matter", &[("WAKEFUL_TAPE", path), (FAILS, "1")]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    let line = line(
        &text,
        "wakeful: reports::two_orders_matter: the run of the tape ",
    );
    let end = "did not fail; it made 1 of the 2 choices on the tape";
    assert!(line.ends_with(end), "{line}");
    fs::remove_file(file).unwrap();
}

#[test]
fn a_tape_that_cannot_be_run_says_why() {
    let other = tape_file("other", "wakeful-sim tape 1\ntest another\n");
    let path = other.to_str().unwrap();
    let text = failure("two_orders_matter", &[("WAKEFUL_TAPE", path)]);
    let why = "it is a tape of the test `another`, not of `reports::two_orders_matter`";
    assert!(text.contains(why), "{text}");
    let text = failure("two_orders_matter", &[("WAKEFUL_TAPE", "no/such.tape")]);
    let why =
        "WAKEFUL_TAPE=no/such.tape: No such file or directory (os error 2). The test runs in /";
    assert!(text.contains(why), "{text}");
    fs::remove_file(other).unwrap();
}
