//! Tests of `redis-client` with Debian's Redis server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, run_client};

const PROGRAM: &str = env!("CARGO_BIN_EXE_redis-client");

/// A server on a Unix socket. Killed on drop.
struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    fn start(test: &str) -> Server {
        // Not in the target folder: the path of a socket has at most 107 bytes.
        let name = format!("wakeful-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let socket = folder.join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { child, folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !socket.exists() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
        server
    }

    fn url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.folder.display())
    }

    fn execute(&self, commands: &[&str]) -> String {
        let url = self.url();
        run_client(PROGRAM, &[&[&*url], commands].concat(), b"")
    }

    fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[test]
fn each_command_gets_its_reply() {
    let server = Server::start("replies");
    for (command, reply) in [
        ("set k v", "ok"),
        ("get k", "bulk-string('\"v\"')"),
        ("get none", "nil"),
    ] {
        assert_eq!(server.execute(&[command]), format!("{reply}\n"));
    }
    let error = Client::start(PROGRAM, &[&server.url(), "incr k"]).failure();
    assert!(error.contains("not an integer"), "{error}");
}

#[test]
fn five_hundred_commands_at_once_are_executed_once_each() {
    let server = Server::start("many");
    let output = server.execute(&["incr many"; 500]);
    // They are executed in any order, because each has a task of its own.
    let mut lines: Vec<_> = output.lines().map(str::to_owned).collect();
    let mut expected: Vec<_> = (1..=500).map(|n| format!("int({n})")).collect();
    lines.sort();
    expected.sort();
    assert!(lines == expected, "{output}");
}

#[test]
fn the_server_serves_the_next_client_after_another_was_killed() {
    let server = Server::start("killed");
    let client = Client::start(PROGRAM, &[&server.url(), "set before 1", "blpop list 0"]);
    wait_until_blocked(&server);
    drop(client);
    assert_eq!(server.execute(&["get before"]), "bulk-string('\"1\"')\n");
}

#[test]
fn a_server_that_crashes_before_its_reply_is_an_error() {
    let mut server = Server::start("crash");
    let client = Client::start(PROGRAM, &[&server.url(), "blpop list 0"]);
    wait_until_blocked(&server);
    server.crash();
    let error = client.failure();
    assert!(error.starts_with("error: "), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    let error = Client::start(PROGRAM, &[&server.url(), "ping"]).failure();
    assert!(
        error.contains("refused") || error.contains("No such file"),
        "{error}"
    );
}

/// Waits until a client waits for an element of a list.
fn wait_until_blocked(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !server
        .execute(&["info clients"])
        .contains("blocked_clients:1")
    {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(5));
    }
}
