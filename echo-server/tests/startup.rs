//! Starting: the output of a successful start, and the one line of a failed one.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::*;

/// Asserts status 1 and exactly one line that contains all of these texts.
#[track_caller]
fn assert_fails(run: &Run, texts: &[&str]) {
    assert_eq!(run.status, Some(1), "{run:?}");
    let lines: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("echo-server: "))
        .collect();
    assert_eq!(lines.len(), 1, "{run:?}");
    for text in texts {
        assert!(lines[0].contains(text), "{text:?} in {:?}", lines[0]);
    }
    assert_no_panic(&run.stderr);
    assert!(!run.stderr.contains("backtrace"), "{run:?}");
    assert_eq!(run.stdout, "");
}

#[test]
fn help_and_version_exit_with_0() {
    let help = run(&["--help"]);
    assert_eq!(help.status, Some(0));
    assert!(
        help.stdout.contains("--max-connections") && help.stderr.is_empty(),
        "{help:?}"
    );
    let version = run(&["--version"]);
    assert_eq!(
        (version.status, version.stdout.starts_with("echo-server ")),
        (Some(0), true)
    );
}

#[test]
fn a_usage_error_exits_with_2_and_names_what_is_allowed() {
    for (arguments, allowed) in [
        (&["127.0.0.1:65536"][..], "0 to 65535"),
        (&["127.0.0.1:-1"], "0 to 65535"),
        (&["127.0.0.1:x"], "0 to 65535"),
        (&["-1"], "0 to 65535"),
        (&["65536"], "0 to 65535"),
        (&["x"], "0 to 65535"),
        (&["http://127.0.0.1:80"], "unix://"),
        (&["udp://127.0.0.1"], "port is missing"),
        (&["--grace", "soon"], "500ms"),
        (&["--buffer-size", "65536"], "1..=65535"),
        (&["--no-such-flag"], "--help"),
    ] {
        let run = run(arguments);
        assert_eq!(run.status, Some(2), "{run:?}");
        assert!(
            run.stderr.contains(allowed),
            "{arguments:?}: {}",
            run.stderr
        );
        assert_no_panic(&run.stderr);
    }
}

#[test]
fn arguments_that_are_not_utf_8_are_accepted_only_as_paths() {
    let garbage = OsStr::from_bytes(b"127.0.0.1:\xff\xfe");
    let refused = run(&[garbage]);
    assert_eq!(refused.status, Some(2), "{refused:?}");
    assert_eq!(
        run(&[OsStr::new("--grace"), OsStr::from_bytes(b"\xff")]).status,
        Some(2)
    );
    assert_eq!(run(&[OsStr::from_bytes(b"--\xff")]).status, Some(2));

    let directory = Directory::new("bytes");
    let path = directory.0.join(OsStr::from_bytes(b"\xff.sock"));
    let mut argument = OsStr::new("unix://").to_owned();
    argument.push(&path);
    let mut command = Command::new(PROGRAM);
    command.arg(argument);
    let server = Server::launch(command, 1);
    assert!(
        server.names[0].ends_with("\\xff.sock"),
        "{:?}",
        server.names
    );
    assert_echo(&mut UnixStream::connect(&path).unwrap(), b"a path is bytes");
}

#[test]
fn a_port_in_use_is_one_error_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let texts = ["bind tcp://", address.as_str(), "Address already in use"];
    assert_fails(&run(&[&address]), &texts);
    // Also with --threads, which share ports with each other but not with other processes.
    assert_fails(&run(&[&address, "--threads", "2"]), &texts);
    // Also when it is not the first address.
    assert_fails(&run(&["127.0.0.1:0", &address]), &texts);
}

#[test]
fn two_servers_with_threads_do_not_share_a_port() {
    let server = Server::start(&["--threads", "2"]);
    let address = server.address().to_string();
    assert_fails(
        &run(&[&address, "--threads", "2"]),
        &["Address already in use"],
    );
}

