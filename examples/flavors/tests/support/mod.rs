//! Servers of each model, their clients, and statistics from /proc. Every wait has a time limit.

#![allow(dead_code, reason = "each test file uses a part of this module")]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flavors::protocol::{Decoder, Message, Status};
use rustix::process::{Pid, Signal, kill_process};

/// Time limit of every wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_flavors");

/// Arguments of the models that serve one client at a time.
const SEQUENTIAL: [&[&str]; 2] = [&["blocking"], &["busy-wait"]];
/// Arguments of the models that serve many clients.
const CONCURRENT: [&[&str]; 5] = [
    &["threads"],
    &["event-loop", "--trigger", "level"],
    &["event-loop", "--trigger", "edge"],
    &["async"],
    &["completion"],
];

/// Runs a test that needs one client with every model.
pub(crate) fn every_model(test: impl Fn(&Model) + Sync) {
    run_all(&[&SEQUENTIAL[..], &CONCURRENT[..]].concat(), &test);
}

/// Runs a test with the models that serve many clients.
pub(crate) fn concurrent_models(test: impl Fn(&Model) + Sync) {
    run_all(&CONCURRENT, &test);
}

/// Runs a test with the models that serve one client at a time.
pub(crate) fn sequential_models(test: impl Fn(&Model) + Sync) {
    run_all(&SEQUENTIAL, &test);
}

fn run_all(models: &[&'static [&'static str]], test: &(impl Fn(&Model) + Sync)) {
    thread::scope(|scope| {
        for arguments in models {
            let model = Model(arguments);
            if model.is_refused() {
                println!("SKIPPED for {}: the kernel refuses io_uring", model.name());
                continue;
            }
            // One model at a time, because busy-waiting servers would take all cores.
            let thread = thread::Builder::new().name(model.name());
            let outcome = thread
                .spawn_scoped(scope, move || test(&model))
                .unwrap()
                .join();
            // The panic message has the model as the thread's name.
            assert!(
                outcome.is_ok(),
                "test failed for model {}",
                Model(arguments).name()
            );
        }
    });
}

/// A model, identified by its arguments.
pub(crate) struct Model(&'static [&'static str]);

impl Model {
    pub(crate) fn name(&self) -> String {
        self.0.join(" ")
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.0[0] == name
    }

    /// Returns whether this is `completion` on a kernel without io_uring.
    fn is_refused(&self) -> bool {
        static REFUSED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        self.is("completion")
            && *REFUSED.get_or_init(|| {
                let mut command = self.command(&[]);
                let mut child = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
                first_line(&mut child.0).0.starts_with("skipped: ")
            })
    }

    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--model"]);
        command.args(self.0).args(more);
        if !more.contains(&"--bind") {
            command.args(["--bind", "127.0.0.1:0"]);
        }
        command
    }

    pub(crate) fn start(&self) -> Server {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, more: &[&str]) -> Server {
        Server::launch(self.command(more))
    }

    /// Starts a server with a soft and hard limit on descriptors.
    pub(crate) fn start_with_descriptors(&self, limit: u32) -> Server {
        let inner = self.command(&[]);
        let mut command = Command::new("sh");
        command.arg("-c");
        command.arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""));
        command.arg(inner.get_program()).args(inner.get_args());
        Server::launch(command)
    }
}

/// Returns the number of descriptors of a server without clients.
pub(crate) fn idle_descriptors(model: &Model) -> usize {
    let server = model.start();
    let mut client = server.connect();
    // After the first answer all descriptors of the server are open, and that of the client.
    client.put("k", "v");
    server.descriptors() - 1
}

/// A process that is killed when it is dropped.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Returns the first line of stdout, and the reader for the rest.
fn first_line(child: &mut Child) -> (String, BufReader<std::process::ChildStdout>) {
    let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    (line, stdout)
}

