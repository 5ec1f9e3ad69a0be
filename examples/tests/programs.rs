//! The example programs, run as a person would run them, against real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// No wait in this file is longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An example that runs; ended when the test ends.
struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Program {
        // Cargo builds the examples of a package with its tests, two folders up from them.
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples");
        path.push(name);
        let mut child = Command::new(&path)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Program { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The address in the first line of a server.
    fn address(&mut self) -> SocketAddr {
        let line = self.line();
        let address = line
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("{line:?}"));
        address.parse().unwrap()
    }

    /// Everything it prints, once it has ended well.
    fn output(mut self) -> String {
        let mut output = String::new();
        self.stdout.read_to_string(&mut output).unwrap();
        assert!(self.child.wait().unwrap().success());
        output
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends everything, finishes, and returns all that comes back.
fn there_and_back(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
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

/// Bytes in which a shift or a swap would show.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

#[test]
fn echo_gives_everything_back_to_each_of_its_clients() {
    let mut echo = Program::start("echo", &["127.0.0.1:0"]);
    let address = echo.address();
    let clients: Vec<_> = (0..10usize)
        .map(|n| {
            thread::spawn(move || {
                let bytes = pattern(n * 100_000);
                assert!(there_and_back(connect(address), &bytes) == bytes);
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let line = echo.line();
    assert!(line.ends_with(" bytes"), "{line:?}");
}

#[test]
fn the_proxy_passes_bytes_and_each_half_close_on() {
    let mut echo = Program::start("echo", &["127.0.0.1:0"]);
    let target = echo.address().to_string();
    let mut proxy = Program::start("proxy", &["127.0.0.1:0", &target]);
    let address = proxy.address();
    for length in [0, 1, 65_535, 8 << 20] {
        let bytes = pattern(length);
        assert!(
            there_and_back(connect(address), &bytes) == bytes,
            "{length} bytes"
        );
    }
}

#[test]
fn the_proxy_lets_the_server_answer_after_the_client_has_finished() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    let mut proxy = Program::start("proxy", &["127.0.0.1:0", &target]);
    let client = connect(proxy.address());
    let asking = thread::spawn(move || there_and_back(client, b"question"));
    let (mut stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut question = String::new();
    stream.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    stream.write_all(b"answer").unwrap();
    drop(stream);
    assert_eq!(asking.join().unwrap(), b"answer");
}

#[test]
fn the_proxy_slows_the_sender_down_when_the_receiver_does_not_read() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    let mut proxy = Program::start("proxy", &["127.0.0.1:0", &target]);
    let mut client = connect(proxy.address());
    let (mut stream, _) = server.accept().unwrap();
    client.set_nonblocking(true).unwrap();
    // The kernel's buffers on the way take some; then nothing, however long one tries.
    let chunk = pattern(64 * 1024);
    let (mut sent, mut refused) = (0u64, 0);
    while refused < 20 {
        match client.write(&chunk) {
            Ok(n) => (sent, refused) = (sent + n as u64, 0),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 256 << 20, "nobody holds it back");
    }
    client.set_nonblocking(false).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let arrived = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    assert_eq!(arrived, sent, "and nothing is lost");
}

/// A client of the chat that reads line by line.
struct Guest {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Guest {
    fn enter(address: SocketAddr, name: &str) -> Guest {
        let stream = connect(address);
        let mut guest = Guest {
            lines: BufReader::new(stream.try_clone().unwrap()),
            stream,
        };
        guest.say(name);
        guest
    }

    fn say(&mut self, line: &str) {
        self.stream
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn the_chat_tells_everybody_but_the_author() {
    let mut chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Guest::enter(address, "Ann");
    assert_eq!(chat.line(), "* Ann is here");
    let mut bob = Guest::enter(address, "Bob");
    assert_eq!(ann.hear(), "* Bob is here");
    ann.say("hello");
    assert_eq!(bob.hear(), "Ann: hello");
    bob.say("\u{1b}[2Jhi");
    assert_eq!(ann.hear(), "Bob: [2Jhi", "control characters stay out");
    drop(ann);
    assert_eq!(bob.hear(), "* Ann has left");
}

#[test]
fn the_chat_puts_out_who_does_not_read_and_nobody_else_notices() {
    let mut chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Guest::enter(address, "Ann");
    assert_eq!(chat.line(), "* Ann is here");
    let deaf = Guest::enter(address, "Deaf");
    assert_eq!(ann.hear(), "* Deaf is here");
    let mut bob = Guest::enter(address, "Bob");
    assert_eq!(ann.hear(), "* Bob is here");
    assert_eq!(chat.line(), "* Deaf is here");
    assert_eq!(chat.line(), "* Bob is here");
    // The program's own words are read too: they are not to be what holds it up.
    let mut stdout = std::mem::replace(&mut chat.stdout, BufReader::new(empty_output()));
    let listening = thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    let long = "x".repeat(1000);
    let mut rounds = 0;
    loop {
        bob.say(&long);
        let heard = ann.hear();
        if heard == "* Deaf has left" {
            break;
        }
        assert_eq!(heard, format!("Bob: {long}"));
        rounds += 1;
        assert!(rounds < 100_000, "the deaf guest is still there");
    }
    drop((deaf, chat));
    listening.join().unwrap().unwrap();
}

/// A stand-in for an output that was given away.
fn empty_output() -> ChildStdout {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stdout.take().unwrap()
}

#[test]
fn a_future_is_woken_by_a_thread() {
    let output = Program::start("wake_from_thread", &[]).output();
    assert!(output.contains("wakes by other threads: 1\n"), "{output}");
    assert!(output.ends_with("the answer is 42\n"), "{output}");
}

#[test]
fn an_hour_of_timers_takes_no_time_with_a_paused_clock() {
    let output = Program::start("timers", &["paused"]).output();
    let expected = "0.1 s: sleeper 1 is awake\n0.2 s: sleeper 2 is awake\n\
                    0.3 s: sleeper 3 is awake\n0.4 s: waited long enough\n0.4 s: tick 1\n\
                    0.5 s: tick 2\n0.7 s: tick 3\n0.7 s: tick 4\n";
    assert_eq!(output, expected);
}

#[test]
fn any_descriptor_can_be_waited_for() {
    let folder = std::env::temp_dir().join(format!("wakeful-any-fd-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut program = Program::start("any_fd", &[folder.to_str().unwrap()]);
    assert!(program.line().starts_with("watching "));
    let (old, new) = (folder.join("old"), folder.join("new"));
    std::fs::write(&old, "").unwrap();
    assert!(program.line().ends_with(" old"));
    std::fs::rename(&old, &new).unwrap();
    assert!(program.line().ends_with(" old"));
    assert!(program.line().ends_with(" new"));
    std::fs::remove_file(&new).unwrap();
    assert!(program.line().ends_with(" new"));
    std::fs::remove_dir(&folder).unwrap();
}
