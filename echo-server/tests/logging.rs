//! The log: its content, what it never contains, and that the server runs when it is not read.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::OFlags;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use support::*;

/// Bytes that must not reach a terminal.
const NASTY: &[u8] = b"\x1b[2J\x1b]0;owned\x07\x00\x01\r\n\xff\xfe\x9b31m";

#[test]
fn bytes_of_a_peer_are_logged_escaped_and_shortened() {
    let server = Server::start(&["-vv"]);
    let mut client = server.connect();
    assert_echo(&mut client, NASTY);
    assert_echo(&mut client, &[0x1b; 60_000]);
    drop(client);
    server.wait_for_log("closed");
    let log = server.log();
    assert!(log.contains("\\x1b[2J"), "{log}");
    let raw = log.chars().filter(|c| c.is_control() && *c != '\n').count();
    assert_eq!(raw, 0, "control characters in {log:?}");
    assert!(log.lines().all(|line| line.len() < 4096));
}

#[test]
fn flags_set_the_log_level() {
    for (flags, expected) in [
        (&["-q"][..], [false, false, false]),
        (&[], [false, false, false]),
        (&["-v"], [false, true, true]),
        (&["-vv"], [true, true, true]),
    ] {
        let mut server = Server::start(flags);
        server.assert_serves();
        server.assert_ends_well();
        let shown = ["TRACE", "DEBUG", " INFO closed"].map(|text| server.log().contains(text));
        assert_eq!(shown, expected, "{flags:?}: {}", server.log());
    }
}

#[test]
fn rust_log_applies_without_flags_and_an_invalid_one_is_ignored() {
    for (value, flags, message) in [
        ("trace", &[][..], true),
        ("warn", &["-vv"], true),
        ("trace", &["-q"], false),
        ("echo_server=loud", &[], false),
    ] {
        let mut command = Command::new("env");
        command
            .arg(format!("RUST_LOG={value}"))
            .arg(PROGRAM)
            .arg("127.0.0.1:0")
            .args(flags);
        let mut server = Server::launch(command, 1);
        server.assert_serves();
        server.assert_ends_well();
        assert_eq!(
            server.log().contains("TRACE received"),
            message,
            "{value} {flags:?}"
        );
        assert_eq!(
            server.log().contains("RUST_LOG is ignored"),
            value.ends_with("loud")
        );
    }
}

#[test]
fn json_logs_are_one_object_per_line() {
    let mut server = Server::start(&["--log-format", "json", "-vv"]);
    let mut client = server.connect();
    assert_echo(&mut client, NASTY);
    reset(client);
    server.wait_for_log("reset");
    server.signal(Signal::USR1);
    server.wait_for_log("counters");
    server.assert_ends_well();
    for line in objects(&server.log()) {
        assert!(
            line["timestamp"].is_string() && line["level"].is_string(),
            "{line}"
        );
        assert!(!line.to_string().chars().any(char::is_control), "{line}");
    }
}

/// Parses the lines of a log in JSON.
fn objects(log: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    log.lines().map(parse).collect()
}

/// Messages, each with fields that are numbers.
const FIGURES: &[(&str, &str)] = &[
    ("limits", "descriptor_limit max_connections"),
    ("stats", "connections bytes_per_s poll_p50_us poll_p99_us"),
    ("counters", "accepted failed messages bytes"),
    ("runtime", "tasks polls turns timers_fired poll_p50_us"),
    ("datagram socket", "received answered"),
    ("task", "polls fd elapsed_ms received sent"),
    (
        "aborted connections that did not finish within the grace period",
        "count grace_ms",
    ),
];

#[test]
fn json_logs_have_figures_as_numbers_and_no_debug_text() {
    let arguments = "127.0.0.1:0 udp://127.0.0.1:0 --log-format json --report full --stats 50ms \
                     --grace 300ms";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let mut server = Server::start_on(&arguments, 2);
    let mut client = server.connect();
    assert_echo(&mut client, NASTY);
    server.wait_for_log("poll_p50_us");
    server.signal(Signal::USR1);
    server.wait_for_log("TcpStream::readable");
    fill_connection(&mut client, 256 << 20); // is aborted at the end
    server.assert_ends_well();
    let lines = objects(&server.log());
    for (message, fields) in FIGURES {
        let of_kind: Vec<&Value> = lines
            .iter()
            .filter(|line| line["message"] == *message)
            .collect();
        for field in fields.split(' ') {
            assert!(
                of_kind.iter().any(|line| line[field].is_number()),
                "{message} {field}: {lines:?}"
            );
        }
    }
    for line in &lines {
        let message = line["message"].as_str().unwrap();
        assert!(
            !message.contains([':', '{', '"']) && message.len() < 80,
            "{line}"
        );
    }
    let named = |name: &str| lines.iter().any(|line| line["address"] == name);
    assert!(
        named(&server.names[0]) && named(&server.names[1]),
        "{lines:?}"
    );
}