#[test]
fn an_address_of_another_machine_is_one_error_line() {
    assert_fails(
        &run(&["192.0.2.1:1234"]),
        &["bind tcp://192.0.2.1:1234", "assign requested"],
    );
}

#[test]
fn an_unknown_host_is_one_error_line() {
    assert_fails(
        &run(&["no-such-host.invalid:80"]),
        &["bind tcp://no-such-host.invalid:80: "],
    );
}

/// Returns a command that runs the program as a user without privileges, if that is possible.
fn unprivileged() -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        return Some(Command::new(PROGRAM));
    }
    Command::new("setpriv").arg("-V").output().ok()?;
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--clear-groups", "--inh-caps=-all", "--"])
        .arg(PROGRAM);
    Some(command)
}

#[test]
fn a_privileged_port_is_one_error_line_that_names_the_privilege() {
    let Some(mut command) = unprivileged() else {
        return println!("skipped: running as root, and setpriv is missing");
    };
    command.args(["127.0.0.1:80", "--idle-timeout", "1s"]);
    let limit = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if limit.map_or(1024, |text| text.trim().parse().unwrap_or(1024)) <= 80 {
        return println!("skipped: any user may listen on port 80 here");
    }
    let run = run_command(command);
    if run.status == Some(127) || run.stderr.starts_with("setpriv") {
        return println!("skipped: user 65534 may not run {PROGRAM}: {}", run.stderr);
    }
    assert_fails(
        &run,
        &["bind tcp://127.0.0.1:80: Permission denied", "privilege"],
    );
}

#[test]
fn without_arguments_loopback_8080_is_served() {
    if TcpListener::bind("127.0.0.1:8080").is_err() {
        return println!("skipped: port 8080 is in use");
    }
    let server = Server::start_on(&[], 1);
    assert_eq!(server.names, ["tcp://127.0.0.1:8080"]);
    server.assert_serves();
}

#[test]
fn a_restarted_server_binds_its_port_while_old_connections_are_in_time_wait() {
    let mut server = Server::start(&[]);
    let address = server.address();
    let mut client = server.connect();
    assert_echo(&mut client, b"first");
    // The server closes first, so that its side is in TIME_WAIT.
    server.assert_ends_well();
    assert_end(&mut client);
    drop(client);
    let server = Server::start_on(&[&address.to_string()], 1);
    assert_eq!(server.address(), address);
    server.assert_serves();
}

// ---- IPv6 wildcards ------------------------------------------------------------------------------

/// Makes a round trip of one datagram.
#[track_caller]
fn assert_answers(address: SocketAddr) {
    let unspecified = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let client = UdpSocket::bind(unspecified).unwrap();
    client.connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.send(b"a datagram").unwrap();
    assert_eq!(client.recv(&mut [0; 64]).expect("an answer"), 10);
}

/// Returns whether this machine has IPv6.
fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        println!("skipped: this machine has no IPv6");
    }
    has
}

#[test]
fn an_ipv6_wildcard_and_an_ipv4_address_share_a_port() {
    if !has_ipv6() {
        return;
    }
    for (ipv4, threads) in [("0.0.0.0", "1"), ("127.0.0.1", "1"), ("0.0.0.0", "2")] {
        for ipv6_is_first in [false, true] {
            let port = free_port().port();
            let (v4, v6) = (format!("{ipv4}:{port}"), format!("[::]:{port}"));
            let mut arguments = vec![v4.clone(), v6.clone()];
            arguments.extend([format!("udp://{v4}"), format!("udp://{v6}")]);
            if ipv6_is_first {
                arguments.reverse();
            }
            arguments.extend(["--threads".to_owned(), threads.to_owned()]);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut server = Server::start_on(&arguments, 4);
            for ip in ["127.0.0.1", "::1"] {
                let address = SocketAddr::new(ip.parse().unwrap(), port);
                assert_echo(&mut connect_to(address), b"over both families");
                assert_answers(address);
            }
            server.assert_ends_well();
        }
    }
}

