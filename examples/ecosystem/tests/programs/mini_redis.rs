//! Tests of `mini-redis` with redis-cli, redis-benchmark and plain sockets.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::support::{Program, SHUTTING_DOWN, pattern, read_to_end, run_client, run_client_bytes};

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_mini-redis"), &[])
}

impl Program {
    fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// Returns the output of redis-cli for one command, with the types of replies.
    fn redis_cli(&self, words: &[&str]) -> String {
        let port = self.port();
        let all = [&["-p", &port, "--no-raw"], words].concat();
        run_client("redis-cli", &all, b"").trim_end().to_owned()
    }
}

#[test]
fn redis_cli_gets_the_replies_of_redis() {
    let server = start();
    assert_eq!(server.redis_cli(&["ping"]), "PONG");
    assert_eq!(
        server.redis_cli(&["PING", "are you there"]),
        "\"are you there\""
    );
    assert_eq!(server.redis_cli(&["echo", ""]), "\"\"");
    assert_eq!(server.redis_cli(&["get", "key"]), "(nil)");
    assert_eq!(server.redis_cli(&["set", "key", "value"]), "OK");
    assert_eq!(server.redis_cli(&["set", "other", "1"]), "OK");
    assert_eq!(server.redis_cli(&["Get", "key"]), "\"value\"");
    assert_eq!(
        server.redis_cli(&["del", "key", "none", "other"]),
        "(integer) 2"
    );
    assert_eq!(server.redis_cli(&["get", "key"]), "(nil)");
    let unknown = "(error) ERR unknown command 'flushall'";
    assert_eq!(server.redis_cli(&["FLUSHALL"]), unknown);
    let wrong = "(error) ERR wrong number of arguments for 'get' command";
    assert_eq!(server.redis_cli(&["get"]), wrong);
    let options = server.redis_cli(&["set", "key", "value", "ex", "10"]);
    assert!(options.starts_with("(error) ERR syntax error"), "{options}");
    server.assert_all_closed();
}

#[test]
fn keys_and_values_hold_any_bytes_up_to_a_mebibyte() {
    let server = start();
    let port = server.port();
    let value = pattern(1 << 20);
    // -x: redis-cli reads the last argument from stdin.
    let set = run_client(
        "redis-cli",
        &["-p", &port, "-x", "set", "a b\r\n\""],
        &value,
    );
    assert_eq!(set, "OK\n");
    let mut got = run_client_bytes("redis-cli", &["-p", &port, "get", "a b\r\n\""], b"");
    assert_eq!(got.pop(), Some(b'\n'), "redis-cli appends a newline");
    assert!(got == value);
    server.assert_all_closed();
}

#[test]
fn inline_commands_and_pipelines_are_answered_in_order() {
    let server = start();
    let mut stream = server.connect();
    stream
        .write_all(
            b"PING\r\n\r\nset a 1\nGET a\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\nget a\r\nwhat\r\nPI",
        )
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let replies = String::from_utf8(read_to_end(stream)).unwrap();
    assert_eq!(
        replies,
        "+PONG\r\n+OK\r\n$1\r\n1\r\n:1\r\n$-1\r\n-ERR unknown command 'what'\r\n"
    );

    // The bulk mode of redis-cli sends 10,000 commands at once and counts the replies.
    let commands: String = (0..10_000)
        .map(|n| format!("SET key:{n} {n}\r\n"))
        .collect();
    let port = server.port();
    let report = run_client("redis-cli", &["-p", &port, "--pipe"], commands.as_bytes());
    assert!(report.contains("errors: 0, replies: 10000"), "{report}");
    assert_eq!(server.redis_cli(&["get", "key:9999"]), "\"9999\"");
    server.assert_all_closed();
}

#[test]
fn redis_benchmark_reports_no_error_with_a_hundred_connections() {
    let server = start();
    let port = server.port();
    for pipeline in ["1", "16"] {
        let options = [
            "-p", &port, "-c", "100", "-n", "20000", "-P", pipeline, "-d", "100",
        ];
        let tests = [
            "-t",
            "ping_inline,ping_mbulk,set,get",
            "-r",
            "1000",
            "--csv",
        ];
        let report = run_client("redis-benchmark", &[&options[..], &tests[..]].concat(), b"");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET"] {
            assert!(report.contains(&format!("\"{test}\"")), "{report}");
        }
        assert!(!report.to_lowercase().contains("error"), "{report}");
    }
    server.assert_all_closed();
}

#[test]
fn an_invalid_command_gets_an_error_and_ends_the_connection() {
    let server = start();
    let beginnings: [&[u8]; 3] = [b"*1000000\r\n", b"*1\r\n$2000000\r\n", b"*1\r\n!"];
    for beginning in beginnings {
        let mut client = server.connect();
        client.write_all(b"PING\r\n").unwrap();
        client.write_all(beginning).unwrap();
        let replies = String::from_utf8(read_to_end(client)).unwrap();
        assert!(
            replies.starts_with("+PONG\r\n-ERR Protocol error"),
            "{replies}"
        );
    }
    server.assert_all_closed();
}

#[test]
fn a_client_that_does_not_read_cannot_make_the_server_buffer_all_replies() {
    let server = start();
    let mut client = server.connect();
    let value = pattern(1 << 20);
    client
        .write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).as_bytes())
        .unwrap();
    client.write_all(&value).unwrap();
    client.write_all(b"\r\n").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    // The replies would be 2 GiB.
    client.write_all(&b"GET k\r\n".repeat(2000)).unwrap();
    // Other clients are served.
    assert_eq!(server.redis_cli(&["ping"]), "PONG");
    assert!(server.memory() < 100 << 20, "{}", server.memory());
    drop(client);
    server.assert_all_closed();
}

#[test]
fn ctrl_c_ends_the_program_while_a_client_is_idle() {
    let server = start();
    let mut idle = server.connect();
    idle.write_all(b"PING\r\n").unwrap();
    idle.read_exact(&mut [0; 7]).unwrap();
    server.ctrl_c();
    assert_eq!(server.end(), [SHUTTING_DOWN]);
    assert_eq!(read_to_end(idle), b"");
}

#[test]
fn the_next_client_is_served_after_others_disconnected_in_the_middle_of_a_command() {
    let server = start();
    server.disconnect_after(b"");
    server.disconnect_after(b"SET half");
    server.disconnect_after(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nhalf");
    server.disconnect_after(&b"PING\r\n".repeat(1000));
    assert_eq!(server.redis_cli(&["get", "k"]), "(nil)");
}