/// A running server.
pub(crate) struct Server {
    child: Killed,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<u8>>>,
    reader: Option<thread::JoinHandle<()>>,
    // Kept open, so that the server can write to stdout.
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn launch(mut command: Command) -> Server {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Killed(command.spawn().expect("the program starts"));
        let mut stderr = child.0.stderr.take().expect("it is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let reader_log = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                reader_log
                    .lock()
                    .unwrap()
                    .extend_from_slice(&buffer[..length]);
            }
        });
        let (line, stdout) = first_line(&mut child.0);
        let address = line.trim_end().strip_prefix("listening on tcp://");
        let address = address.unwrap_or_else(|| panic!("{line:?}"));
        Server {
            child,
            address: address.parse().unwrap(),
            log,
            reader: Some(reader),
            _stdout: stdout,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.log.lock().unwrap().clone()).expect("the log is text")
    }

    /// Returns the lines of the log that begin with the address of a client.
    pub(crate) fn client_errors(&self) -> Vec<String> {
        let log = self.log();
        let lines = log.lines().filter(|line| line.starts_with("127.0.0.1:"));
        lines.map(ToOwned::to_owned).collect()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_some()
    }

    /// Waits for the end of the process and of its log.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of the server", || {
            status = self.child.0.try_wait().unwrap();
            status.is_some()
        });
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status.unwrap()
    }

    /// Sends SIGTERM and asserts that the server exits with status 0 and without a panic.
    pub(crate) fn assert_exits_cleanly(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status:?}: {}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }

    /// Asserts that a new client is served.
    pub(crate) fn assert_serves(&self) {
        let mut client = self.connect();
        client.put("still", "there");
        assert_eq!(client.get("still").as_deref(), Some("there"));
    }

    // ---- /proc
    // -----------------------------------------------------------------------------------

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// Returns a number from /proc/PID/status.
    pub(crate) fn status(&self, field: &str) -> u64 {
        number(&format!("/proc/{}/status", self.pid()), field)
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS") * 1024
    }

    /// Returns the number of voluntary context switches of all threads. Every wakeup of a thread is
    /// followed by one.
    pub(crate) fn voluntary_switches(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let paths = threads.map(|thread| thread.unwrap().path().join("status"));
        paths
            .map(|path| number(path.to_str().unwrap(), "voluntary_ctxt_switches"))
            .sum()
    }

    /// Returns the user and system CPU time in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let after_name = text.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: &str| field.parse::<u64>().unwrap();
        ticks(fields[11]) + ticks(fields[12])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- the server's log ----\n{}", self.log());
        }
    }
}

fn number(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    let value = line[field.len()..]
        .trim_start_matches(':')
        .split_whitespace();
    value.into_iter().next().unwrap().parse().unwrap()
}

/// A client with time limits on all operations.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT).expect("the server listens");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Client {
            stream,
            decoder: Decoder::new(u32::MAX as usize),
        }
    }

    pub(crate) fn name(&self) -> String {
        self.stream.local_addr().unwrap().to_string()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads it");
    }

    /// Sends bytes, and ignores an error: the server can close the connection before their end.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Returns the next answer.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Message {
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return message;
            }
            match self.stream.read(self.decoder.room()).expect("an answer") {
                0 => panic!("end of stream instead of an answer"),
                n => self.decoder.filled(n),
            }
        }
    }

    /// Asserts that the next bytes are exactly these.
    #[track_caller]
    pub(crate) fn assert_receives(&mut self, bytes: &[u8]) {
        let mut received = vec![0; bytes.len()];
        self.stream.read_exact(&mut received).expect("an answer");
        assert!(received == bytes, "{received:02x?} instead of {bytes:02x?}");
    }

    #[track_caller]
    pub(crate) fn put(&mut self, key: &str, value: &str) {
        self.send(&Message::put(key, value).to_frame());
        self.assert_stored();
    }

    #[track_caller]
    pub(crate) fn assert_stored(&mut self) {
        let stored = Message {
            kind: flavors::protocol::kind::PUT,
            ..Message::default()
        };
        assert_eq!(self.answer(), stored);
    }

    #[track_caller]
    pub(crate) fn get(&mut self, key: &str) -> Option<String> {
        self.send(&Message::get(key).to_frame());
        let answer = self.answer();
        assert_eq!(answer.key, key);
        assert_eq!(answer.kind, flavors::protocol::kind::GET_RESPONSE);
        match answer.status() {
            Status::Ok => Some(answer.value),
            Status::NotOk => {
                assert_eq!(answer.value, "");
                None
            }
        }
    }

    /// Asserts that the connection ends, by a FIN, or by a reset if the server left bytes unread.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?} instead of the end of the stream"),
        }
    }

    /// Asserts that the connection ends without a reset, after all answers.
    #[track_caller]
    pub(crate) fn assert_end(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).expect("the end"), 0);
    }

    /// Asserts that no bytes have been received.
    #[track_caller]
    pub(crate) fn assert_nothing_received(&self) {
        self.stream.set_nonblocking(true).unwrap();
        let outcome = self.stream.peek(&mut [0]).map_err(|error| error.kind());
        self.stream.set_nonblocking(false).unwrap();
        assert_eq!(outcome, Err(ErrorKind::WouldBlock));
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_true() {
        assert!(Instant::now() < deadline, "timeout: waiting for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Returns letters in which a shifted or swapped range is detected.
pub(crate) fn text(length: usize) -> String {
    (0..length as u64)
        .map(|n| char::from(b'a' + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as u8 % 26))
        .collect()
}

/// A temporary folder, removed on drop.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("flavors-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