#[test]
fn an_ipv6_wildcard_includes_ipv4_when_no_ipv4_address_has_its_protocol_and_port() {
    if !has_ipv6() {
        return;
    }
    let port = free_port().port();
    let (tcp, udp) = (format!("[::]:{port}"), format!("udp://0.0.0.0:{port}"));
    let mut server = Server::start_on(&[&tcp, &udp, "127.0.0.1:0"], 3);
    for ip in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(ip.parse().unwrap(), port);
        assert_echo(&mut connect_to(address), b"over both families");
    }
    server.assert_ends_well();
}

// ---- standard streams ----------------------------------------------------------------------------

/// Returns an address whose port was free a moment ago.
fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Starts the program with other standard streams, and checks that it serves and ends in order.
#[track_caller]
fn assert_runs_with(mut command: Command) {
    let address = free_port();
    command.arg(address.to_string()).stdin(Stdio::null());
    let mut child = Killed(command.spawn().unwrap());
    wait_until("the server to listen", || {
        TcpStream::connect(address).is_ok()
    });
    for _ in 0..100 {
        let mut client = connect_to(address);
        assert_echo(&mut client, b"without a reader");
        reset(client);
    }
    assert_echo(&mut connect_to(address), b"still served");
    kill_process(Pid::from_child(&child.0), Signal::USR1).unwrap();
    assert_echo(&mut connect_to(address), b"still served");
    kill_process(Pid::from_child(&child.0), Signal::TERM).unwrap();
    assert_eq!(wait_for_exit(&mut child.0).code(), Some(0));
}

fn in_shell(redirections: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("exec \"$0\" \"$@\" {redirections}"))
        .arg(PROGRAM);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn the_server_runs_with_closed_standard_streams() {
    assert_runs_with(in_shell(">&-"));
    assert_runs_with(in_shell("2>&-"));
    assert_runs_with(in_shell("<&- >&- 2>&-"));
}

#[test]
fn the_server_runs_with_standard_streams_on_a_full_disk() {
    assert_runs_with(in_shell(">/dev/full 2>/dev/full"));
}

#[test]
fn the_server_runs_with_standard_streams_without_a_reader() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(PROGRAM);
    command
        .arg("-vv")
        .stdout(OwnedFd::from(writer.try_clone().unwrap()));
    command.stderr(OwnedFd::from(writer));
    assert_runs_with(command);
}

#[test]
fn the_server_runs_with_full_pipes_as_standard_streams() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    fill(&mut writer);
    let mut command = Command::new(PROGRAM);
    command
        .arg("-vv")
        .stdout(OwnedFd::from(writer.try_clone().unwrap()));
    command.stderr(OwnedFd::from(writer));
    assert_runs_with(command);
    drop(reader);
}

/// Fills a pipe to the last byte.
fn fill(writer: &mut std::io::PipeWriter) {
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    for size in [4096, 1] {
        while writer.write(&vec![b'x'; size]).is_ok() {}
    }
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
}

// ---- Unix sockets --------------------------------------------------------------------------------

#[test]
fn the_socket_file_is_removed_at_the_end() {
    let directory = Directory::new("removed");
    let (unix, path) = directory.socket("echo.sock");
    let mut server = Server::start_on(&[&unix], 1);
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    server.assert_ends_well();
    assert!(!path.exists());
}

#[test]
fn the_socket_file_of_a_later_server_is_not_removed() {
    let directory = Directory::new("other");
    let (unix, path) = directory.socket("echo.sock");
    let mut server = Server::start_on(&[&unix], 1);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    server.assert_ends_well();
    assert!(path.exists());
}

