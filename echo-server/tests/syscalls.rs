//! System calls, through strace: how many a message and a connection cost, and that the server
//! survives every error that the kernel can return.
//!
//! Skipped, with a message, where strace is missing or not permitted to trace.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use support::*;

/// A server under strace.
struct Traced {
    server: Server,
    file: PathBuf,
    _directory: Directory,
}

impl Traced {
    /// Starts a server under strace. With `-D` the server is the child of this process, and not
    /// strace, so that signals reach it.
    fn start(name: &str, options: &[&str], arguments: &[&str]) -> Traced {
        let directory = Directory::new(name);
        let file = directory.0.join("trace");
        let mut command = Command::new("strace");
        command
            .args(["-D", "-q", "-f", "-o"])
            .arg(&file)
            .args(options);
        command.arg(PROGRAM).arg("127.0.0.1:0").args(arguments);
        let further = arguments.iter().filter(|one| one.contains("://")).count();
        Traced {
            server: Server::launch(command, 1 + further),
            file,
            _directory: directory,
        }
    }

    /// Starts a server with a fault in its calls of these names, in the syntax of strace's `inject=`.
    fn start_with_fault(calls: &str, fault: &str, arguments: &[&str]) -> Traced {
        let trace = format!("trace={calls}");
        let inject = format!("inject={calls}:{fault}");
        Traced::start("fault", &["-e", &trace, "-e", &inject], arguments)
    }

    /// Returns what strace has written so far: one line per call that has ended.
    fn trace(&self) -> String {
        fs::read_to_string(&self.file).expect("strace writes it")
    }

    /// Ends the server and checks that at least this many faults were injected.
    fn end_after_faults(self, least: usize) {
        let (_, trace) = self.end_with_trace();
        let faults = faults(&trace);
        assert!(
            faults >= least,
            "only {faults} faults were injected: {trace}"
        );
    }

    /// Ends the server and counts its calls, by name.
    fn end(self) -> BTreeMap<String, i64> {
        self.end_with_trace().0
    }

    fn end_with_trace(mut self) -> (BTreeMap<String, i64>, String) {
        self.server.assert_ends_well();
        let mut trace = String::new();
        wait_until("the end of the trace", || {
            trace = self.trace();
            trace.lines().any(|line| line.contains("+++ exited"))
        });
        let mut calls = BTreeMap::new();
        for line in trace.lines() {
            let call = line
                .split_once(' ')
                .map_or(line, |(_pid, call)| call.trim_start());
            if let Some((name, _)) = call.split_once('(') {
                *calls.entry(name.to_owned()).or_default() += 1;
            }
        }
        (calls, trace)
    }
}

/// Returns how many faults strace has injected in this trace.
fn faults(trace: &str) -> usize {
    trace.matches("(INJECTED)").count()
}

/// Returns the difference of the calls of runs with `few` and `many` repetitions, which excludes the
/// calls at start and end.
fn difference(
    few: BTreeMap<String, i64>,
    mut many: BTreeMap<String, i64>,
) -> BTreeMap<String, i64> {
    for (name, count) in few {
        *many.entry(name).or_default() -= count;
    }
    many.retain(|_, count| *count != 0);
    many
}

#[test]
fn a_steady_message_costs_one_recv_one_send_and_no_epoll_ctl() {
    if !can_trace() {
        return;
    }
    let calls = |messages: i64| {
        let traced = Traced::start("steady", &["-e", "signal=none"], &["-q"]);
        let mut client = traced.server.connect();
        for _ in 0..messages {
            assert_echo(&mut client, &[7; 64]);
        }
        traced.end()
    };
    let mut calls = difference(calls(100), calls(1100));
    let waits: i64 = ["epoll_wait", "epoll_pwait", "epoll_pwait2"]
        .iter()
        .filter_map(|name| calls.remove(*name))
        .sum();
    println!("1000 messages: {calls:?}, {waits} waits");
    assert!(
        (950..=1050).contains(&waits),
        "one wait per round trip of the only client: {waits}"
    );
    let expected = [("recvfrom", 1000), ("sendto", 1000)];
    assert_eq!(
        calls,
        BTreeMap::from(expected.map(|(name, count)| (name.to_owned(), count)))
    );
}

