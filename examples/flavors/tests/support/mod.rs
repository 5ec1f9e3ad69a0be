//! Servers of each model, clients of theirs, and a look into /proc; every wait has an end.

#![allow(dead_code, reason = "each test file uses a part of it")]

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

/// No wait is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_flavors");

/// The models as they are started. The first two serve one client at a time.
const ONE_AT_A_TIME: [&[&str]; 2] = [&["blocking"], &["busy-wait"]];
const MANY_AT_A_TIME: [&[&str]; 5] = [
    &["threads"],
    &["event-loop", "--trigger", "level"],
    &["event-loop", "--trigger", "edge"],
    &["async"],
    &["completion"],
];

/// Runs a test against every model: what one client alone can ask.
pub(crate) fn every_model(test: impl Fn(&Model) + Sync) {
    run_all(&[&ONE_AT_A_TIME[..], &MANY_AT_A_TIME[..]].concat(), &test);
}

/// Runs a test against the models that serve many clients.
pub(crate) fn models_for_many(test: impl Fn(&Model) + Sync) {
    run_all(&MANY_AT_A_TIME, &test);
}

/// Runs a test against the models that serve one client at a time.
pub(crate) fn models_for_one(test: impl Fn(&Model) + Sync) {
    run_all(&ONE_AT_A_TIME, &test);
}

fn run_all(models: &[&'static [&'static str]], test: &(impl Fn(&Model) + Sync)) {
    thread::scope(|scope| {
        for arguments in models {
            let model = Model(arguments);
            if model.is_refused() {
                println!("SKIPPED for {}: the kernel refuses io_uring", model.name());
                continue;
            }
            // One after the other: two that spin would take both cores from the rest.
            let thread = thread::Builder::new().name(model.name());
            let outcome = thread
                .spawn_scoped(scope, move || test(&model))
                .unwrap()
                .join();
            // The panic has been printed, with the model as the thread's name.
            assert!(outcome.is_ok(), "failed for {}", Model(arguments).name());
        }
    });
}

/// A model, by its arguments.
pub(crate) struct Model(&'static [&'static str]);

impl Model {
    pub(crate) fn name(&self) -> String {
        self.0.join(" ")
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.0[0] == name
    }

    /// Whether this is `completion` on a kernel without io_uring.
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

    /// Under a limit on descriptors, both soft and hard.
    pub(crate) fn start_with_descriptors(&self, limit: u32) -> Server {
        let inner = self.command(&[]);
        let mut command = Command::new("sh");
        command.arg("-c");
        command.arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""));
        command.arg(inner.get_program()).args(inner.get_args());
        Server::launch(command)
    }
}

/// How many descriptors an idle server of this model has.
pub(crate) fn idle_descriptors(model: &Model) -> usize {
    let server = model.start();
    let mut client = server.connect();
    // Once it is served, all is open that ever will be: and the client itself, of course.
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
    // Kept open, so that the server can write there.
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn launch(mut command: Command) -> Server {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Killed(command.spawn().expect("the program starts"));
        let mut stderr = child.0.stderr.take().expect("it is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut buffer) {
                to.lock().unwrap().extend_from_slice(&buffer[..length]);
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
        String::from_utf8(self.log.lock().unwrap().clone()).expect("text, whatever peers send")
    }

    /// The lines of the log about a client, without those that concern nobody.
    pub(crate) fn complaints(&self) -> Vec<String> {
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

    /// Ends it by SIGTERM: it does, with status 0 and without a panic.
    pub(crate) fn assert_ends_well(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status:?}: {}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }

    /// A new client is served.
    pub(crate) fn assert_serves(&self) {
        let mut client = self.connect();
        client.put("still", "there");
        assert_eq!(client.get("still").as_deref(), Some("there"));
    }

    // ---- /proc -----------------------------------------------------------------------------------

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// A number from /proc/PID/status.
    pub(crate) fn status(&self, field: &str) -> u64 {
        number(&format!("/proc/{}/status", self.pid()), field)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS") * 1024
    }

    /// How often its threads went to sleep by themselves: every wake-up is followed by one.
    pub(crate) fn voluntary_switches(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let paths = threads.map(|thread| thread.unwrap().path().join("status"));
        paths
            .map(|path| number(path.to_str().unwrap(), "voluntary_ctxt_switches"))
            .sum()
    }

    /// CPU time, user and system, in ticks of 10 ms.
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

/// A client that never waits for ever.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server listens");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client {
            stream,
            decoder: Decoder::new(u32::MAX as usize),
        }
    }

    pub(crate) fn name(&self) -> String {
        self.stream.local_addr().unwrap().to_string()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Sends what the server may not want to hear to the end.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next answer.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Message {
        loop {
            if let Some(message) = self.decoder.next_message().unwrap() {
                return message;
            }
            match self.stream.read(self.decoder.room()).expect("an answer") {
                0 => panic!("the end instead of an answer"),
                n => self.decoder.filled(n),
            }
        }
    }

    /// The next bytes are exactly these.
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

    /// The connection ends, in order or by a reset (the server did not read all that was sent).
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => panic!("{other:?} instead of the end"),
        }
    }

    /// The connection ends in order, after everything that was asked for.
    #[track_caller]
    pub(crate) fn assert_end(&mut self) {
        assert_eq!(self.stream.read(&mut [0]).expect("an orderly end"), 0);
    }

    /// Nothing has come so far.
    #[track_caller]
    pub(crate) fn assert_silence(&self) {
        self.stream.set_nonblocking(true).unwrap();
        let outcome = self.stream.peek(&mut [0]).map_err(|error| error.kind());
        self.stream.set_nonblocking(false).unwrap();
        assert_eq!(outcome, Err(ErrorKind::WouldBlock));
    }

    /// Closes by a reset.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Waits until something is true.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Letters in which a shift or a swap would show.
pub(crate) fn text(length: usize) -> String {
    (0..length as u64)
        .map(|n| char::from(b'a' + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as u8 % 26))
        .collect()
}

/// A folder of its own, removed at the end.
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
