//! Shared by all tests of the program: a server process that is always killed, clients with
//! deadlines, and figures from /proc.
//!
//! Every wait here has a deadline ([`DEADLINE`]), so that a bug fails a test instead of hanging it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::missing_panics_doc, reason = "a test may panic")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Upper bound on every wait, also on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The path of the program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_echo-server");

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Addresses that it printed on stdout, in order.
    pub(crate) names: Vec<String>,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts the program on one free TCP port, with further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Server {
        let mut all = vec!["127.0.0.1:0"];
        all.extend_from_slice(arguments);
        Server::start_on(&all, 1)
    }

    /// Starts the program with exactly these arguments and waits for its addresses.
    pub(crate) fn start_on(arguments: &[&str], addresses: usize) -> Server {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        Server::launch(command, addresses)
    }

    /// Starts the program on one free TCP port with other dispositions or masks of signals, as an
    /// option of env(1): `--ignore-signal=INT`.
    pub(crate) fn start_with_signals(option: &str, arguments: &[&str]) -> Server {
        let mut command = Command::new("env");
        command
            .args([option, PROGRAM, "127.0.0.1:0"])
            .args(arguments);
        Server::launch(command, 1)
    }

    /// Starts the program on one free TCP port and `more` addresses among the further arguments, under a
    /// limit on descriptors, both soft and hard.
    pub(crate) fn start_with_descriptors(limit: u32, arguments: &[&str], more: usize) -> Server {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""))
            .arg(PROGRAM);
        command.arg("127.0.0.1:0").args(arguments);
        Server::launch(command, 1 + more)
    }

    /// Starts a command that becomes the server, and waits for its addresses.
    pub(crate) fn launch(mut command: Command, addresses: usize) -> Server {
        command.env_remove("RUST_LOG");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let reader = Some(collect(stderr, Arc::clone(&log)));
        let mut server = Server {
            child,
            names: Vec::new(),
            log,
            reader,
        };

        let (lines, received) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        while server.names.len() < addresses {
            let line = received.recv_timeout(DEADLINE).unwrap_or_else(|error| {
                panic!("no address on stdout: {error}; the log: {}", server.log())
            });
            let name = line
                .strip_prefix("listening on ")
                .expect("the documented line");
            server.names.push(name.to_owned());
        }
        server
    }

    /// Returns the first TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address_of(0)
    }

    /// Returns the TCP address with this index.
    pub(crate) fn address_of(&self, index: usize) -> SocketAddr {
        let name = self.names[index]
            .strip_prefix("tcp://")
            .expect("a TCP address");
        name.parse().expect("an address with a port")
    }

    /// Connects a client to the first address.
    pub(crate) fn connect(&self) -> TcpStream {
        connect_to(self.address())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the server is alive");
    }

    /// Returns everything on stderr so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log.lock().expect("no panic")).into_owned()
    }

    /// Returns the lines of the log that contain a text.
    pub(crate) fn log_lines(&self, text: &str) -> Vec<String> {
        self.log()
            .lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect()
    }

    /// Asks with SIGUSR1 for the counters of the datagram sockets, until each of `threads` has listed its own, and
    /// returns the lines. A thread that has just started has not polled its sockets, and lists none.
    pub(crate) fn datagram_sockets(&self, threads: usize) -> Vec<String> {
        let mut sockets = Vec::new();
        wait_until("the counters of all sockets", || {
            let count = |text| self.log_lines(text).len();
            let (known, reports) = (count("datagram socket"), count("INFO tasks count="));
            self.signal(Signal::USR1);
            wait_until("a report of each thread", || {
                count("INFO tasks count=") == reports + threads
            });
            sockets = self.log_lines("datagram socket").split_off(known);
            sockets.len() == threads * self.names.len()
        });
        sockets
    }

    /// Waits until the log contains a text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("{text:?} in the log"), || {
            self.log().contains(text)
        });
    }

    /// Asks for a report (SIGUSR1), and returns the line in it that contains `text`.
    pub(crate) fn report_line(&self, text: &str) -> String {
        let before = self.log_lines(text).len();
        self.signal(Signal::USR1);
        wait_until("the report", || self.log_lines(text).len() > before);
        self.log_lines(text).pop().expect("a line was added")
    }

    /// Waits for the end of the process, and of its log.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = wait_for_exit(&mut self.child);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the log's reader does not panic");
        }
        status
    }

    /// Returns whether the process is running.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }

    /// Makes a round trip on a new connection.
    pub(crate) fn assert_serves(&self) {
        let mut client = self.connect();
        assert_echo(&mut client, b"still there?");
    }

    /// Ends it with SIGTERM and checks the exit status.
    pub(crate) fn assert_ends_well(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status:?}: {}", self.log());
        assert_no_panic(&self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            eprintln!("---- the server's log ----\n{}", self.log());
        }
    }
}

