//! Signals: the graceful shutdown, the forced one, the report, and signals without an effect.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::*;

/// A grace period for tests in which no connection is aborted. It is longer than any pause of the
/// machine, and shorter than [`DEADLINE`], so that the warning of a failure is seen.
const LONG: &str = "25s";

/// Makes the server catch SIGINT, also if these tests run in a background job of a script.
const CAUGHT: &str = "--default-signal=INT";

#[test]
fn sigint_and_sigterm_close_idle_connections_and_exit_with_0() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Server::start_with_signals(CAUGHT, &[]);
        let mut clients: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        for client in &mut clients {
            assert_echo(client, b"before the end");
        }
        let address = server.address();
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{}", server.log());
        for client in &mut clients {
            assert_end(client);
        }
        assert!(
            TcpStream::connect(address).is_err(),
            "the port is still open"
        );
        assert!(server.log_lines("WARN").is_empty(), "{}", server.log());
    }
}

#[test]
fn bytes_received_before_the_signal_come_back_also_from_the_listening_queue() {
    let mut server = Server::start(&["--grace", LONG]);
    let mut known: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    for client in &mut known {
        assert_echo(client, b"hello");
    }
    // While the server is stopped: bytes on open connections, new connections with bytes, and
    // then the signal. It sees all of them at once.
    server.signal(Signal::STOP);
    let message = noise(100_000, 3);
    let mut clients = known;
    clients.extend((0..50).map(|_| server.connect()));
    for client in &mut clients {
        client.write_all(&message).unwrap();
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for client in &mut clients {
        assert_receives(client, &message);
        assert_end(client);
    }
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log_lines("aborted").is_empty(), "{}", server.log());
}

#[test]
fn a_long_listening_queue_is_served_to_its_end_at_shutdown() {
    allow_many_descriptors();
    let directory = Directory::new("queue");
    let (unix, path) = directory.socket("echo.sock");
    let mut server = Server::start_on(&["127.0.0.1:0", &unix, "--grace", LONG], 2);
    // Several times what one turn accepts, and far more than is polled between two calls of
    // epoll_wait.
    server.signal(Signal::STOP);
    let mut clients: Vec<(TcpStream, UnixStream)> = (0..600)
        .map(|_| {
            let unix = UnixStream::connect(&path).unwrap();
            unix.set_read_timeout(Some(DEADLINE)).unwrap();
            (server.connect(), unix)
        })
        .collect();
    for (tcp, unix) in &mut clients {
        tcp.write_all(b"in time over TCP").unwrap();
        unix.write_all(b"in time over Unix").unwrap();
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for (tcp, unix) in &mut clients {
        assert_receives(tcp, b"in time over TCP");
        assert_end(tcp);
        assert_receives(unix, b"in time over Unix");
        assert_end(unix);
    }
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log_lines("aborted").is_empty(), "{}", server.log());
}

#[test]
fn bytes_of_unix_clients_before_the_signal_come_back() {
    let directory = Directory::new("end");
    let (unix, path) = directory.socket("echo.sock");
    let mut server = Server::start_on(&[&unix, "--grace", LONG], 1);
    let connect = || {
        let client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client
    };
    let mut clients: Vec<UnixStream> = (0..5).map(|_| connect()).collect();
    for client in &mut clients {
        assert_echo(client, b"hello");
    }
    server.signal(Signal::STOP);
    clients.extend((0..5).map(|_| connect()));
    let message = noise(50_000, 3);
    for client in &mut clients {
        client.write_all(&message).unwrap();
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for client in &mut clients {
        assert_receives(client, &message);
        assert_end(client);
    }
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists() && UnixStream::connect(&path).is_err());
}

#[test]
fn an_echo_in_flight_completes_for_a_client_that_reads_late() {
    let mut server = Server::start(&["--grace", LONG]);
    let message = noise(1 << 20, 11);
    let mut client = server.connect();
    let mut writer = client.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&message).unwrap());
        let mut first = [0; 1];
        client.read_exact(&mut first).unwrap(); // the echo has begun
        server.signal(Signal::TERM);
        server.wait_for_log("SIGTERM");
        assert!(first[0] == message[0]);
        assert_receives(&mut client, &message[1..]);
        assert_end(&mut client);
    });
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log_lines("aborted").is_empty(), "{}", server.log());
}

