//! Tests of `handlers`.

use std::io::{Read, Write};

use crate::echo::all_bytes_come_back;
use crate::support::{Program, connect};

#[test]
fn the_callbacks_send_all_bytes_back_to_each_client() {
    let server = Program::start("handlers", &["127.0.0.1:0"]);
    all_bytes_come_back(server.address());
}

#[test]
fn a_callback_can_close_the_connection_after_its_output() {
    let server = Program::start("handlers", &["127.0.0.1:0"]);
    let mut client = connect(server.address());
    assert_eq!(server.line(), "clients: 1", "`tick` has seen `opened`");
    client.write_all(b"quit\n").unwrap();
    let mut output = String::new();
    client.read_to_string(&mut output).unwrap();
    assert_eq!(output, "quit\n");
    assert_eq!(server.line(), "clients: 0", "`tick` has seen `closed`");
}

#[test]
fn a_callback_can_end_the_server_after_its_output() {
    let server = Program::start("handlers", &["127.0.0.1:0"]);
    let address = server.address();
    let (mut idle, mut client) = (connect(address), connect(address));
    client.write_all(b"stop\n").unwrap();
    let mut output = String::new();
    client.read_to_string(&mut output).unwrap();
    assert_eq!(output, "stop\n");
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    let (_, stderr, status) = server.end();
    assert!(status.success());
    assert_eq!(stderr, [""; 0]);
}

#[test]
fn ctrl_c_ends_the_server_and_its_connections() {
    let server = Program::start("handlers", &["127.0.0.1:0"]);
    let mut idle = connect(server.address());
    assert_eq!(server.line(), "clients: 1");
    server.ctrl_c();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    assert!(server.end().2.success());
}
