//! A merged trace, as a simulation with two hosts makes it: a server that crashes at 2 s and restarts at 5 s, and a
//! client that waits for it.

use wakeful_trace::{Note, Trace};

use super::{ROOT, Recorder};

const SECOND: u64 = 1_000_000_000;

/// One run of the server: it accepts a connection and answers once.
pub fn server(tail: u64) -> Recorder {
    let mut r = Recorder::new(64);
    let (root, answer) = ((ROOT, 1), (1, 0));
    r.begin(root, 4, 0);
    r.after(100)
        .wait(root, "TcpListener::accept", "src/server.rs:9:37", 1, 5);
    r.after(100).turn(u32::MAX, 1_000_000, 1);
    r.begin(root, 1, 5);
    r.after(100).event(12, 3, 5, 9);
    r.spawn(answer, "src/server.rs:10:9");
    r.name(answer, "answer");
    let peer = r.text("10.0.0.2:40000");
    r.event(26, 0, 9, peer);
    r.after(100)
        .wait(root, "TcpListener::accept", "src/server.rs:9:37", 1, 5);
    r.after(100).begin(answer, 0, 0);
    r.after(100)
        .wait(answer, "TcpStream::read", "src/server.rs:17:14", 1, 9);
    r.after(100).turn(u32::MAX, tail, 1);
    r
}

/// The client asks twice. The second answer comes late.
pub fn client() -> Recorder {
    let mut r = Recorder::new(64);
    let (root, ask) = ((ROOT, 1), (1, 0));
    r.begin(root, 4, 0);
    r.after(100).spawn(ask, "src/client.rs:5:9");
    r.name(ask, "ask");
    r.after(100)
        .wait(root, "JoinHandle", "src/client.rs:6:7", 3, 1);
    r.after(100).begin(ask, 0, 0);
    // The same descriptor as that of the server, with another peer.
    let peer = r.text("10.0.0.1:7000");
    r.event(26, 0, 9, peer);
    r.after(100)
        .wait(ask, "TcpStream::read_exact", "src/client.rs:20:12", 1, 9);
    r.after(100).turn(u32::MAX, 3 * SECOND, 1);
    r.begin(ask, 1, 9);
    r.after(100)
        .wait(ask, "TcpStream::read_exact", "src/client.rs:20:12", 1, 9);
    r.after(100).turn(u32::MAX, 6_500_000_000, 1);
    r.begin(ask, 1, 9);
    r.wake((ROOT, 1), 1);
    r.after(100).end(ask, 1);
    r.after(100).begin(root, 3, 1);
    r.after(100).end(root, 2);
    r
}

/// Puts the runs of both hosts on one axis, with what happened to them.
pub fn hosts() -> Trace {
    let part = |recorder: Recorder, begin: u64, end: u64| {
        let mut trace = Trace::from_bytes(&recorder.bytes()).expect("a recording");
        trace.map_times(|ns| ns + begin);
        trace.runtimes[0].end = end;
        trace
    };
    let parts = [
        ("server", part(server(SECOND), 0, 2 * SECOND)),
        ("client", part(client(), 1_000, 10 * SECOND)),
        ("server", part(server(SECOND), 5 * SECOND, 10 * SECOND)),
    ];
    let mut trace = Trace::merge(parts.map(|(name, trace)| (name.to_owned(), trace)))
        .expect("three recordings");
    let notes = [
        ("server", 2 * SECOND, 5 * SECOND, "crashed"),
        ("client", 4 * SECOND, 7 * SECOND, "no way to server"),
        ("server", 4 * SECOND, 7 * SECOND, "no way to client"),
        ("server", 8 * SECOND, 8 * SECOND, "signal 10"),
        ("client", 10 * SECOND, 10 * SECOND, "panicked"),
    ];
    trace.notes = notes
        .map(|(name, begin, end, text)| note(name, begin, end, text))
        .into();
    trace
}

fn note(name: &str, begin: u64, end: u64, text: &str) -> Note {
    Note {
        name: name.to_owned(),
        begin,
        end,
        text: text.to_owned(),
    }
}
