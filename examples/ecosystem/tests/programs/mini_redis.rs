//! `mini-redis` and redis-cli, `mini-redis` and redis-benchmark.

use std::io::{Read, Write};
use std::net::Shutdown;

use crate::support::{Program, client, client_bytes, pattern, rest};

fn start() -> Program {
    Program::start(env!("CARGO_BIN_EXE_mini-redis"), &[])
}

impl Program {
    fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// What redis-cli prints for one command, types included.
    fn redis_cli(&self, words: &[&str]) -> String {
        let port = self.port();
        let all = [&["-p", &port, "--no-raw"], words].concat();
        client("redis-cli", &all, b"").trim_end().to_owned()
    }
}

#[test]
fn redis_cli_gets_what_redis_would_answer() {
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
    server.comes_to_rest();
}

#[test]
fn keys_and_values_hold_any_bytes_up_to_a_mebibyte() {
    let server = start();
    let port = server.port();
    let value = pattern(1 << 20);
    // -x: the last argument is what comes in.
    let set = client(
        "redis-cli",
        &["-p", &port, "-x", "set", "a b\r\n\""],
        &value,
    );
    assert_eq!(set, "OK\n");
    let mut got = client_bytes("redis-cli", &["-p", &port, "get", "a b\r\n\""], b"");
    assert_eq!(got.pop(), Some(b'\n'), "redis-cli ends a line");
    assert!(got == value);
    server.comes_to_rest();
}

#[test]
fn inline_commands_and_pipelines_are_answered_in_order() {
    let server = start();
    let mut client_ = server.connect();
    client_
        .write_all(
            b"PING\r\n\r\nset a 1\nGET a\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\nget a\r\nwhat\r\nPI",
        )
        .unwrap();
    client_.shutdown(Shutdown::Write).unwrap();
    let answers = rest(client_);
    let answers = String::from_utf8(answers).unwrap();
    assert_eq!(
        answers,
        "+PONG\r\n+OK\r\n$1\r\n1\r\n:1\r\n$-1\r\n-ERR unknown command 'what'\r\n"
    );

    // redis-cli's own bulk mode: 10,000 commands in one go, and it counts the answers.
    let commands: String = (0..10_000)
        .map(|n| format!("SET key:{n} {n}\r\n"))
        .collect();
    let port = server.port();
    let report = client("redis-cli", &["-p", &port, "--pipe"], commands.as_bytes());
    assert!(report.contains("errors: 0, replies: 10000"), "{report}");
    assert_eq!(server.redis_cli(&["get", "key:9999"]), "\"9999\"");
    server.comes_to_rest();
}

#[test]
fn redis_benchmark_finds_no_error_under_a_hundred_connections() {
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
        let report = client("redis-benchmark", &[&options[..], &tests[..]].concat(), b"");
        for test in ["PING_INLINE", "PING_MBULK", "SET", "GET"] {
            assert!(report.contains(&format!("\"{test}\"")), "{report}");
        }
        assert!(!report.to_lowercase().contains("error"), "{report}");
    }
    server.comes_to_rest();
}

#[test]
fn what_is_no_command_is_refused_and_ends_the_connection() {
    let server = start();
    let beginnings: [&[u8]; 3] = [b"*1000000\r\n", b"*1\r\n$2000000\r\n", b"*1\r\n!"];
    for beginning in beginnings {
        let mut client = server.connect();
        client.write_all(b"PING\r\n").unwrap();
        client.write_all(beginning).unwrap();
        let answer = String::from_utf8(rest(client)).unwrap();
        assert!(
            answer.starts_with("+PONG\r\n-ERR Protocol error"),
            "{answer}"
        );
    }
    server.comes_to_rest();
}

#[test]
fn who_asks_and_does_not_read_is_not_remembered_without_end() {
    let server = start();
    let mut client = server.connect();
    let value = pattern(1 << 20);
    client
        .write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).as_bytes())
        .unwrap();
    client.write_all(&value).unwrap();
    client.write_all(b"\r\n").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    // The answers would be 2 GiB.
    client.write_all(&b"GET k\r\n".repeat(2000)).unwrap();
    // Others are served meanwhile.
    assert_eq!(server.redis_cli(&["ping"]), "PONG");
    assert!(server.memory() < 100 << 20, "{}", server.memory());
    drop(client);
    server.comes_to_rest();
}

#[test]
fn ctrl_c_ends_the_program_with_clients_at_rest_too() {
    let server = start();
    let mut silent = server.connect();
    silent.write_all(b"PING\r\n").unwrap();
    silent.read_exact(&mut [0; 7]).unwrap();
    assert!(server.interrupt().success());
    assert_eq!(rest(silent), b"");
}

#[test]
fn clients_that_vanish_in_the_middle_of_a_command_concern_nobody_else() {
    let server = start();
    server.vanish(b"");
    server.vanish(b"SET half");
    server.vanish(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nhalf");
    server.vanish(&b"PING\r\n".repeat(1000));
    assert_eq!(server.redis_cli(&["get", "k"]), "(nil)");
}