#[test]
fn a_stale_socket_is_replaced() {
    let directory = Directory::new("stale");
    let (unix, path) = directory.socket("echo.sock");
    drop(UnixListener::bind(&path).unwrap()); // leaves its file behind
    assert!(path.exists());
    let mut server = Server::start_on(&[&unix], 1);
    assert_echo(&mut UnixStream::connect(&path).unwrap(), b"replaced");
    // Killed, so that it cannot clean up, and started again.
    server.signal(Signal::KILL);
    server.wait();
    let server = Server::start_on(&[&unix], 1);
    assert_echo(&mut UnixStream::connect(&path).unwrap(), b"replaced again");
    drop(server);
}

/// Starts a server that strace stops before its first call of that name, and waits until it has
/// stopped there.
fn start_delayed(directory: &Directory, call: &str, seconds: u32, unix: &str) -> Killed {
    let trace = directory.0.join("trace");
    let mut command = Command::new("strace");
    command.args(["-D", "-q", "-o"]).arg(&trace);
    command.args(["-e", &format!("trace=/^{call}")]);
    command.args([
        "-e",
        &format!("inject=/^{call}:delay_enter={seconds}000000:when=1"),
    ]);
    command.arg(PROGRAM).arg(unix);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = Killed(command.stderr(Stdio::null()).spawn().unwrap());
    wait_until("the first call", || {
        fs::read_to_string(&trace).is_ok_and(|text| text.contains(call))
    });
    child
}

#[test]
fn a_server_that_starts_while_another_replaces_a_stale_socket_ends_and_the_other_serves() {
    if !can_trace() {
        return;
    }
    // Between its look and its removal, and between its bind(2) and its listen(2).
    for call in ["unlink", "listen"] {
        let directory = Directory::new("race");
        let (unix, path) = directory.socket("echo.sock");
        drop(UnixListener::bind(&path).unwrap());
        let mut first = start_delayed(&directory, call, 2, &unix);
        assert_fails(&run(&[&unix]), &[&unix, "another server listens there"]);
        let mut line = String::new();
        let stdout = first.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, format!("listening on {unix}\n"), "{call}");
        assert_echo(&mut UnixStream::connect(&path).unwrap(), b"the only one");
        kill_process(Pid::from_child(&first.0), Signal::TERM).unwrap();
        assert_eq!(wait_for_exit(&mut first.0).code(), Some(0));
        assert!(!path.exists() && !directory.0.join("echo.sock.lock").exists());
    }
}

#[test]
fn a_server_that_locks_a_file_which_its_owner_has_removed_locks_a_new_one() {
    if !can_trace() {
        return;
    }
    let directory = Directory::new("relock");
    let (unix, path) = directory.socket("echo.sock");
    let mut first = Server::start_on(&[&unix], 1);
    // Between its open(2) and its flock(2) the first server ends.
    let mut second = start_delayed(&directory, "flock", 5, &unix);
    first.assert_ends_well();
    wait_until("the second to listen", || {
        UnixStream::connect(&path).is_ok()
    });
    assert!(directory.0.join("echo.sock.lock").exists());
    assert_fails(&run(&[&unix]), &[&unix, "another server listens there"]);
    kill_process(Pid::from_child(&second.0), Signal::TERM).unwrap();
    assert_eq!(wait_for_exit(&mut second.0).code(), Some(0));
}

#[test]
fn of_servers_that_start_at_once_over_a_stale_socket_one_serves() {
    for _ in 0..10 {
        let directory = Directory::new("many");
        let (unix, path) = directory.socket("echo.sock");
        drop(UnixListener::bind(&path).unwrap());
        let start = || {
            let mut command = Command::new(PROGRAM);
            command
                .arg(&unix)
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            Killed(command.stderr(Stdio::null()).spawn().unwrap())
        };
        let mut servers: Vec<Killed> = (0..6).map(|_| start()).collect();
        wait_until("all but one to end", || {
            servers.retain_mut(|server| match server.0.try_wait().unwrap() {
                Some(status) => {
                    assert_eq!(status.code(), Some(1));
                    false
                }
                None => true,
            });
            servers.len() == 1
        });
        wait_until("the last one to listen", || {
            UnixStream::connect(&path).is_ok()
        });
        assert_echo(&mut UnixStream::connect(&path).unwrap(), b"the only one");
        kill_process(Pid::from_child(&servers[0].0), Signal::TERM).unwrap();
        assert_eq!(wait_for_exit(&mut servers[0].0).code(), Some(0));
    }
}