#[test]
fn an_echo_is_sent_without_waiting_for_more() {
    if !can_trace() {
        return;
    }
    let traced = Traced::start("nodelay", &["-e", "trace=setsockopt"], &[]);
    traced.server.assert_serves();
    let (_, trace) = traced.end_with_trace();
    assert_eq!(trace.matches("TCP_NODELAY, [1]").count(), 1, "{trace}");
}

#[test]
fn shutdown_ends_input_then_output_before_it_closes() {
    if !can_trace() {
        return;
    }
    let traced = Traced::start("shutdown", &["-e", "trace=shutdown,close"], &[]);
    let mut client = traced.server.connect();
    assert_echo(&mut client, b"hello");
    let (_, trace) = traced.end_with_trace();
    assert_end(&mut client);
    // Input first, so that the handler finishes. Then output, so that the client sees the end and
    // not a reset, even if it sends meanwhile.
    let position = |text: &str| {
        trace
            .find(text)
            .unwrap_or_else(|| panic!("no {text} in {trace}"))
    };
    let input = position("SHUT_RD");
    let number = trace[..input]
        .rsplit_once("shutdown(")
        .unwrap()
        .1
        .trim_end_matches([',', ' ']);
    let output = position("SHUT_WR");
    let close = trace.rfind(&format!("close({number})")).unwrap();
    assert!(input < output && output < close, "{trace}");
}

#[test]
fn a_connection_costs_one_call_each_to_register_configure_and_close_it() {
    if !can_trace() {
        return;
    }
    let calls = |connections: i64| {
        let traced = Traced::start("connection", &["-e", "signal=none"], &["-q"]);
        for _ in 0..connections {
            let mut client = traced.server.connect();
            assert_echo(&mut client, &[7; 64]);
            client.shutdown(Shutdown::Write).unwrap();
            assert_end(&mut client);
        }
        traced.end()
    };
    let mut calls = difference(calls(50), calls(150));
    println!("100 connections: {calls:?}");
    for (name, count) in [
        ("epoll_ctl", 100),
        ("setsockopt", 100),
        ("close", 100),
        ("sendto", 100),
    ] {
        assert_eq!(calls.remove(name), Some(count), "{name}");
    }
    // The last read returns the end of input.
    assert_eq!(calls.remove("recvfrom"), Some(200));
    // Clients come one at a time here, so each accept4 is followed by a poll that finds no other.
    assert_eq!(calls.remove("accept4"), Some(100));
    assert_eq!(calls.remove("poll"), Some(100));
    calls.retain(|name, _| !name.starts_with("epoll_"));
    if cfg!(debug_assertions) {
        calls.remove("fcntl"); // the standard library checks a descriptor before it closes it
    }
    // Memory for tables can grow. There is no other call.
    calls
        .retain(|name, _| !["brk", "mmap", "munmap", "mremap", "madvise"].contains(&name.as_str()));
    assert_eq!(calls, BTreeMap::new());
}

/// Makes round trips, a long echo and an orderly end while faults are injected.
fn exercise(server: &Server) {
    let mut client = server.connect();
    for round in 0..20 {
        assert_echo(&mut client, &noise(100, round));
    }
    assert_half_close_echo(server.connect(), &noise(1 << 20, 4));
    client.shutdown(Shutdown::Write).expect("still open");
    assert_end(&mut client);
}

#[test]
fn an_interrupted_call_is_repeated_whichever_it_is() {
    if !can_trace() {
        return;
    }
    // strace ignores names with `?` that this architecture does not have.
    let waits = "?epoll_wait,?epoll_pwait,?epoll_pwait2";
    for (calls, when) in [
        ("recvfrom", "1+2"),
        ("sendto", "1+2"),
        ("accept4", "1+2"),
        (waits, "1+2"),
        ("?poll,?ppoll", "1+2"),
        ("write", "1+2"), // log lines, and the eventfd of the signal handler
    ] {
        let fault = format!("error=EINTR:when={when}");
        let traced = Traced::start_with_fault(calls, &fault, &["-v"]);
        exercise(&traced.server);
        assert!(
            traced.server.log_lines("WARN").is_empty(),
            "{calls}: {}",
            traced.server.log()
        );
        wait_until("two lines in the log", || {
            traced.server.log_lines("closed").len() == 2
        });
        traced.end_after_faults(2);
    }
}

