//! `--trace`: a recording in each format, at the end and on SIGUSR2.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use support::*;

/// Returns the path of a file in a directory.
fn path(directory: &Directory, name: &str) -> String {
    directory.0.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_recording_is_written_at_the_end_in_each_format() {
    let directory = Directory::new("trace");
    for (name, begin, part) in [
        ("trace.html", "<!DOCTYPE html>", "Content-Security-Policy"),
        ("trace.json", "{", "echo-server/src/"),
        ("trace.svg", "<svg", "</svg>"),
        ("trace.txt", "", "accept.rs:"),
        ("trace.wtr", "WAKEFUL\0", "echo-server/src/"),
    ] {
        let file = path(&directory, name);
        let mut server = Server::start(&["--trace", &file, "--trace-events", "1000"]);
        let mut client = server.connect();
        assert_echo(&mut client, b"recorded");
        drop(client);
        server.assert_ends_well();
        assert_eq!(
            server.log_lines("trace written").len(),
            1,
            "{}",
            server.log()
        );
        let written = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&written);
        assert!(text.starts_with(begin), "{name}: {}", &text[..40]);
        assert!(text.contains(part), "{name}");
        if name.ends_with("json") {
            serde_json::from_slice::<serde_json::Value>(&written).unwrap();
        }
    }
}

#[test]
fn sigusr2_writes_the_recording_of_each_thread_while_the_server_serves() {
    let directory = Directory::new("trace");
    let (first, second) = (path(&directory, "all.txt"), path(&directory, "all-2.txt"));
    let mut server = Server::start(&["--threads", "2", "--trace", &first]);
    let mut client = server.connect();
    assert_echo(&mut client, b"before");
    let accepts = |file: &str| fs::read_to_string(file).unwrap().contains("accept.rs:");
    // A thread can be asked before its first accept.
    wait_until("both files are written", || {
        server.signal(Signal::USR2);
        accepts(&first) && accepts(&second) && server.log_lines("trace written").len() >= 2
    });
    assert_echo(&mut client, b"after");
    server.assert_ends_well();
}

#[test]
fn without_a_recording_sigusr2_is_left_as_it_is() {
    let mut server = Server::start(&[]);
    server.signal(Signal::USR2);
    assert_eq!(server.wait().signal(), Some(Signal::USR2.as_raw()));
}

#[test]
fn what_is_no_regular_file_is_refused_at_the_start() {
    let directory = Directory::new("trace");
    let page = path(&directory, "pipe.html");
    // Without a reader, an open of a pipe does not return.
    mknodat(CWD, &page, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let device = path(&directory, "device.txt");
    std::os::unix::fs::symlink("/dev/full", &device).unwrap();
    let folder = path(&directory, "folder.svg");
    fs::create_dir(&folder).unwrap();
    for file in [page, device, folder] {
        let run = run(&["127.0.0.1:0", "--trace", &file]);
        assert_eq!(run.status, Some(1), "{}", run.stderr);
        let cause = format!("cannot be written to {file}: it exists and is not a regular file");
        assert!(run.stderr.contains(&cause), "{}", run.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_at_the_start() {
    let directory = Directory::new("trace");
    for name in ["missing/trace.html", "missing/trace.wtr"] {
        let file = path(&directory, name);
        let run = run(&["127.0.0.1:0", "--trace", &file]);
        assert_eq!(run.status, Some(1), "{}", run.stderr);
        let cause = format!("cannot be written to {file}: No such file or directory");
        assert!(run.stderr.contains(&cause), "{}", run.stderr);
        assert!(!run.stderr.contains("panicked"));
    }
    for (arguments, allowed) in [
        (
            vec!["--trace", "trace.png"],
            ".html, .json, .svg, .txt or .wtr",
        ),
        (
            vec!["--trace", "a.svg", "--trace-events", "63"],
            "in 64..=67108864",
        ),
        (vec!["--trace-events", "100"], "--trace <FILE>"),
    ] {
        let run = run(&arguments);
        assert_eq!(run.status, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(allowed), "{}", run.stderr);
    }
}