#[test]
fn stats_lines_have_connections_bytes_messages_and_poll_times() {
    let mut server = Server::start(&["-q", "--stats", "100ms"]);
    let mut client = server.connect();
    for _ in 0..50 {
        assert_echo(&mut client, &[7; 100]);
    }
    let seen = |line: &String| {
        let fields = [
            "messages_per_s=",
            "poll_p50_us=",
            "poll_p99_us=",
            "connections=1",
        ];
        let busy = !line.contains(" bytes_per_s=0 ");
        busy && fields.iter().all(|field| line.contains(field))
    };
    wait_until("a line of stats", || {
        server.log_lines("stats").iter().any(seen)
    });
    server.assert_ends_well();
}

/// Runs the server with its stderr on a pseudo-terminal and returns what it wrote there.
fn on_a_terminal(flags: &[&str], environment: &[(&str, &str)]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap();
    // Without O_NOCTTY it would become the controlling terminal of a test that leads a session.
    let terminal = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(path.to_str().unwrap())
        .unwrap();
    let mut command = Command::new("sh");
    // Stderr is the terminal; the address is read from stdout.
    command
        .arg("-c")
        .arg("exec \"$0\" \"$@\" 2>\"$TERMINAL\"")
        .arg(PROGRAM);
    command
        .arg("127.0.0.1:0")
        .args(flags)
        .env("TERMINAL", path.to_str().unwrap());
    command
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied());
    let shown = Arc::new(Mutex::new(Vec::new()));
    let mut master = File::from(master);
    let writer = Arc::clone(&shown);
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = master.read(&mut buffer) {
            writer.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    let mut server = Server::launch(command, 1);
    let mut client = server.connect();
    assert_echo(&mut client, NASTY);
    drop(client);
    let text = || String::from_utf8_lossy(&shown.lock().unwrap()).into_owned();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    wait_until("the log on the terminal", || text().contains("SIGTERM"));
    drop(terminal);
    text()
}

#[test]
fn a_terminal_gets_color_unless_no_color_is_set_and_never_escapes_of_a_peer() {
    let text = on_a_terminal(&["-vv"], &[]);
    assert!(text.contains("\x1b["), "no color: {text:?}");
    assert!(
        !text.contains("\x1b[2J") && !text.contains("\x1b]0"),
        "{text:?}"
    );
    let text = on_a_terminal(&["-vv"], &[("NO_COLOR", "1")]);
    assert!(
        !text.contains('\x1b') && text.contains("closed"),
        "{text:?}"
    );
}

#[test]
fn a_terminal_shows_the_end_but_not_the_start_which_a_file_has() {
    let text = on_a_terminal(&[], &[]);
    assert_eq!(text.lines().count(), 1, "{text:?}"); // the line about SIGTERM
    let mut server = Server::start(&[]);
    server.assert_serves();
    server.assert_ends_well();
    let log = server.log();
    assert!(
        log.lines().count() == 3 && log.contains("listening"),
        "{log}"
    );
}

#[test]
fn log_lines_for_a_full_pipe_are_dropped_and_counted() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["127.0.0.1:0", "-vv"]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(OwnedFd::from(writer));
    let mut child = Killed(command.spawn().unwrap());
    drop(command); // it has a copy of the pipe's end
    let mut stdout = child.0.stdout.take().unwrap();
    let mut line = vec![0; 200];
    let length = stdout.read(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..length]).into_owned();
    let address = line
        .trim()
        .strip_prefix("listening on tcp://")
        .unwrap()
        .parse()
        .unwrap();
    // A pipe holds 64 KiB, and these lines are not read.
    let mut client = connect_to(address);
    for _ in 0..2000 {
        assert_echo(
            &mut client,
            b"fills the pipe with lines that are longer than the message",
        );
    }
    let collected = Arc::new(Mutex::new(Vec::new()));
    let collector = Arc::clone(&collected);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            let mut collected = collector.lock().unwrap();
            collected.extend_from_slice(&buffer[..length]);
        }
    });
    // Now the pipe is read, so a later line is written, after the number of dropped lines.
    wait_until("a line in the log", || {
        assert_echo(&mut client, b"read again");
        let text = String::from_utf8_lossy(&collected.lock().unwrap()).into_owned();
        text.contains("log lines were dropped") && text.contains("read again")
    });
}
