//! Tests of `tls` and `tokio-tls` with `openssl s_client` and with Python's `ssl`, which is OpenSSL as
//! well.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Client, Program, SHUTTING_DOWN, folder, python, run_client};

/// Both programs do the same.
const PROGRAMS: [(&str, &str); 2] = [
    ("tls", env!("CARGO_BIN_EXE_tls")),
    ("tokio-tls", env!("CARGO_BIN_EXE_tokio-tls")),
];

/// Runs a test with each program.
fn for_each_program(test: &str, run: impl Fn(Program, &Path)) {
    for (name, path) in PROGRAMS {
        let (server, certificate) = start(&format!("{name}-{test}"), path);
        run(server, &certificate);
    }
}

/// Starts a server with a new certificate for localhost; returns the certificate's path as well.
fn start(test: &str, path: &str) -> (Program, PathBuf) {
    let folder = folder(test);
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let request = "req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost";
    let arguments: Vec<_> = request
        .split_whitespace()
        .chain(["-keyout", key.to_str().unwrap()])
        .chain(["-out", certificate.to_str().unwrap()])
        .collect();
    run_client("openssl", &arguments, b"");
    let paths = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let server = Program::start(path, &paths);
    (server, certificate)
}

/// Python functions: `connect` returns a connection after its handshake, `receive` reads from one.
const CONNECT: &str = r#"
import os, socket, ssl, struct, sys, threading
port, certificate = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=certificate)
# An end without close_notify raises an exception.
context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF

def connect():
    raw = socket.create_connection(("127.0.0.1", port), timeout=60)
    return context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)

def receive(tls, length):
    data = b""
    while len(data) < length:
        part = tls.recv(65536)
        assert part, "early end of stream"
        data += part
    return data
"#;

impl Program {
    fn run_ssl(&self, certificate: &Path, program: &str) -> String {
        let port = self.address.port().to_string();
        let program = format!("{CONNECT}{program}");
        python(&program, &[&port, certificate.to_str().unwrap()])
    }
}

#[test]
fn openssl_verifies_the_certificate_and_receives_its_lines() {
    for version in ["-tls1_2", "-tls1_3"] {
        for_each_program(&format!("s_client{version}"), |server, certificate| {
            let mut openssl = Command::new("timeout")
                .args([
                    "60",
                    "openssl",
                    "s_client",
                    "-quiet",
                    "-no_ign_eof",
                    version,
                ])
                .args(["-verify_return_error", "-verify_hostname", "localhost"])
                .args(["-CAfile", certificate.to_str().unwrap()])
                .args(["-connect", &server.address.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut stdin = openssl.stdin.take().unwrap();
            let mut stdout = BufReader::new(openssl.stdout.take().unwrap());
            for line in ["one\n", "and two\n"] {
                stdin.write_all(line.as_bytes()).unwrap();
                let mut echoed = String::new();
                stdout.read_line(&mut echoed).unwrap();
                assert_eq!(echoed, line, "{version}");
            }
            drop(stdin); // the client sends close_notify and ends
            assert!(openssl.wait().unwrap().success());
            server.assert_all_closed();
        });
    }
}

#[test]
fn a_hundred_clients_receive_their_bytes_at_once() {
    for_each_program("hundred", |server, certificate| {
        let output = server.run_ssl(
            certificate,
            r#"
done = []
barrier = threading.Barrier(100)

def talk(n):
    data = os.urandom(50_000 + n)
    with connect() as tls:
        barrier.wait(60)
        tls.sendall(data)
        assert receive(tls, len(data)) == data
        tls.unwrap()  # waits for the server's close_notify
    done.append(n)

threads = [threading.Thread(target=talk, args=(n,)) for n in range(100)]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
print(len(done))
"#,
        );
        assert_eq!(output, "100\n");
        server.assert_all_closed();
    });
}

#[test]
fn the_next_client_is_served_after_others_disconnected_in_the_handshake_or_after_it() {
    for_each_program("disconnect", |server, certificate| {
        server.disconnect_after(b"");
        // The header of a record with a ClientHello, and the first bytes of the ClientHello.
        server.disconnect_after(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half");
        server.disconnect_after(b"GET / HTTP/1.1\r\n\r\n");
        let output = server.run_ssl(
            certificate,
            r#"
clients = [connect() for _ in range(50)]
for n, tls in enumerate(clients):
    tls.sendall(b"x" * 10_000)
    if n % 2:
        # A reset instead of close_notify.
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls.close()
with connect() as tls:
    tls.sendall(b"still there?")
    print(receive(tls, 12).decode())
"#,
        );
        assert_eq!(output, "still there?\n");
        server.assert_all_closed();
    });
}

#[test]
fn ctrl_c_ends_idle_connections_with_close_notify() {
    for_each_program("idle", |server, certificate| {
        let program = r#"
tls = connect()
tls.sendall(b"x")
print(receive(tls, 1).decode(), flush=True)
print(tls.recv(1))
"#;
        let arguments = [
            &*server.address.port().to_string(),
            certificate.to_str().unwrap(),
        ];
        let mut idle = Client::python(&format!("{CONNECT}{program}"), &arguments);
        assert_eq!(idle.line(), "x");
        server.ctrl_c();
        assert_eq!(idle.line(), "b''");
        assert_eq!(server.end(), [SHUTTING_DOWN], "no connection was aborted");
    });
}