#[test]
fn a_client_that_left_before_accept_is_skipped() {
    if !can_trace() {
        return;
    }
    for error in [
        "ECONNABORTED",
        "EPROTO",
        "ENETDOWN",
        "EHOSTUNREACH",
        "EINTR",
    ] {
        let fault = format!("error={error}:when=1+3");
        let traced = Traced::start_with_fault("accept4", &fault, &[]);
        exercise(&traced.server);
        assert!(
            traced.server.log_lines("WARN").is_empty(),
            "{error}: {}",
            traced.server.log()
        );
        traced.end_after_faults(1);
    }
}

#[test]
fn a_resource_shortage_pauses_accepting_and_ends_without_a_new_client() {
    if !can_trace() {
        return;
    }
    for error in ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPERM"] {
        // The first client takes one call.
        let fault = format!("error={error}:when=2..13");
        let traced = Traced::start_with_fault("accept4", &fault, &[]);
        let mut first = traced.server.connect();
        assert_echo(&mut first, b"before the shortage");
        let mut waiting = traced.server.connect();
        waiting.write_all(b"in the shortage").unwrap();
        traced.server.wait_for_log("accept failed");
        assert_echo(&mut first, b"served meanwhile");
        // After twelve failures and pauses, without a new client that wakes the server.
        assert_receives(&mut waiting, b"in the shortage");
        let warnings = traced.server.log_lines("WARN");
        assert_eq!(warnings.len(), 1, "{error}: {warnings:?}");
        let calls = traced.end();
        assert!(calls["accept4"] < 30, "{error}: {calls:?}");
    }
}

#[test]
fn a_lasting_shortage_costs_few_calls_and_is_logged_once() {
    if !can_trace() {
        return;
    }
    let fault = [
        "-e",
        "trace=accept4",
        "-e",
        "inject=accept4:error=EMFILE:when=2+",
    ];
    let traced = Traced::start("lasting", &fault, &[]);
    let mut first = traced.server.connect();
    assert_echo(&mut first, b"before the shortage");
    let _waiting = traced.server.connect();
    traced.server.wait_for_log("accept failed");
    std::thread::sleep(Duration::from_secs(1));
    assert_echo(&mut first, b"served meanwhile");
    assert_eq!(
        traced.server.log_lines("WARN").len(),
        1,
        "{}",
        traced.server.log()
    );
    let calls = traced.end();
    println!(
        "accept4 calls in about a second of EMFILE: {}",
        calls["accept4"]
    );
    assert!(calls["accept4"] < 300, "{calls:?}");
}

#[test]
fn an_error_on_a_connection_ends_only_that_connection() {
    if !can_trace() {
        return;
    }
    for (call, error, text) in [
        ("recvfrom", "ECONNRESET", "reset"),
        ("recvfrom", "ETIMEDOUT", "timed out"),
        ("recvfrom", "EIO", "Input/output"),
        ("sendto", "EPIPE", "Broken pipe"),
        ("sendto", "ENOBUFS", "buffer space"),
    ] {
        let fault = format!("error={error}:when=2");
        let traced = Traced::start_with_fault(call, &fault, &[]);
        let mut other = traced.server.connect();
        assert_echo(&mut other, b"the first call of its kind");
        let mut unlucky = traced.server.connect();
        unlucky.write_all(b"the second one").unwrap();
        let mut back = Vec::new();
        let outcome = unlucky.read_to_end(&mut back);
        assert!(
            outcome.is_err() || back.is_empty(),
            "{call} {error}: {back:?}"
        );
        traced.server.wait_for_log(text);
        assert_echo(&mut other, b"still served");
        assert_eq!(
            traced.server.log_lines("WARN").len(),
            1,
            "{}",
            traced.server.log()
        );
        traced.end_after_faults(1);
    }
}

