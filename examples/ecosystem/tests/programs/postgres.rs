//! Tests of `postgres` with Debian's PostgreSQL server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, run_client};

const PROGRAM: &str = env!("CARGO_BIN_EXE_postgres");

/// A server with a database of its own, reachable by a Unix socket. Stopped on drop.
struct Server {
    folder: PathBuf,
}

impl Server {
    fn start(test: &str) -> Server {
        // Not in the target folder: the path of a socket has at most 107 bytes, and the server's user
        // may not be allowed to read the folder.
        let name = format!("wakeful-{}-{test}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let server = Server { folder };
        if is_root() {
            run_client("chown", &["postgres", server.folder.to_str().unwrap()], b"");
        }
        let data = server.data();
        server.run(
            "initdb",
            &["-D", &data, "-A", "trust", "-U", "postgres", "--no-sync"],
        );
        let options = format!("-k {} -c listen_addresses= -F", server.folder.display());
        let log = server.folder.join("log");
        let log = log.to_str().unwrap();
        server.run(
            "pg_ctl",
            &["start", "-w", "-D", &data, "-l", log, "-o", &options],
        );
        server
    }

    fn data(&self) -> String {
        self.folder.join("data").to_str().unwrap().to_owned()
    }

    fn socket(&self) -> String {
        let socket = self.folder.join(".s.PGSQL.5432");
        socket.to_str().unwrap().to_owned()
    }

    /// Runs a program of PostgreSQL as its own user, because the server refuses to run as root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new("timeout");
        command.arg("60");
        if is_root() {
            command.args([
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
            ]);
        }
        command.arg(programs().join(program)).args(arguments);
        // The server inherits the output, so a pipe would not end.
        let status = command
            .current_dir("/")
            .stdout(std::fs::File::create(self.folder.join(program)).unwrap())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program}: {status}");
    }

    /// Stops the server as a crash would.
    fn stop(&self) {
        self.run("pg_ctl", &["stop", "-m", "immediate", "-D", &self.data()]);
    }

    fn query(&self, queries: &[&str]) -> String {
        let socket = self.socket();
        let arguments = [&[&*socket, "postgres"], queries].concat();
        run_client(PROGRAM, &arguments, b"")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            self.stop();
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn is_root() -> bool {
    run_client("id", &["-u"], b"") == "0\n"
}

/// Returns the folder of the programs of the newest installed version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap();
    let newest = versions.map(|entry| entry.unwrap().path()).max();
    newest.unwrap().join("bin")
}

#[test]
fn queries_on_one_connection_are_answered_in_order_and_each_with_its_own_error() {
    let server = Server::start("queries");
    assert_eq!(
        server.query(&["select 1 + 1", "select null, 'text'"]),
        "2\nNULL\ttext\n"
    );
    // More than the buffers of the socket hold.
    let large =
        server.query(&["select sum(n), repeat('x', 1000000) from generate_series(1, 1000) n"]);
    assert_eq!(large, format!("500500\t{}\n", "x".repeat(1_000_000)));
    assert_eq!(server.query(&["select 7"; 100]), "7\n".repeat(100));

    let socket = server.socket();
    let queries = ["select 1", "select nonsense", "select 3"];
    let mut client = Client::start(PROGRAM, &[&[&*socket, "postgres"], &queries[..]].concat());
    assert_eq!([client.line(), client.line()], ["1", "3"]);
    let error = client.failure();
    assert!(error.starts_with("error: select nonsense: "), "{error}");
    assert!(
        error.contains("column \"nonsense\" does not exist"),
        "{error}"
    );

    let error = Client::start(PROGRAM, &[&socket, "guest", "select 1"]).failure();
    assert!(error.contains("role \"guest\" does not exist"), "{error}");
}

#[test]
fn a_server_that_crashes_in_the_middle_of_a_query_is_an_error() {
    let server = Server::start("crash");
    let client = Client::start(
        PROGRAM,
        &[&server.socket(), "postgres", "select pg_sleep(60)"],
    );
    let running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'";
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.query(&[running]) != "1\n" {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(5));
    }
    server.stop();
    let error = client.failure();
    assert!(error.starts_with("error: select pg_sleep(60): "), "{error}");
    let error = Client::start(PROGRAM, &[&server.socket(), "postgres", "select 1"]).failure();
    assert!(error.contains("connect"), "{error}");
}
