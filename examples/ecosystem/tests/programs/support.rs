//! Starts the programs and their clients, on loopback only. Every wait has a time limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Time limit of every wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// What every server prints on the first Ctrl-C.
pub(crate) const SHUTTING_DOWN: &str =
    "shutting down: busy connections have 3 seconds; Ctrl-C again aborts them";

/// A running program on a port chosen by the system. Killed on drop.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Number of sockets before the first connection.
    sockets_at_start: usize,
    stderr_lines: Arc<Mutex<Vec<String>>>,
    /// Reads stderr to its end.
    stderr: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts the program at `path`, the value of cargo's `CARGO_BIN_EXE_name`.
    pub(crate) fn start(path: &str, arguments: &[&str]) -> Program {
        let mut child = Command::new(path)
            .arg("127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr_lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let stderr = thread::spawn({
            let stderr_lines = Arc::clone(&stderr_lines);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    stderr_lines.lock().unwrap().push(line);
                }
            }
        });
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("{line:?}; {stderr_lines:?}"));
        Program {
            address: address.parse().unwrap(),
            sockets_at_start: sockets(child.id()),
            child,
            stderr_lines,
            stderr: Some(stderr),
        }
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() * 1024
    }

    /// Waits until the program has closed every connection, and asserts that no task has panicked.
    pub(crate) fn assert_all_closed(&self) {
        let deadline = Instant::now() + TIMEOUT;
        while sockets(self.child.id()) > self.sockets_at_start {
            assert!(Instant::now() < deadline, "connections are still open");
            thread::sleep(Duration::from_millis(5));
        }
        let stderr_lines = self.stderr_lines.lock().unwrap();
        let panicked = stderr_lines.iter().find(|line| line.contains("panicked"));
        assert_eq!(panicked, None);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn ctrl_c(&self) {
        let id = self.child.id().to_string();
        run_client("kill", &["-INT", &id], b"");
    }

    /// Waits for the end of the program, asserts that it succeeded, and returns the lines of stderr.
    pub(crate) fn end(mut self) -> Vec<String> {
        assert!(self.child.wait().unwrap().success());
        self.stderr.take().unwrap().join().unwrap();
        std::mem::take(&mut self.stderr_lines.lock().unwrap())
    }

    /// Waits for a line of stderr.
    pub(crate) fn wait_for_line(&self, line: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.stderr_lines.lock().unwrap().iter().any(|l| l == line) {
            assert!(Instant::now() < deadline, "{:?}", self.stderr_lines);
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, TIMEOUT).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    /// Connects a hundred clients that send `bytes` and then disconnect, one half by a close and
    /// the other by a reset.
    pub(crate) fn disconnect_after(&self, bytes: &[u8]) {
        let clients: Vec<_> = (0..100).map(|_| self.connect()).collect();
        for mut client in &clients {
            client.write_all(bytes).unwrap();
        }
        for client in clients.iter().step_by(2) {
            let client = socket2::SockRef::from(client);
            client.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(clients);
        self.assert_all_closed();
    }
}

/// Returns the number of open sockets of a process, including its listener.
fn sockets(id: u32) -> usize {
    let links = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    links
        .filter_map(|link| std::fs::read_link(link.unwrap().path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a client program to its end and returns its output.
pub(crate) fn run_client(name: &str, arguments: &[&str], input: &[u8]) -> String {
    let output = run_client_bytes(name, arguments, input);
    String::from_utf8(output).unwrap()
}

/// Runs a client program to its end and returns its output, which need not be text.
pub(crate) fn run_client_bytes(name: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    // timeout(1) of coreutils ends a client that hangs.
    let mut child = Command::new("timeout")
        .args(["60", name])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = thread::spawn(move || {
        // Not every client reads its input.
        stdin.write_all(&input).ok();
    });
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {} {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs a Python program with Debian's interpreter, which finds Debian's packages.
pub(crate) fn python(program: &str, arguments: &[&str]) -> String {
    let arguments: Vec<_> = ["-c", program].iter().chain(arguments).copied().collect();
    run_client("/usr/bin/python3", &arguments, b"")
}

/// A running client, whose input and output are used line by line. Killed on drop, and after the time
/// limit of every wait.
pub(crate) struct Client {
    child: Child,
    /// Its drop ends the thread that enforces the time limit.
    _running: Sender<()>,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Client {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Client {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (running, ended) = channel();
        let id = child.id().to_string();
        thread::spawn(move || {
            if ended.recv_timeout(TIMEOUT) == Err(RecvTimeoutError::Timeout) {
                run_client("kill", &["-KILL", &id], b"");
            }
        });
        Client {
            child,
            _running: running,
            stdin,
            stdout,
        }
    }

    /// Starts a Python program with Debian's interpreter.
    pub(crate) fn python(program: &str, arguments: &[&str]) -> Client {
        let arguments: Vec<_> = ["-c", program].iter().chain(arguments).copied().collect();
        Client::start("/usr/bin/python3", &arguments)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Returns the next line of the output, or an empty text at its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Returns the number of threads.
    pub(crate) fn threads(&self) -> usize {
        let folder = format!("/proc/{}/task", self.child.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Waits until the client fails and returns its error output.
    pub(crate) fn failure(mut self) -> String {
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut text).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(1), "{text}");
        text
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Returns an empty folder for one test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Reads all bytes until the end of the stream.
pub(crate) fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Returns bytes in which a shifted or swapped range is detected.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
