//! What a test can do wrong: each mistake ends with a message that names it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use wakeful::runtime::UnhandledPanic;
use wakeful::task::yield_now;
use wakeful::time::{interval, sleep};
use wakeful_net::TcpStream;
use wakeful_sim::{Hosts, Options, Run, Sim, Tape, hosts, run_seed};

/// Returns the message of the panic that ended a run.
fn message(run: Run) -> String {
    let panic = run.panic.unwrap();
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.unwrap_or_else(|| panic.downcast_ref::<String>().unwrap().clone())
}

/// Returns the message with which a test with several hosts fails.
fn message_of(setup: impl Fn(&Hosts)) -> String {
    message(hosts::run_seed("test", 1, Options::new(), setup))
}

fn few_turns() -> Options {
    Options::new().max_turns(1_000)
}

#[test]
fn a_test_whose_timers_never_end_fails_with_its_tasks() {
    let text = message(run_seed("test", 1, few_turns(), async |_| {
        let mut beat = interval(Duration::from_secs(1));
        let beats = async move {
            loop {
                beat.tick().await;
            }
        };
        wakeful::spawn(beats);
        std::future::pending().await
    }));
    let limit = ": the run goes on after 1000 turns, see `Options::max_turns`\n";
    assert!(text.starts_with("no end after "), "{text}");
    assert!(text.contains(limit), "{text}");
    assert!(
        text.contains("\nroot: waits on something outside"),
        "{text}"
    );
    assert!(text.contains("\ntask 1.0: spawned at "), "{text}");
}

#[test]
fn a_test_that_yields_forever_fails() {
    let forever = async || loop {
        yield_now().await;
    };
    let text = message(run_seed("test", 1, few_turns(), async |_| forever().await));
    assert!(text.starts_with("no end after 1.001ms: "), "{text}");
    let text = message(hosts::run_seed("test", 1, few_turns(), |sim| {
        sim.client("client", forever);
        sim.client("other", async || {});
    }));
    let end = "the run goes on after 1000 turns, see `Options::max_turns`: `client` waits, `other` has ended";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_test_without_hosts_fails() {
    let text = message_of(|_| {});
    assert!(text.starts_with("the test has made no host: "), "{text}");
}

#[test]
fn a_runtime_beside_the_hosts_is_refused() {
    let wait = || wakeful::block_on(async { sleep(Duration::from_millis(1)).await });
    let text = message_of(|sim| {
        sim.client("client", async || {});
        wait();
    });
    assert!(text.contains("on the thread of the test"), "{text}");
    let text = message_of(|sim| {
        sim.client("client", || sleep(Duration::from_secs(1)));
        sim.at(Duration::from_millis(1), move |_| wait());
    });
    assert!(text.contains("`Hosts::client`"), "{text}");
}

#[test]
fn a_partition_has_two_hosts() {
    let text = message_of(|sim| {
        sim.client("client", async || {});
        sim.partition("client", "client");
    });
    assert_eq!(text, "`client` cannot be separated from itself");
}

#[test]
fn a_choice_has_possibilities() {
    let text = message_of(|sim| {
        sim.client("client", async || {});
        assert_eq!(sim.choose(0), 0);
    });
    assert_eq!(text, "there is nothing to choose from 0 possibilities");
}

#[test]
fn the_name_of_a_host_is_no_address() {
    let text = message_of(|sim| sim.client("10.0.0.7", async || {}));
    assert!(
        text.contains("the name `10.0.0.7`: it is an address"),
        "{text}"
    );
}

#[test]
fn an_unknown_host_is_named_also_before_there_is_one() {
    let text = message_of(|sim| {
        sim.crash("server");
    });
    assert_eq!(text, "there is no host `server`, and none has been made");
    let text = message_of(|sim| {
        sim.client("client", async || {});
        sim.crash("server");
    });
    assert_eq!(text, "there is no host `server`, only `client`");
}

#[test]
fn a_client_that_stays_down_is_told_from_one_that_has_ended() {
    let text = message_of(|sim| {
        sim.client("client", || sleep(Duration::from_secs(1)));
        sim.at(Duration::from_millis(1), |sim| sim.crash("client"));
    });
    let end = ": `client` is down, so it has not ended: `Hosts::restart` starts it again";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_tape_that_is_cut_names_what_is_missing() {
    let cut = "wakeful-sim tape 1\n".parse::<Tape>().unwrap_err();
    assert_eq!(cut, "the tape has no line `test NAME`");
}

/// Panics in a task that nothing joins.
async fn lose_a_panic() {
    wakeful::spawn(async { panic!("in a task") });
    sleep(Duration::from_secs(1)).await;
}

#[test]
fn a_panic_of_a_detached_task_fails_the_test_if_it_is_asked_for() {
    let strict = Options::new().unhandled_panic(UnhandledPanic::ShutdownRuntime);
    for (options, fails) in [(Options::new(), false), (strict, true)] {
        let alone = run_seed("test", 1, options, |_| lose_a_panic());
        let among = hosts::run_seed("test", 1, options, |sim| sim.client("client", lose_a_panic));
        for run in [alone, among] {
            assert_eq!(run.panic.is_some(), fails);
            if fails {
                // Shrinking keeps it.
                let place = run.place.clone().unwrap();
                assert!(place.contains("usage.rs"), "{place}");
                assert!(message(run).contains("in a task"));
            }
        }
    }
}

wakeful_sim::test! {
    seeds = 1;
    unhandled_panic = UnhandledPanic::ShutdownRuntime;
    max_turns = 1_000;
    #[should_panic(expected = "in a task")]
    async fn a_line_of_a_test_asks_for_it(_sim: Sim) {
        lose_a_panic().await;
    }
}

wakeful_sim::test! {
    seeds = 1;
    unhandled_panic = UnhandledPanic::ShutdownRuntime;
    max_turns = 1_000;
    #[should_panic(expected = "host `client` panicked: ")]
    fn a_line_of_a_test_with_hosts_asks_for_it(sim: &Hosts) {
        sim.client("client", lose_a_panic);
    }
}

#[test]
fn a_host_that_panics_is_reported_with_those_that_do_not_run() {
    let text = message_of(|sim| {
        sim.host("server", || {}); // `main` returns, such as after an error
        sim.host("other", || wakeful::block_on(std::future::pending()));
        sim.client("waits", || sleep(Duration::from_secs(9)));
        sim.client("client", async || {
            sleep(Duration::from_secs(1)).await;
            TcpStream::connect("server:80").await.unwrap();
        });
        sim.at(Duration::from_millis(500), |sim| sim.crash("other"));
    });
    assert!(text.starts_with("host `client` panicked: "), "{text}");
    let end = "Connection refused (os error 111) }\n`server` has ended, `other` is down";
    assert!(text.ends_with(end), "{text}");
}