#[test]
fn busy_connections_are_ended_between_two_messages() {
    let mut server = Server::start(&["-q", "--grace", LONG]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for seed in 0..4 {
            let mut client = server.connect();
            let stop = &stop;
            scope.spawn(move || {
                let message = noise(500, seed);
                let mut back = [0; 500];
                while !stop.load(Ordering::Relaxed) {
                    if client.write_all(&message).is_err() {
                        break;
                    }
                    // A whole message or nothing.
                    match client.read_exact(&mut back) {
                        Ok(()) => assert!(back[..] == message[..]),
                        Err(error) => {
                            let expected = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                            assert!(expected.contains(&error.kind()), "{error}");
                            break;
                        }
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(100));
        server.signal(Signal::TERM);
        let status = server.wait();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(status.code(), Some(0));
        assert!(server.log_lines("aborted").is_empty(), "{}", server.log());
    });
}

#[test]
fn stuck_connections_are_aborted_after_the_grace_period_with_one_warning() {
    let mut server = Server::start(&["--grace", "400ms"]);
    let mut stuck: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    for client in &mut stuck {
        fill_connection(client, 256 << 20);
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    let lines = server.log_lines("WARN");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("aborted connections") && lines[0].ends_with("count=2 grace_ms=400"),
        "{lines:?}"
    );
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut server = Server::start_with_signals(CAUGHT, &["--grace", "1h"]);
        let mut stuck = server.connect();
        fill_connection(&mut stuck, 256 << 20);
        server.signal(Signal::TERM);
        server.wait_for_log("SIGTERM");
        let address = server.address();
        wait_until("the listener to close", || {
            TcpStream::connect(address).is_err()
        });
        assert!(server.is_alive(), "it must wait for the stuck connection");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(code), "{}", server.log());
    }
}

#[test]
fn a_signal_during_start_up_is_not_lost() {
    for delay in 0..40 {
        let mut command = Command::new(PROGRAM);
        command
            .arg("127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = Killed(command.spawn().unwrap());
        thread::sleep(Duration::from_micros(250 * delay));
        kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
        let status = wait_for_exit(&mut child.0);
        // Before the handlers are installed, the signal kills the process.
        let expected = status.code() == Some(0) || status.signal() == Some(15);
        assert!(expected, "after {delay}: {status:?}");
    }
}

#[test]
fn signals_that_the_parent_blocks_are_caught() {
    let mut server = Server::start_with_signals("--block-signal=INT,TERM,USR1", &[]);
    server.signal(Signal::USR1);
    server.wait_for_log("counters");
    server.assert_ends_well();
    let mut server = Server::start_with_signals("--block-signal", &["--threads", "2"]);
    server.assert_ends_well();
}

#[test]
fn a_blocked_signal_that_is_pending_at_start_ends_the_server_in_order() {
    let mut command = Command::new("env");
    command.args([
        "--block-signal=TERM",
        "sh",
        "-c",
        "kill -TERM $$; exec \"$0\" \"$@\"",
    ]);
    command.args([PROGRAM, "127.0.0.1:0"]);
    let run = run_command(command);
    assert_eq!(run.status, Some(0), "{run:?}");
}

#[test]
fn sigint_and_sighup_that_the_parent_ignores_stay_ignored() {
    let mut server = Server::start_with_signals("--ignore-signal=INT,HUP,TERM,USR1", &[]);
    let mut client = server.connect();
    server.signal(Signal::INT);
    server.signal(Signal::HUP);
    assert_echo(&mut client, b"still served");
    server.signal(Signal::USR1); // caught all the same, and after the others
    server.wait_for_log("counters");
    assert!(!server.log().contains("SIGINT"), "{}", server.log());
    assert_echo(&mut client, b"still served");
    server.assert_ends_well();
}

/// A background job of a script, killed when it is dropped.
struct Job(Pid);

impl Drop for Job {
    fn drop(&mut self) {
        kill_process(self.0, Signal::KILL).ok();
    }
}

#[test]
fn a_background_job_of_a_script_ignores_ctrl_c_and_one_of_nohup_a_closed_terminal() {
    let script = "\"$@\" & trap 'kill -TERM $!' TERM; wait; wait $!";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", "nohup", PROGRAM, "127.0.0.1:0"]);
    let mut script = Server::launch(command, 1);
    let children = format!("/proc/{0}/task/{0}/children", script.pid());
    let child = fs::read_to_string(children).unwrap();
    let child = Job(Pid::from_raw(child.trim().parse().unwrap()).unwrap());
    for signal in [Signal::INT, Signal::HUP] {
        kill_process(child.0, signal).unwrap();
        script.assert_serves();
    }
    script.assert_ends_well();
}

#[test]
fn a_signal_while_its_handler_is_installed_is_not_lost() {
    if !can_trace() {
        return;
    }
    let directory = Directory::new("install");
    let trace = directory.0.join("trace");
    let mut command = Command::new("env");
    command.args([
        CAUGHT,
        "strace",
        "-D",
        "-q",
        "-e",
        "trace=rt_sigaction,epoll_ctl",
    ]);
    // The first call is the runtime's own. The second is after SIGINT got its handler, and before
    // its listener exists.
    command.args(["-e", "inject=epoll_ctl:delay_enter=1000000:when=2", "-o"]);
    command.arg(&trace).args([PROGRAM, "127.0.0.1:0"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = Killed(command.spawn().unwrap());
    wait_until("the handler of SIGINT", || {
        fs::read_to_string(&trace).is_ok_and(|text| text.contains("rt_sigaction(SIGINT, {"))
    });
    kill_process(Pid::from_child(&child.0), Signal::INT).unwrap();
    assert_eq!(wait_for_exit(&mut child.0).code(), Some(0));
}

#[test]
fn sigusr1_groups_tasks_by_what_they_wait_on() {
    let server = Server::start(&["-q"]);
    let mut first = server.connect();
    assert_echo(&mut first, b"12345");
    let mut others: Vec<TcpStream> = (0..99).map(|_| server.connect()).collect();
    for client in &mut others {
        assert_echo(client, b"1");
    }
    server.signal(Signal::USR1);
    // Those that serve, then those that accept.
    server.wait_for_log("waits_on=TcpListener::poll_accept");
    let lines = server.log_lines("waits_on=");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = &server.log_lines("count=100")[0];
    let peer = format!("peer={}", first.local_addr().unwrap());
    for text in ["echo.rs:", "oldest_ms=", &peer, "received=5 sent=5"] {
        assert!(line.contains(text), "{text}: {line}");
    }
}

#[test]
fn sigusr1_logs_counters_and_what_each_task_waits_on() {
    let server = Server::start(&["-q", "--report", "full"]);
    let mut client = server.connect();
    assert_echo(&mut client, b"12345");
    server.signal(Signal::USR1);
    let peer = client.local_addr().unwrap().to_string();
    // Those that serve, then those that accept.
    server.wait_for_log("waits_on=TcpListener::poll_accept");
    let counters = server.log_lines("counters");
    assert_eq!(counters.len(), 1, "{}", server.log());
    assert!(counters[0].contains("connections=1") && counters[0].contains("bytes=5"));
    let line = &server.log_lines(&peer)[0];
    assert!(
        line.contains("waits_on=TcpStream::readable") && line.contains("echo.rs"),
        "{line}"
    );
    assert_eq!(
        server.log_lines("waits_on=").len(),
        2,
        "one task accepts, one serves"
    );
    assert_echo(&mut client, b"still served");
}

#[test]
fn sigstop_and_sigcont_have_no_effect_on_connections() {
    let mut server = Server::start(&[]);
    let mut client = server.connect();
    let mut idle = server.connect();
    for round in 0..10 {
        server.signal(Signal::STOP);
        client.write_all(&noise(1000, round)).unwrap();
        server.signal(Signal::CONT);
        assert_receives(&mut client, &noise(1000, round));
    }
    server.signal(Signal::WINCH);
    server.signal(Signal::PIPE);
    assert_echo(&mut idle, b"both are served");
    assert_echo(&mut client, b"both are served");
    client.shutdown(Shutdown::Write).unwrap();
    assert_end(&mut client);
    server.assert_ends_well();
}
