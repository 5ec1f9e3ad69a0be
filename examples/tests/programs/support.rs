//! Starts example programs, reads their output and connects to them. Every wait has a time limit.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Time limit of every wait.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A running example program. Killed on drop.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Program {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Program {
        let path = executable(name);
        let mut child = Command::new(&path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; `cargo test -p wakeful-examples` builds the examples, but with \
                     `--test` it does not",
                    path.display()
                )
            });
        let stdin = child.stdin.take();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Program {
            child,
            stdin,
            stdout,
            stderr,
        }
    }

    /// Writes to standard input.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Closes standard input.
    pub(crate) fn end_input(&mut self) {
        drop(self.stdin.take());
    }

    /// Returns the next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(TIMEOUT).expect("a line of stdout")
    }

    /// Returns the next line of standard output if it comes within half a second.
    pub(crate) fn try_line(&self) -> Result<String, RecvTimeoutError> {
        self.stdout.recv_timeout(Duration::from_millis(500))
    }

    /// Returns the next line of standard error.
    pub(crate) fn stderr_line(&self) -> String {
        self.stderr.recv_timeout(TIMEOUT).expect("a line of stderr")
    }

    /// Returns the address from the first line of a server's output.
    pub(crate) fn address(&self) -> SocketAddr {
        let line = self.line();
        let address = line
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{line:?}"));
        address.parse().unwrap()
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn ctrl_c(&self) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end of the program and returns its remaining stdout, its stderr and its
    /// status.
    pub(crate) fn end(mut self) -> (Vec<String>, Vec<String>, ExitStatus) {
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (stdout, stderr, status);
            }
            assert!(Instant::now() < deadline, "the program does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asserts that a program refuses its arguments with this message.
pub(crate) fn assert_usage_error(name: &str, arguments: &[&str], message: &str) {
    let (stdout, stderr, status) = Program::start(name, arguments).end();
    assert_eq!(stdout, [""; 0], "{arguments:?}");
    assert_eq!(stderr, [format!("error: {message}")], "{arguments:?}");
    assert_eq!(status.code(), Some(2), "{arguments:?}");
}

/// Returns the path of an example. Cargo builds the examples with the tests of the same package.
pub(crate) fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile.join("examples").join(name)
}

/// Reads lines on a thread of its own, so that the program never blocks on a full pipe.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The receiver can be gone. Reading goes on nevertheless.
            sender.send(line).ok();
        }
    });
    receiver
}

/// Returns all remaining lines.
fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(TIMEOUT) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return rest,
            Err(RecvTimeoutError::Timeout) => panic!("the output does not end: {rest:?}"),
        }
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    try_connect(address).unwrap()
}

/// Connects to a server that can reset the connection at once.
pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, TIMEOUT).map(with_timeouts)
}

fn with_timeouts(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// A listener of the test, on a port chosen by the system.
pub(crate) struct Server(TcpListener);

impl Server {
    pub(crate) fn bind() -> Server {
        Self::bind_on("127.0.0.1")
    }

    pub(crate) fn bind_on(ip: &str) -> Server {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Server(listener)
    }

    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    pub(crate) fn accept(&self) -> TcpStream {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.0.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    return with_timeouts(stream);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "no client connects");
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Sends all bytes, shuts down the write side and returns all bytes received.
pub(crate) fn round_trip(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut sending = stream.try_clone().unwrap();
    let bytes = bytes.to_vec();
    let sender = thread::spawn(move || {
        sending.write_all(&bytes).unwrap();
        sending.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    received
}

/// Returns bytes in which a shifted or swapped range is detected.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
