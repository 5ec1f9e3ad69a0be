//! What a test can do wrong: each mistake ends with a message that names it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use wakeful::task::yield_now;
use wakeful::time::interval;
use wakeful_sim::{Options, Run, hosts, run_seed};

/// Returns the message of the panic that ended a run.
fn message(run: Run) -> String {
    let panic = run.panic.unwrap();
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.unwrap_or_else(|| panic.downcast_ref::<String>().unwrap().clone())
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
