//! A program that ends the process takes the tests with it. That is no success.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::env;
use std::process::{self, Command};
use std::time::Duration;

use wakeful::time::sleep;
use wakeful_sim::{Hosts, Sim};

/// Set in a process that the programs below end.
const EXITS: &str = "WAKEFUL_SIM_EXITS";

fn exit_if_asked() {
    if env::var_os(EXITS).is_some() {
        process::exit(0);
    }
}

wakeful_sim::test! {
    seeds = 1;
    async fn a_task_exits(_sim: Sim) {
        wakeful::spawn(async { exit_if_asked() });
        sleep(Duration::from_secs(1)).await;
    }
}

wakeful_sim::test! {
    seeds = 1;
    fn a_host_exits(sim: &Hosts) {
        sim.host("server", exit_if_asked);
        sim.client("client", || sleep(Duration::from_secs(1)));
    }
}

#[test]
fn an_exit_is_named_and_no_success() {
    for (test, who) in [
        ("a_task_exits", "the test on the thread \"a_task_exits\""),
        ("a_host_exits", "the program of the host \"server\""),
    ] {
        let mut child = Command::new(env::current_exe().unwrap());
        // On a thread of its own, which has the name of the test.
        child.args(["--exact", test, "--test-threads", "2"]);
        let output = child.env(EXITS, "1").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{text}");
        let line = format!("wakeful: {who} has ended the process, with `std::process::exit`");
        assert!(text.contains(&line), "{text}");
    }
}