fn collect(
    mut from: impl Read + Send + 'static,
    to: Arc<Mutex<Vec<u8>>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            to.lock()
                .expect("no panic")
                .extend_from_slice(&buffer[..length]);
        }
    })
}

/// Waits for the end of a process.
pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the end of the process", || {
        status = child.try_wait().expect("it is our child");
        status.is_some()
    });
    status.expect("it has ended")
}

/// Outcome of a run that ends by itself.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program to its end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    run_command(command)
}

/// Runs a command to its end.
pub(crate) fn run_command(mut command: Command) -> Run {
    command.env_remove("RUST_LOG");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Killed(command.spawn().expect("the program starts"));
    let (out, err) = (Arc::default(), Arc::default());
    let readers = [
        collect(child.0.stdout.take().expect("piped"), Arc::clone(&out)),
        collect(child.0.stderr.take().expect("piped"), Arc::clone(&err)),
    ];
    let status = wait_for_exit(&mut child.0);
    for reader in readers {
        reader.join().expect("no panic");
    }
    let text = |bytes: Arc<Mutex<Vec<u8>>>| {
        String::from_utf8_lossy(&bytes.lock().expect("no panic")).into_owned()
    };
    Run {
        status: status.code(),
        signal: status.signal(),
        stdout: text(out),
        stderr: text(err),
    }
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Connects a client with deadlines in both directions.
pub(crate) fn connect_to(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect_timeout(&address, DEADLINE).expect("the server listens");
    client.set_nodelay(true).expect("an open socket");
    client
        .set_read_timeout(Some(DEADLINE))
        .expect("an open socket");
    client
        .set_write_timeout(Some(DEADLINE))
        .expect("an open socket");
    client
}

/// Sends a message and expects exactly that back.
#[track_caller]
pub(crate) fn assert_echo<S: Read + Write>(client: &mut S, message: &[u8]) {
    client.write_all(message).expect("the server takes it");
    assert_receives(client, message);
}

/// Expects exactly these bytes next.
#[track_caller]
pub(crate) fn assert_receives<S: Read>(client: &mut S, message: &[u8]) {
    let mut back = vec![0; message.len()];
    client
        .read_exact(&mut back)
        .expect("the server sends it back");
    assert!(back == message, "{} other bytes came back", back.len());
}

/// Expects the end of input next.
#[track_caller]
pub(crate) fn assert_end<S: Read>(client: &mut S) {
    let mut one = [0];
    let length = client.read(&mut one).expect("an orderly end, not a reset");
    assert_eq!(length, 0, "the end of input, not {one:?}");
}

/// Sends everything and reads everything at the same time, then expects the end.
#[track_caller]
pub(crate) fn assert_half_close_echo(mut client: TcpStream, message: &[u8]) {
    thread::scope(|scope| {
        let mut writer = client.try_clone().expect("a descriptor");
        scope.spawn(move || {
            writer.write_all(message).expect("the server takes it");
            writer.shutdown(Shutdown::Write).expect("still open");
        });
        let mut back = Vec::with_capacity(message.len());
        client
            .read_to_end(&mut back)
            .expect("the server sends it back");
        assert!(
            back == message,
            "{} bytes sent, {} came back",
            message.len(),
            back.len()
        );
    });
}

/// Sends without reading until the kernel's buffers are full and the server waits. Stops at `max`
/// bytes. Returns how many were sent.
pub(crate) fn fill_connection(client: &mut TcpStream, max: usize) -> usize {
    let piece = noise(1 << 16, 1);
    let timeout = Some(Duration::from_millis(100));
    client.set_write_timeout(timeout).expect("an open socket");
    let (mut sent, mut refused) = (0, 0);
    // Several refusals in a row mean that it is full, and not slow for a moment.
    while sent < max && refused < 5 {
        match client.write(&piece) {
            Ok(length) => (sent, refused) = (sent + length, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => refused += 1,
            Err(_) => break, // the server has closed it
        }
    }
    client
        .set_write_timeout(Some(DEADLINE))
        .expect("an open socket");
    sent
}

/// Closes a connection with a reset instead of an orderly end.
pub(crate) fn reset(client: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).expect("an option");
    drop(client);
}

/// Returns whether strace works here. Otherwise prints that the test is skipped.
pub(crate) fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command
        .args(["-qq", "-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let works = command.status().is_ok_and(|status| status.success());
    if !works {
        println!("skipped: strace is missing, or not permitted to trace");
    }
    works
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns pseudo-random bytes (xorshift) from a seed, so that misplaced bytes are noticed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Asserts that the log reports no panic.
#[track_caller]
pub(crate) fn assert_no_panic(log: &str) {
    assert!(!log.contains("panicked"), "{log}");
}

/// A temporary directory, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Directory {
        // Not in the target directory, because the path of a Unix socket is limited to 107 bytes.
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), CREATED.fetch_add(1, Ordering::Relaxed));
        let mut parent = std::env::temp_dir();
        if parent.as_os_str().len() > 60 {
            parent = PathBuf::from("/tmp");
        }
        let path = parent.join(format!("echo-{name}-{process}-{number}"));
        fs::create_dir_all(&path).expect("a writable directory for temporary files");
        Directory(path)
    }

    /// Returns the address and the path of a Unix socket in it.
    pub(crate) fn socket(&self, name: &str) -> (String, PathBuf) {
        let path = self.0.join(name);
        (format!("unix://{}", path.display()), path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Returns the number after `name=` in a line of the log.
pub(crate) fn number_in(line: &str, name: &str) -> u64 {
    let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
    let field = fields.find(|(field, _)| *field == name);
    let (_, value) = field.expect("a field of the line");
    value.parse().expect("a number")
}

// ---- /proc ---------------------------------------------------------------------------------------

/// Returns the number of open descriptors of a process.
pub(crate) fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("a live process")
        .count()
}

/// Returns a number from /proc/PID/status.
pub(crate) fn status(pid: i32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a live process");
    let line = text
        .lines()
        .find(|line| line.starts_with(field))
        .expect("a known field");
    let value = line[field.len()..]
        .trim_start_matches(':')
        .split_whitespace()
        .next();
    value.expect("a value").parse().expect("a number")
}

/// Returns the resident memory in bytes.
pub(crate) fn resident(pid: i32) -> u64 {
    status(pid, "VmRSS") * 1024
}

/// Returns how often the process went to sleep by itself. Every wake-up is followed by one.
pub(crate) fn voluntary_switches(pid: i32) -> u64 {
    status(pid, "voluntary_ctxt_switches")
}

/// Returns the CPU time used so far, user and system.
pub(crate) fn cpu_time(pid: i32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a live process");
    let after_name = text.rsplit_once(')').expect("a name in brackets").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = [fields[11], fields[12]]
        .iter()
        .map(|t| t.parse::<u64>().expect("ticks"))
        .sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Duration::from_millis(ticks * 10)
}

/// Returns the share of one core that the process uses over a span of time.
pub(crate) fn cpu_share(pid: i32, span: Duration) -> f64 {
    let (before, start) = (cpu_time(pid), Instant::now());
    thread::sleep(span);
    (cpu_time(pid) - before).as_secs_f64() / start.elapsed().as_secs_f64()
}

/// Raises this process's own limit on descriptors, for tests with many clients.
pub(crate) fn allow_many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, wanted).expect("raising the soft limit to the hard limit");
}