#[test]
fn a_lock_file_that_cannot_be_used_is_one_error_line_and_left_as_it_is() {
    let directory = Directory::new("locks");
    let (unix, _) = directory.socket("echo.sock");
    let lock = directory.0.join("echo.sock.lock");
    let name = lock.to_str().unwrap();

    fs::write(&lock, "precious").unwrap();
    assert_fails(&run(&[&unix]), &[&unix, name, "not an empty file"]);
    assert_eq!(fs::read_to_string(&lock).unwrap(), "precious");
    fs::remove_file(&lock).unwrap();

    symlink(directory.0.join("target"), &lock).unwrap();
    assert_fails(
        &run(&[&unix]),
        &["open the lock file", name, "symbolic links"],
    );
    assert!(lock.is_symlink() && !directory.0.join("target").exists());
    fs::remove_file(&lock).unwrap();

    // What a server that was killed leaves is no obstacle.
    fs::write(&lock, "").unwrap();
    let mut server = Server::start_on(&[&unix], 1);
    server.assert_ends_well();
    assert!(!lock.exists());
}

#[test]
fn a_directory_without_write_permission_is_one_error_line() {
    let directory = Directory::new("readonly");
    let (unix, _) = directory.socket("echo.sock");
    let Some(mut command) = unprivileged() else {
        return println!("skipped: running as root, and setpriv is missing");
    };
    command.arg(&unix);
    fs::set_permissions(&directory.0, Permissions::from_mode(0o555)).unwrap();
    let run = run_command(command);
    if run.status == Some(127) || run.stderr.starts_with("setpriv") {
        return println!("skipped: user 65534 may not run {PROGRAM}: {}", run.stderr);
    }
    assert_fails(&run, &[&unix, "echo.sock.lock", "Permission denied"]);
}

#[test]
fn a_path_that_is_not_a_stale_socket_is_refused_and_left_as_it_is() {
    let directory = Directory::new("refused");
    let (unix, path) = directory.socket("file");
    fs::write(&path, "precious").unwrap();
    assert_fails(&run(&[&unix]), &[unix.as_str(), "not a socket"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let (unix, path) = directory.socket("directory");
    fs::create_dir(&path).unwrap();
    assert_fails(&run(&[&unix]), &[unix.as_str(), "not a socket"]);

    let (_, dead) = directory.socket("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let (unix, path) = directory.socket("link");
    symlink(&dead, &path).unwrap();
    assert_fails(&run(&[&unix]), &[unix.as_str(), "not a socket"]);
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink() && dead.exists());

    let (unix, path) = directory.socket("live.sock");
    let _live = UnixListener::bind(&path).unwrap();
    assert_fails(&run(&[&unix]), &[unix.as_str(), "another server"]);
    UnixStream::connect(&path).unwrap();

    let (unix, _) = directory.socket("no/such/directory");
    assert_fails(&run(&[&unix]), &[unix.as_str(), "No such file"]);

    let (unix, _) = directory.socket(&"x".repeat(120));
    assert_fails(&run(&[&unix]), &[unix.as_str()]);
}

#[test]
fn a_failed_start_leaves_no_socket_file() {
    let directory = Directory::new("failed");
    let (unix, path) = directory.socket("echo.sock");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let run = run(&[unix, taken.local_addr().unwrap().to_string()]);
    assert_fails(&run, &["Address already in use"]);
    assert!(!path.exists());
}
