//! Tests of `quic` with `quic-client`.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::thread;

use crate::support::{Client, Program, folder, pattern, run_client_bytes};

const CLIENT: &str = env!("CARGO_BIN_EXE_quic-client");

/// A server and the file of its certificate.
struct Server {
    program: Program,
    certificate: PathBuf,
}

impl Server {
    fn start(test: &str) -> Server {
        let certificate = folder(test).join("cert.der");
        let path = certificate.to_str().unwrap();
        let program = Program::start(env!("CARGO_BIN_EXE_quic"), &[path]);
        Server {
            program,
            certificate,
        }
    }

    /// Arguments of a client.
    fn arguments(&self) -> [String; 2] {
        let certificate = self.certificate.to_str().unwrap();
        [self.program.address.to_string(), certificate.to_owned()]
    }

    fn client(&self) -> Client {
        Client::start(CLIENT, &self.arguments().each_ref().map(|text| &**text))
    }

    fn assert_echoes(&self, bytes: &[u8]) {
        let arguments = self.arguments();
        let arguments = arguments.each_ref().map(|text| &**text);
        assert!(run_client_bytes(CLIENT, &arguments, bytes) == bytes);
    }
}

#[test]
fn bytes_come_back_to_twenty_clients_at_once() {
    let server = Server::start("quic-echo");
    thread::scope(|scope| {
        for n in 0..20 {
            let server = &server;
            scope.spawn(move || server.assert_echoes(&pattern(n * 50_000)));
        }
    });
}

#[test]
fn the_next_client_is_served_after_others_were_killed_in_the_middle_of_a_stream() {
    let server = Server::start("quic-killed");
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let mut client = server.client();
            client.send("half\n");
            assert_eq!(client.line(), "half");
            client
        })
        .collect();
    drop(clients);
    // Bytes that are no QUIC.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [0, 1, 20, 1200] {
        socket
            .send_to(&pattern(length), server.program.address)
            .unwrap();
    }
    server.assert_echoes(b"still there?");
    server.program.assert_all_closed();
}

#[test]
fn ctrl_c_ends_the_connections_of_idle_clients() {
    let server = Server::start("quic-shutdown");
    let mut client = server.client();
    client.send("x\n");
    assert_eq!(client.line(), "x");
    server.program.ctrl_c();
    let error = client.failure();
    assert!(error.contains("the server ends"), "{error}");
    let end = server.program.end();
    assert_eq!(end, ["shutting down: closing all connections"]);
}

#[test]
fn a_client_refuses_the_certificate_of_another_server() {
    let (one, other) = (Server::start("quic-one"), Server::start("quic-other"));
    let certificate = other.certificate.to_str().unwrap();
    let client = Client::start(CLIENT, &[&one.program.address.to_string(), certificate]);
    let error = client.failure();
    assert!(error.contains("certificate"), "{error}");
    one.assert_echoes(b"still there?");
}
