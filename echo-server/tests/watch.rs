//! `--watch`: a loop that does not go on is logged while it does not. The loop blocks at the end of the server, because
//! the file of its `--trace` has become a FIFO that no process reads.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use support::*;

/// Starts a server, serves a client, replaces the file of the trace by a FIFO and asks for the end.
fn server_that_blocks(directory: &Directory, arguments: &[&str]) -> (Server, PathBuf) {
    let fifo = directory.0.join("trace.txt");
    // `launch` removes the variable, and env(1) sets it again: no level hides what was asked for.
    let mut command = Command::new("env");
    command.args(["RUST_LOG=off", PROGRAM, "127.0.0.1:0", "--trace"]);
    command.arg(&fifo).args(arguments);
    let server = Server::launch(command, 1);
    server.assert_serves();
    // At its start the server refuses one.
    fs::remove_file(&fifo).unwrap();
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    server.signal(Signal::TERM);
    (server, fifo)
}

#[test]
fn a_loop_that_blocks_is_logged_with_what_its_thread_does() {
    let directory = Directory::new("watch");
    let arguments = ["--watch", "300ms", "--log-format", "json"];
    let (mut server, fifo) = server_that_blocks(&directory, &arguments);
    server.wait_for_log("\"stuck\"");
    let line = &server.log_lines("\"stuck\"")[0];
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(
        (&line["runtime"], &line["task"]),
        (&1.into(), &"root".into())
    );
    assert_eq!(line["thread"], "sleeps in openat");
    assert!(line["lasted_ms"].as_u64().unwrap() >= 300, "{line}");
    assert_eq!(line["waiting"], 0);
    let place = line["spawned_at"].as_str().unwrap();
    assert!(place.starts_with("echo-server/src/main.rs:"), "{place}");
    assert!(fs::read_to_string(fifo).unwrap().contains("accept.rs:"));
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert_eq!(server.log_lines("\"stuck\"").len(), 1);
}

#[test]
fn each_thread_has_a_watch_and_none_is_there_without_the_option() {
    for (arguments, threads) in [
        (&["--threads", "2"][..], 2),
        (&["--threads", "2", "--watch", "1h"][..], 4),
    ] {
        let mut server = Server::start(arguments);
        assert_eq!(status(server.pid(), "Threads"), threads);
        server.assert_ends_well();
        assert_eq!(server.log_lines("stuck").len(), 0, "{}", server.log());
    }
    let refused = run(&["--watch", "0s"]);
    assert_eq!(refused.status, Some(2), "{}", refused.stderr);
}