#[test]
fn sockets_are_non_blocking_and_not_inherited() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_echo(&mut client, b"open");
    let mut sockets = 0;
    for entry in fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap() {
        let path = entry.unwrap().path();
        let Some(inode) = inode_of_socket(&path) else {
            continue;
        };
        if !sockets_at(server.address().port()).contains(&inode) {
            continue; // inherited from the process that runs the tests
        }
        sockets += 1;
        let number = path.file_name().unwrap().to_str().unwrap();
        let info = fs::read_to_string(format!("/proc/{}/fdinfo/{number}", server.pid())).unwrap();
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        assert_eq!(flags & 0o4000, 0o4000, "O_NONBLOCK on {number}");
        assert_eq!(flags & 0o2_000_000, 0o2_000_000, "O_CLOEXEC on {number}");
    }
    assert_eq!(sockets, 2, "the listener and the client");
}

/// Returns the inode of a link to `socket:[INODE]`.
fn inode_of_socket(path: &std::path::Path) -> Option<u64> {
    let target = fs::read_link(path).ok()?;
    target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?
        .parse()
        .ok()
}

/// Returns the inodes of all IPv4 TCP sockets with that local port. See proc_net_tcp in the kernel's
/// documentation.
fn sockets_at(port: u16) -> Vec<u64> {
    let table = fs::read_to_string("/proc/net/tcp").expect("/proc lists sockets");
    let local = format!(":{port:04X}");
    let lines = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields[1].ends_with(&local))
        .filter_map(|fields| fields[9].parse().ok())
        .collect()
}

