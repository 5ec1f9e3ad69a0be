//! Tests of `netcat`.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};

use crate::support::{
    Program, Server, assert_usage_error, connect, executable, pattern, try_connect,
};

#[test]
fn netcat_sends_its_input_with_a_half_close_and_receives_the_answer() {
    let server = Server::bind();
    let mut netcat = Program::start("netcat", &[&server.address()]);
    let mut stream = server.accept();
    netcat.write(b"question");
    let mut question = [0; 8];
    stream.read_exact(&mut question).unwrap();
    assert_eq!(&question, b"question", "sent before the end of the input");
    netcat.end_input();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "half close");
    stream.write_all(b"answer\n").unwrap();
    assert_eq!(netcat.line(), "answer");
    drop(stream);
    let (stdout, stderr, status) = netcat.end();
    assert!(status.success(), "{stderr:?}");
    assert_eq!((stdout, stderr), (vec![], vec![]));
}

#[test]
fn netcat_receives_after_the_peer_s_half_close_and_sends_on() {
    let server = Server::bind();
    let mut netcat = Program::start("netcat", &[&server.address()]);
    let mut stream = server.accept();
    stream.write_all(b"greeting\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(netcat.line(), "greeting");
    netcat.write(b"letter");
    netcat.end_input();
    let mut letter = String::new();
    stream.read_to_string(&mut letter).unwrap();
    assert_eq!(letter, "letter");
    assert!(netcat.end().2.success());
}

/// Two netcats, connected to each other, copy a file to a file.
#[test]
fn netcat_listens_for_one_client_and_copies_a_file() {
    let folder = std::env::temp_dir().join(format!("wakeful-netcat-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (from, to) = (folder.join("from"), folder.join("to"));
    let bytes = pattern(3 << 20);
    std::fs::write(&from, &bytes).unwrap();

    let mut listener = Command::new(executable("netcat"))
        .args(["-l", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&to).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(listener.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on ").unwrap();
    let sender = Command::new(executable("netcat"))
        .arg(address)
        .stdin(std::fs::File::open(&from).unwrap())
        .output()
        .unwrap();
    assert!(sender.status.success(), "{sender:?}");
    assert!(listener.wait().unwrap().success());
    assert!(std::fs::read(&to).unwrap() == bytes);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_second_client_of_a_listening_netcat_is_refused() {
    // No other test uses this IP address, so none takes the port when it is free again.
    let netcat = Program::start("netcat", &["-l", "127.0.0.76:0"]);
    let line = netcat.stderr_line();
    let address = line.strip_prefix("listening on ").unwrap().parse().unwrap();
    let _first = connect(address);
    assert!(netcat.stderr_line().starts_with("connection from 127.0.0."));
    assert!(try_connect(address).is_err());
}

#[test]
fn netcat_ends_with_an_error_when_the_connection_is_reset() {
    let server = Server::bind();
    let mut netcat = Program::start("netcat", &[&server.address()]);
    let stream = server.accept();
    netcat.write(b"unread");
    stream.peek(&mut [0]).unwrap();
    // Closing a socket with unread bytes sends a reset.
    drop(stream);
    netcat.end_input();
    let (_, stderr, status) = netcat.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(stderr.len(), 1, "{stderr:?}");
    assert!(stderr[0].starts_with("error: c"), "{stderr:?}");
    assert!(stderr[0].contains(" the peer: "), "{stderr:?}");
}

#[test]
fn netcat_names_the_address_that_refuses_and_its_arguments() {
    let target = Server::bind_on("127.0.0.78").address();
    let (_, stderr, status) = Program::start("netcat", &[&target]).end();
    let error = format!("error: connect {target}: Connection refused (os error 111)");
    assert_eq!(stderr, [error]);
    assert_eq!(status.code(), Some(1));
    let usage = "the arguments are HOST:PORT, or -l ADDRESS:PORT to listen";
    for arguments in [
        &[][..],
        &["-l"],
        &["-x"],
        &["-x", "127.0.0.1:1"],
        &["a", "b", "c"],
    ] {
        assert_usage_error("netcat", arguments, usage);
    }
}
