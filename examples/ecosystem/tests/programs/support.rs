//! Starts the programs and their clients. Every wait has an end, and everything stays on loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program of ours on a port that the system chooses; ended when the test ends.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// `path` is cargo's `CARGO_BIN_EXE_name`.
    pub(crate) fn start(path: &str, arguments: &[&str]) -> Program {
        let mut child = Command::new(path)
            .arg("127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn({
            let complaints = Arc::clone(&complaints);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    complaints.lock().unwrap().push(line);
                }
            }
        });
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.unwrap_or_else(|| panic!("{line:?}; {complaints:?}"));
        Program {
            child,
            address: address.parse().unwrap(),
            complaints,
        }
    }

    /// How many sockets it has open; one of them is the listener.
    fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        let links = std::fs::read_dir(folder).unwrap();
        links
            .filter_map(|link| std::fs::read_link(link.unwrap().path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<usize>().unwrap() * 1024
    }

    /// Waits until the program has closed every connection, and sees that no task panicked.
    pub(crate) fn comes_to_rest(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.sockets() > 1 {
            assert!(Instant::now() < deadline, "connections stay open");
            thread::sleep(Duration::from_millis(5));
        }
        let complaints = self.complaints.lock().unwrap();
        let panicked = complaints.iter().find(|line| line.contains("panicked"));
        assert_eq!(panicked, None);
    }

    /// Sends SIGINT, as Ctrl-C does, and waits for the end.
    pub(crate) fn interrupt(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        client("kill", &["-INT", &id], b"");
        self.child.wait().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A hundred clients that send the beginning of something and vanish all together, one half by
    /// closing, the other by a reset.
    pub(crate) fn vanish(&self, beginning: &[u8]) {
        let clients: Vec<_> = (0..100).map(|_| self.connect()).collect();
        for mut client in &clients {
            client.write_all(beginning).unwrap();
        }
        for client in clients.iter().step_by(2) {
            let client = socket2::SockRef::from(client);
            client.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(clients);
        self.comes_to_rest();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs somebody else's client to its end and returns what it printed.
pub(crate) fn client(name: &str, arguments: &[&str], input: &[u8]) -> String {
    let output = client_bytes(name, arguments, input);
    String::from_utf8(output).unwrap()
}

/// As [`client`], for output that is no text.
pub(crate) fn client_bytes(name: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    // coreutils' timeout ends it should it hang.
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

/// Runs a Python program with Debian's Python, which has Debian's packages.
pub(crate) fn python(program: &str, arguments: &[&str]) -> String {
    let arguments: Vec<_> = ["-c", program].iter().chain(arguments).copied().collect();
    client("/usr/bin/python3", &arguments, b"")
}

/// An empty folder of the test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Everything until the other side has finished.
pub(crate) fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    rest
}

/// Bytes in which a shift or a swap would show.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}