/// Connects a UDP client to the server's second address.
fn udp_client(traced: &Traced) -> UdpSocket {
    let address = traced.server.names[1].strip_prefix("udp://").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

#[test]
fn no_error_stops_the_udp_echo() {
    if !can_trace() {
        return;
    }
    for (call, error) in [
        ("recvmsg", "ECONNREFUSED"),
        ("recvmsg", "EHOSTUNREACH"),
        ("recvmsg", "ENOMEM"),
        ("recvmsg", "EAGAIN"),
        ("sendto", "ECONNREFUSED"),
        ("sendto", "EPERM"),
        ("sendto", "ENOBUFS"),
        ("sendto", "EINTR"),
    ] {
        let fault = format!("error={error}:when=2+3");
        let traced = Traced::start_with_fault(call, &fault, &["udp://127.0.0.1:0"]);
        let client = udp_client(&traced);
        // An answer can be lost because of the error. The next question gets one.
        client
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let mut answers = 0;
        let mut back = [0; 64];
        for number in 0..100_u8 {
            client.send(&[number]).unwrap();
            answers += usize::from(client.recv(&mut back).is_ok());
            if answers == 6 {
                break;
            }
        }
        assert_eq!(answers, 6, "{call} {error}: {}", traced.server.log());
        traced.end_after_faults(2);
    }
}

#[test]
fn a_datagram_that_the_kernel_refuses_for_now_is_sent_later_and_none_is_skipped() {
    if !can_trace() {
        return;
    }
    let fault = "error=EAGAIN:when=3";
    let traced = Traced::start_with_fault("sendto", fault, &["udp://127.0.0.1:0"]);
    let client = udp_client(&traced);
    let mut back = [0; 64];
    for number in 0..2_u8 {
        client.send(&[number]).unwrap();
        assert_eq!(client.recv(&mut back).unwrap(), 1);
    }
    // There was room all the time, so no event reports room. The event of the next datagram does,
    // if that datagram arrives after the refusal; otherwise one event reports both datagrams.
    client.send(&[2]).unwrap();
    wait_until("the refusal", || faults(&traced.trace()) == 1);
    client.send(&[3]).unwrap();
    for number in 2..4 {
        assert_eq!((client.recv(&mut back).unwrap(), back[0]), (1, number));
    }
    traced.end_after_faults(1);
}

// ---- datagrams in segments -----------------------------------------------------------------------

/// Sends batches of 32 datagrams of 100 bytes to the server's second address, each batch with one
/// call, and expects every datagram back before the next batch is sent.
fn exchange_batches(traced: &Traced, batches: u64) {
    let target: SocketAddr = traced.server.names[1]
        .strip_prefix("udp://")
        .and_then(|address| address.parse().ok())
        .unwrap();
    wakeful::block_on(async {
        let socket = wakeful_net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for number in 0..batches {
            let bytes = noise(3200, number);
            let sent = socket.send_segments(&bytes, 100, target, None).await;
            assert_eq!(sent.unwrap(), 3200);
            for expected in bytes.chunks(100) {
                let mut back = [0; 128];
                let received = wakeful::time::timeout(DEADLINE, socket.recv_from(&mut back)).await;
                let (len, peer) = received.expect("an answer").unwrap();
                assert_eq!((&back[..len], peer), (expected, target));
            }
        }
    });
}

#[test]
fn a_batch_costs_one_recvmsg_and_one_sendmsg() {
    if !can_trace() {
        return;
    }
    let calls = |batches| {
        let arguments = ["-q", "udp://127.0.0.1:0"];
        let traced = Traced::start("batches", &["-e", "trace=recvmsg,sendmsg"], &arguments);
        exchange_batches(&traced, batches);
        traced.end()
    };
    let calls = difference(calls(10), calls(110));
    println!("100 batches: {calls:?}");
    assert_eq!(calls["sendmsg"], 100);
    // After each batch one that finds none, unless the next batch has arrived.
    assert!((100..=200).contains(&calls["recvmsg"]), "{calls:?}");
}

#[test]
fn datagrams_that_arrive_one_by_one_are_answered_together_if_one_client_sent_them_in_one_size() {
    if !can_trace() {
        return;
    }
    let options = ["-e", "trace=sendmsg,sendto", "-e", "signal=none"];
    let traced = Traced::start("waiting", &options, &["-q", "udp://127.0.0.1:0"]);
    let (one, other) = (udp_client(&traced), udp_client(&traced));
    let mut back = [0; 128];
    // The numbers of sends are 1, 2, 1, 1 and 1. Two empty datagrams cannot be sent together.
    let runs: [(&UdpSocket, &[usize]); 5] = [
        (&one, &[64; 30]),
        (&other, &[0, 0]),
        (&other, &[64, 64, 10]),
        (&one, &[64, 64]),
        (&one, &[65]),
    ];
    // A stopped server has all of them in its queue when it goes on.
    traced.server.signal(Signal::STOP);
    for (client, sizes) in runs {
        for size in sizes {
            client.send(&noise(*size, 7)).unwrap();
        }
    }
    traced.server.signal(Signal::CONT);
    for (client, sizes) in runs {
        for size in sizes {
            assert_eq!(client.recv(&mut back).unwrap(), *size);
            assert_eq!(back[..*size], noise(*size, 7));
        }
    }
    let (calls, trace) = traced.end_with_trace();
    let sends = (calls["sendmsg"], calls["sendto"]);
    assert_eq!(sends, (3, 3), "{trace}");
}

#[test]
fn a_batch_that_cannot_be_sent_at_once_is_sent_one_by_one() {
    if !can_trace() {
        return;
    }
    // The device, the path, a firewall, no room.
    for error in ["EIO", "EMSGSIZE", "EINVAL", "EPERM", "ENOBUFS"] {
        let fault = format!("inject=sendmsg:error={error}:when=2");
        let options = ["-e", "trace=sendmsg,sendto", "-e", &fault];
        let traced = Traced::start("one-by-one", &options, &["-v", "udp://127.0.0.1:0"]);
        exchange_batches(&traced, 3);
        // The answers can be here before the log.
        traced.server.wait_for_log("one by one");
        assert_eq!(traced.server.log_lines("one by one").len(), 1, "{error}");
        let (calls, trace) = traced.end_with_trace();
        assert_eq!(faults(&trace), 1);
        assert_eq!((calls["sendmsg"], calls["sendto"]), (3, 32), "{trace}");
    }
}

#[test]
fn a_kernel_without_segments_gets_each_datagram_by_itself_and_none_is_skipped_for_lack_of_room() {
    if !can_trace() {
        return;
    }
    for refusal in [None, Some("EAGAIN"), Some("EINTR")] {
        // The seventh question is that for UDP_SEGMENT, after those for the type and family of each socket.
        let mut options = vec!["-e", "inject=getsockopt:error=ENOPROTOOPT:when=7"];
        let fault = refusal.map(|error| format!("inject=sendto:error={error}:when=40"));
        if let Some(fault) = &fault {
            options.extend(["-e", fault]);
        }
        options.extend(["-e", "trace=getsockopt,sendto"]);
        let traced = Traced::start("none", &options, &["-v", "udp://127.0.0.1:0"]);
        exchange_batches(&traced, 3);
        let lines = || traced.server.log_lines("needs Linux 4.18");
        wait_until("a line per batch", || lines().len() >= 3);
        let lines = lines();
        assert_eq!(lines.len(), 3, "{}", traced.server.log());
        let (calls, trace) = traced.end_with_trace();
        assert_eq!(faults(&trace), 1 + usize::from(refusal.is_some()));
        assert!(trace.contains("UDP_SEGMENT"), "{trace}");
        assert_eq!(calls["sendto"], 96 + i64::from(refusal.is_some()));
    }
}

#[test]
fn a_kernel_that_merges_no_datagrams_is_served_one_at_a_time() {
    if !can_trace() {
        return;
    }
    // After the option for the stream's address.
    let fault = "error=ENOPROTOOPT:when=2";
    let arguments = ["-v", "udp://127.0.0.1:0"];
    let traced = Traced::start_with_fault("setsockopt", fault, &arguments);
    exchange_batches(&traced, 3);
    traced.server.wait_for_log("needs Linux 5.0");
    let lines = traced.server.log_lines("needs Linux 5.0");
    assert_eq!(lines.len(), 1, "{}", traced.server.log());
    let (_, trace) = traced.end_with_trace();
    assert!(trace.contains("UDP_GRO") && faults(&trace) == 1, "{trace}");
}

#[test]
fn an_interrupted_or_refused_batch_comes_back_whole_and_once() {
    if !can_trace() {
        return;
    }
    for (call, error, when) in [
        ("sendmsg", "EINTR", "1+2"),
        ("recvmsg", "EINTR", "1+3"),
        ("sendmsg", "EAGAIN", "1+2"),
    ] {
        let fault = format!("error={error}:when={when}");
        let traced = Traced::start_with_fault(call, &fault, &["udp://127.0.0.1:0"]);
        let waiting = error == "EAGAIN";
        // There was room all the time, so no event reports room, but that of the next datagram does.
        if waiting {
            assert_room_is_reported(&traced);
        } else {
            exchange_batches(&traced, 10);
        }
        traced.end_after_faults(if waiting { 1 } else { 5 });
    }
}

/// Expects a batch back whose first send was refused, after another datagram has arrived.
fn assert_room_is_reported(traced: &Traced) {
    let (target, bytes) = (udp_client(traced).peer_addr().unwrap(), noise(3200, 1));
    wakeful::block_on(async {
        let socket = wakeful_net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let sent = socket.send_segments(&bytes, 100, target, None).await;
        assert_eq!(sent.unwrap(), 3200);
        wait_until("the refusal", || faults(&traced.trace()) == 1);
        socket.send_to(b"next", target).await.unwrap();
        for expected in bytes.chunks(100).chain([&b"next"[..]]) {
            let mut back = [0; 128];
            let received = wakeful::time::timeout(DEADLINE, socket.recv_from(&mut back)).await;
            let (len, _) = received.expect("an answer").unwrap();
            assert_eq!(&back[..len], expected);
        }
    });
}

#[test]
fn a_datagram_socket_has_its_options_before_it_can_receive() {
    if !can_trace() {
        return;
    }
    let options = ["-e", "trace=setsockopt,bind"];
    let arguments = ["udp://0.0.0.0:0", "--threads", "2"];
    let (_, trace) = Traced::start("options", &options, &arguments).end_with_trace();
    let calls: Vec<&str> = trace
        .lines()
        .filter_map(|line| {
            ["IP_PKTINFO", "UDP_GRO", "bind("]
                .into_iter()
                .find(|call| line.contains(call))
        })
        .collect();
    let udp = ["IP_PKTINFO", "UDP_GRO", "bind("];
    // The stream's sockets first.
    assert_eq!(calls, [&["bind("; 2][..], &udp, &udp].concat(), "{trace}");
}
