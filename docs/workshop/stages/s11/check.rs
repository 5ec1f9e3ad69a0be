//! The check of stage 11: clients that send and do not read, reset, leave, or come when no descriptor is left.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Peer};
use std::rc::Rc;
use std::time::Duration;

use kernel::Script;
use probe::{Case, Diagnosis, Failure, Outcome, Picture, Stage, expect, fail, run_scripted};
use stage::serve::{GRACE, PAUSE, Stop, serve};
use stage::{TcpListener, block_on, sleep, spawn};

const EAGAIN: i32 = 11;
const EINVAL: i32 = 22;
const EMFILE: i32 = 24;
const ECONNABORTED: i32 = 103;

/// What can run out, and what an accept returns then.
const SHORTAGES: [(i32, &str); 4] = [
    (EMFILE, "the process has no descriptor left; a client connects and writes"),
    (23, "the system has no descriptor left (ENFILE); a client connects and writes"),
    (105, "the kernel has no buffer left (ENOBUFS); a client connects and writes"),
    (12, "the kernel has no memory left (ENOMEM); a client connects and writes"),
];

/// Errors that never pass.
const UNUSABLE: [i32; 2] = [EINVAL, 9];

static STAGE: Stage = Stage {
    number: 11,
    diagnoses: &[
        Diagnosis {
            id: "11.1",
            what: "nothing is echoed before the client has closed its side",
            why: "a client that waits for the echo before it sends more waits forever, and so does the server",
            section: "Each byte at once",
            function: "echo",
        },
        Diagnosis {
            id: "11.2",
            what: "the end of a client's bytes is not noticed",
            why: "a read of 0 bytes is the end: reading again returns 0 again, without an end",
            section: "Each byte at once",
            function: "echo",
        },
        Diagnosis {
            id: "11.3",
            what: "a client that resets its connection causes a panic",
            why: "any client can do this at any time: its error ends its own connection and nothing else",
            section: "Each byte at once",
            function: "echo",
        },
        Diagnosis {
            id: "11.4",
            what: "accept called 1,000 times without a sleep",
            why: "the client stays in the queue after the error, so the next call fails as well, at once",
            section: "Three kinds of errors",
            function: "accept_all",
        },
        Diagnosis {
            id: "11.5",
            what: "a shortage ends the accepting",
            why: "it passes when others give back; no event says so, so accept is called again after a pause",
            section: "Three kinds of errors",
            function: "after",
        },
        Diagnosis {
            id: "11.6",
            what: "a client that left before it was accepted holds up the next one",
            why: "the error concerns that client alone: the next one is in the queue already",
            section: "Three kinds of errors",
            function: "after",
        },
        Diagnosis {
            id: "11.7",
            what: "the error of an unusable listener is not returned",
            why: "it never passes, so the server asks forever, or ends as if it had been stopped",
            section: "Three kinds of errors",
            function: "after",
        },
        Diagnosis {
            id: "11.8",
            what: "a client is not served while another one is idle",
            why: "the accept loop awaits the connection, instead of a task of its own",
            section: "Each byte at once",
            function: "accept_all",
        },
        Diagnosis {
            id: "11.9",
            what: "bytes pile up for a client that does not read",
            why: "the next read does not wait for the write of what was read before",
            section: "Backpressure",
            function: "echo",
        },
        Diagnosis {
            id: "11.10",
            what: "what came before the stop is not answered",
            why: "the server ended before its connections had ended",
            section: "In good order",
            function: "drain",
        },
        Diagnosis {
            id: "11.11",
            what: "a wait does not notice the stop",
            why: "each wait for a client that may never come is inside `stop.or`",
            section: "In good order",
            function: "echo",
        },
        Diagnosis {
            id: "11.12",
            what: "a client that does not read keeps the server from ending",
            why: "its connection waits in a write: only a limit of time ends that",
            section: "In good order",
            function: "drain",
        },
        Diagnosis {
            id: "11.13",
            what: "each client gets a grace period of its own",
            why: "the time starts again for each connection, so ten of them take ten times as long",
            section: "In good order",
            function: "drain",
        },
        Diagnosis {
            id: "11.14",
            what: "descriptors are open after the end",
            why: "an abort takes effect at the task's next poll: the socket is closed when the handle is ready",
            section: "In good order",
            function: "drain",
        },
        Diagnosis {
            id: "11.15",
            what: "bytes are lost behind a short write",
            why: "a write takes what there is room for, and returns how much: the rest is still to be written",
            section: "Each byte at once",
            function: "echo",
        },
        Diagnosis {
            id: "11.16",
            what: "the connection ends after a message",
            why: "a read that is shorter than the buffer is no end: only 0 bytes are",
            section: "Each byte at once",
            function: "echo",
        },
        Diagnosis {
            id: "11.17",
            what: "a client that needs a second after the stop is cut off",
            why: "a write that waits can still end within the grace period; without one it cannot",
            section: "In good order",
            function: "drain",
        },
    ],
    cases: &[
        Case { name: "a message is echoed before the next one", run: each_message_at_once },
        Case { name: "bytes with the end behind them are echoed", run: bytes_with_the_end },
        Case { name: "two clients are served at once", run: two_clients_at_once },
        Case { name: "a reset ends one connection", run: a_reset_ends_one_connection },
        Case {
            name: "a slow reader costs a bounded number of bytes",
            run: a_slow_reader_is_bounded,
        },
        Case { name: "a shortage is waited for", run: a_shortage_passes },
        Case { name: "a stop ends the wait of a shortage", run: a_stop_during_a_shortage },
        Case { name: "a client that left costs no time", run: a_client_that_left },
        Case { name: "an unusable listener ends the server", run: an_unusable_listener },
        Case {
            name: "a stop ends idle connections, and answers the others",
            run: a_stop_in_good_order,
        },
        Case { name: "a stop ends in time, and closes everything", run: a_stop_in_time },
        Case { name: "a write can end within the grace period", run: a_write_in_the_grace_period },
    ],
    panics: &[("ConnectionReset", "11.3"), ("BrokenPipe", "11.3"), ("Connection reset", "11.3")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// The clients of a case, by number, and the address of the server.
#[derive(Clone)]
struct Clients {
    address: Rc<Cell<SocketAddr>>,
    peers: Rc<RefCell<Vec<Peer>>>,
    /// They do not read.
    slow: bool,
}

impl Clients {
    fn new() -> Clients {
        let address = Rc::new(Cell::new(SocketAddr::from(([127, 0, 0, 1], 0))));
        Clients { address, peers: Rc::default(), slow: false }
    }

    fn connect(&self) {
        let peer = Peer::connect(self.address.get()).unwrap();
        peer.set_nonblocking(true).unwrap();
        self.peers.borrow_mut().push(peer);
    }

    /// Writes as much of `bytes` as the socket takes.
    fn write(&self, number: usize, bytes: &[u8]) {
        let _ = self.peers.borrow_mut()[number].write(bytes);
    }

    /// Returns what is there, and whether the server has closed its side.
    fn read(&self, number: usize) -> (String, bool) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match self.peers.borrow_mut()[number].read(&mut buffer) {
                Ok(0) => return (String::from_utf8_lossy(&bytes).into_owned(), true),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(_) => return (String::from_utf8_lossy(&bytes).into_owned(), false),
            }
        }
    }

    /// Reads of each client, unless it is too late.
    fn read_all(&self, late: bool) -> Vec<(String, bool)> {
        let count = if self.slow || late { 0 } else { self.peers.borrow().len() };
        (0..count).map(|number| self.read(number)).collect()
    }

    fn end(&self, number: usize) {
        let _ = self.peers.borrow()[number].shutdown(Shutdown::Write);
    }

    /// Adds the step of one more client that connects.
    fn connects(&self, script: Script, name: &'static str) -> Script {
        let clients = self.clone();
        script.then(name, move || clients.connect())
    }

    fn writes(&self, script: Script, name: &'static str, number: usize) -> Script {
        let clients = self.clone();
        script.then(name, move || clients.write(number, b"hello"))
    }
}

/// What came of a server.
struct Served {
    result: io::Result<usize>,
    /// Virtual time between the stop and the end.
    took: Duration,
    /// Descriptors that are open after the end and were not open before, without those of the clients.
    descriptors: usize,
    /// What each client can read before the stop, if the server has not returned by then: text, and whether
    /// the server has closed its side.
    before: Vec<(String, bool)>,
    /// What each client can read more when the server returns.
    after: Vec<(String, bool)>,
}

impl Served {
    /// What a client has read until the server returned.
    fn read(&self, number: usize) -> (String, bool) {
        let of = |reads: &[(String, bool)]| reads.get(number).cloned().unwrap_or_default();
        let (before, after) = (of(&self.before), of(&self.after));
        (before.0 + &after.0, before.1 || after.1)
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Runs a server on the clients' address. It is stopped after a second of virtual time, when all steps of
/// the script have been taken.
fn run(
    clients: &Clients,
    stop: &Stop,
    script: Script,
    asleep: &'static str,
    never: &'static str,
) -> Result<Served, Failure> {
    run_with(clients, stop, script, asleep, never, Start::Plain)
}

/// What is different from a plain run.
enum Start {
    Plain,
    /// The first write takes three bytes.
    ShortWrite,
    /// Looks after half a pause.
    Look(Box<dyn FnOnce()>),
}

/// Like `run`, with a difference.
fn run_with(
    clients: &Clients,
    stop: &Stop,
    script: Script,
    asleep: &'static str,
    never: &'static str,
    start: Start,
) -> Result<Served, Failure> {
    script.begin();
    if let Start::ShortWrite = start {
        kernel::limit("write", 3, 1);
    }
    let server = async {
        let before = descriptors();
        let listener = TcpListener::bind(clients.address.get()).unwrap();
        clients.address.set(listener.local_addr().unwrap());
        let (serving, ended, returned) = (stop.clone(), clients.clone(), Rc::new(Cell::new(false)));
        let returns = Rc::clone(&returned);
        let server = spawn(async move {
            let result = serve(listener, serving).await;
            returns.set(true);
            // At once: other tasks would close more before the root is polled.
            let peers = ended.peers.borrow().len();
            let descriptors = descriptors().saturating_sub(before + peers);
            (result, descriptors, ended.read_all(false))
        });
        sleep(PAUSE / 2).await;
        if let Start::Look(look) = start {
            look();
        }
        sleep(Duration::from_secs(1)).await;
        let (stopped, before) = (kernel::now(), clients.read_all(returned.get()));
        stop.stop();
        let (result, descriptors, after) = server.await.unwrap();
        Served { result, took: kernel::now() - stopped, descriptors, before, after }
    };
    run_scripted(|| block_on(server), asleep, never, "")
}

fn each_message_at_once() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let echoes: Rc<RefCell<Vec<String>>> = Rc::default();
    let (first, second) = (Rc::clone(&echoes), Rc::clone(&echoes));
    let (one, two) = (clients.clone(), clients.clone());
    let script = clients.connects(Script::new(), "a client connects");
    let script = clients
        .writes(script, "the client writes 5 bytes", 0)
        .then("the client reads, and writes 5 bytes", move || {
            first.borrow_mut().push(one.read(0).0);
            one.write(0, b"again");
        })
        .then("the client reads, and closes its side", move || {
            second.borrow_mut().push(two.read(0).0);
            two.end(0);
        });
    let result = run_with(&clients, &stop, script, "11.11", "11.2", Start::ShortWrite);
    let echoes = echoes.borrow();
    let (expected, seen) = ("hello, again", echoes.join(", "));
    let id = match &echoes[..] {
        [first, ..] if first.is_empty() => "11.1",
        [first, ..] if first != "hello" => "11.15",
        [_, second] if second.is_empty() => "11.16",
        _ => return result.and_then(|_| expect(kernel::steps(), expected, &seen)),
    };
    fail(id, kernel::steps(), expected, format!("{seen:?} before the end"))
}

fn bytes_with_the_end() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let writer = clients.clone();
    let script = clients.connects(Script::new(), "a client connects");
    let script = script.then("the client writes 5 bytes and closes its side", move || {
        writer.write(0, b"hello");
        writer.end(0);
    });
    let served = run(&clients, &stop, script, "11.11", "11.2")?;
    let (text, ended) = &served.read(0);
    let seen = format!("{text}, {}", if *ended { "closed" } else { "open" });
    expect(kernel::steps(), "hello, closed", &seen)
}

fn two_clients_at_once() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let mut script = clients.connects(Script::new(), "a connects and is idle");
    script = clients.connects(script, "b connects");
    script = clients.writes(script, "b writes 5 bytes", 1);
    let (reader, early) = (clients.clone(), Rc::new(RefCell::new(String::new())));
    let echoed = Rc::clone(&early);
    script = script.then_maybe("b reads", move || *echoed.borrow_mut() = reader.read(1).0);
    let result = run(&clients, &stop, script, "", "11.2");
    if *early.borrow() != "hello" {
        let seen = format!("b reads {:?}", early.borrow());
        return fail("11.8", kernel::steps(), "b reads \"hello\"", seen);
    }
    result.map(drop)
}

fn a_reset_ends_one_connection() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let reset = clients.clone();
    let mut script = clients.connects(Script::new(), "b connects");
    script = clients.connects(script, "a connects");
    script = clients.writes(script, "a writes 5 bytes", 1);
    script = script.then("a closes its socket, and has not read: a reset", move || {
        drop(reset.peers.borrow_mut().pop());
    });
    script = clients.writes(script, "b writes 5 bytes", 0);
    let served = run(&clients, &stop, script, "11.11", "11.2")?;
    let seen = format!("b reads {:?}, {}", served.read(0).0, served.result.is_ok());
    expect(kernel::steps(), "b reads \"hello\", true", &seen)
}

/// Returns the bytes that the server has read and not written.
fn held_bytes() -> usize {
    let sum = |name: &str| -> usize {
        let steps = kernel::steps();
        let calls = steps.iter().filter(|step| step.starts_with(name));
        calls.filter_map(|step| step.rsplit(" = ").next()?.parse::<usize>().ok()).sum()
    };
    sum("read fd").saturating_sub(sum("write fd"))
}

fn a_slow_reader_is_bounded() -> Outcome {
    const MOST: usize = 64 << 10;
    let (clients, stop) = (Clients::new(), Stop::default());
    let most = Rc::new(Cell::new(0));
    let mut script = clients.connects(Script::new(), "a client connects");
    for _ in 0..12 {
        let (writer, most) = (clients.clone(), Rc::clone(&most));
        script = script.then_maybe("the client writes and does not read", move || {
            most.set(held_bytes().max(most.get()));
            writer.write(0, &vec![7; 4 << 20]);
        });
    }
    let last = clients.clone();
    script = script.then("the client closes its socket", move || {
        drop(last.peers.borrow_mut().pop());
    });
    let result = run(&clients, &stop, script, "11.11", "11.2");
    let most = most.get().max(held_bytes());
    if most > MOST {
        let seen = format!("{most} bytes read and not written");
        let steps = vec!["the client writes 4 MiB again and again, and does not read".to_owned()];
        return fail("11.9", steps, format!("at most {MOST} bytes read and not written"), seen);
    }
    result.map(drop)
}

fn a_shortage_passes() -> Outcome {
    SHORTAGES.iter().try_for_each(|&(errno, name)| one_shortage_passes(errno, name))
}

fn one_shortage_passes(errno: i32, name: &'static str) -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let comes = clients.clone();
    let script = Script::new()
        .then(name, move || {
            kernel::inject("accept", errno, u32::MAX);
            comes.connect();
            comes.write(0, b"hello");
        })
        .then_maybe("the shortage passes", kernel::clear_faults);
    let served = run(&clients, &stop, script, "11.5", "11.4")?;
    let text = served.before.first().map_or("", |(text, _)| text);
    if text != "hello" || served.result.is_err() {
        let seen = format!("the client reads {text:?}, the server returns {:?}", served.result);
        return fail("11.5", kernel::steps(), "the client reads \"hello\"", seen);
    }
    Ok(())
}

fn a_stop_during_a_shortage() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let comes = clients.clone();
    let script = Script::new().then("no descriptor is left; a client connects", move || {
        kernel::inject("accept", EMFILE, u32::MAX);
        comes.connect();
    });
    let served = run(&clients, &stop, script, "11.11", "11.11")?;
    let seen = format!("{:?}, {:?} after the stop", served.result.ok(), served.took);
    if seen != "Some(0), 0ns after the stop" {
        return fail("11.11", kernel::steps(), "Some(0), 0ns after the stop", seen);
    }
    Ok(())
}

fn a_client_that_left() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let comes = clients.clone();
    let script =
        Script::new().then("a client leaves; another one connects and writes", move || {
            kernel::inject("accept", ECONNABORTED, 1);
            comes.connect();
            comes.write(0, b"hello");
        });
    let (reader, early) = (clients.clone(), Rc::new(RefCell::new(String::new())));
    let echoed = Rc::clone(&early);
    let look = Start::Look(Box::new(move || *echoed.borrow_mut() = reader.read(0).0));
    let result = run_with(&clients, &stop, script, "11.6", "11.4", look);
    if *early.borrow() != "hello" {
        let seen = format!("it reads {:?} at once", early.borrow());
        return fail("11.6", kernel::steps(), "it reads \"hello\" at once", seen);
    }
    result.map(drop)
}

fn an_unusable_listener() -> Outcome {
    UNUSABLE.into_iter().try_for_each(one_unusable_listener)
}

fn one_unusable_listener(errno: i32) -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let comes = clients.clone();
    let script =
        Script::new().then("the listener becomes unusable; a client connects", move || {
            kernel::inject("accept", errno, u32::MAX);
            comes.connect();
        });
    let served = run(&clients, &stop, script, "11.7", "11.7")?;
    match served.result {
        Err(error) if error.raw_os_error() == Some(errno) => Ok(()),
        other => {
            fail("11.7", kernel::steps(), "the server returns the error", format!("{other:?}"))
        }
    }
}

fn a_stop_in_good_order() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let (comes, stops) = (clients.clone(), stop.clone());
    let mut script = clients.connects(Script::new(), "a connects and is idle");
    script = clients.connects(script, "b connects");
    script = script.then("b writes 5 bytes, c connects and writes 5 bytes; a stop", move || {
        comes.write(1, b"hello");
        comes.connect();
        comes.write(2, b"hello");
        stops.stop();
    });
    let served = run(&clients, &stop, script, "11.11", "11.11")?;
    let seen = format!("b reads {:?}, c reads {:?}", served.read(1).0, served.read(2).0);
    if seen != "b reads \"hello\", c reads \"hello\"" {
        return fail("11.10", kernel::steps(), "both read \"hello\"", seen);
    }
    match served.result {
        Ok(0) if served.read(0).1 => Ok(()),
        result => {
            let seen = format!("{result:?}, {:?} after the stop", served.took);
            fail("11.11", kernel::steps(), "Ok(0), at once: no connection was aborted", seen)
        }
    }
}

fn a_stop_in_time() -> Outcome {
    let (clients, stop) = (Clients { slow: true, ..Clients::new() }, Stop::default());
    let mut script = Script::new();
    for name in ["a connects", "b connects", "c connects"] {
        script = clients.connects(script, name);
    }
    for _ in 0..6 {
        let writer = clients.clone();
        script = script.then_maybe("all write, and do not read", move || {
            (0..3).for_each(|number| writer.write(number, &vec![7; 4 << 20]));
        });
    }
    let served = run(&clients, &stop, script, "11.12", "11.12")?;
    let steps = vec!["three clients write and do not read".to_owned(), "a stop".to_owned()];
    let seen = format!("{:?} after the stop", served.took);
    if served.took > GRACE {
        return fail("11.13", steps, format!("{GRACE:?} after the stop, at most"), seen);
    }
    if served.descriptors > 0 {
        let seen = format!("{} descriptors more than before", served.descriptors);
        return fail("11.14", steps, "as many descriptors as before", seen);
    }
    if served.took < GRACE {
        return fail(
            "11.10",
            steps,
            format!("{GRACE:?} after the stop: the writes are waited for"),
            seen,
        );
    }
    expect(steps, "Some(3) aborted", &format!("{:?} aborted", served.result.ok()))
}

fn a_write_in_the_grace_period() -> Outcome {
    let (clients, stop) = (Clients::new(), Stop::default());
    let (comes, b_ends, a_ends, stops) =
        (clients.clone(), clients.clone(), clients.clone(), stop.clone());
    let mut script = clients.connects(Script::new(), "a connects");
    script = clients.connects(script, "b connects");
    // Each write has to wait for the next event of its socket.
    script = script
        .then("a and b write 5 bytes, and their sockets have no room for the echo", move || {
            kernel::inject("write", EAGAIN, 2);
            comes.write(0, b"hello");
            comes.write(1, b"hello");
        })
        .then("a stop", move || stops.stop())
        .then("a second later b has room, and closes its side", move || {
            kernel::advance(Duration::from_secs(1));
            b_ends.end(1);
        })
        .then("a has room, and closes its side", move || a_ends.end(0));
    let served = run(&clients, &stop, script, "11.12", "11.12")?;
    let seen = format!("a reads {:?}, {:?} aborted", served.read(0).0, served.result.ok());
    let expected = "a reads \"hello\", Some(0) aborted";
    if seen != expected {
        return fail("11.17", kernel::steps(), expected, seen);
    }
    Ok(())
}

const PICTURE: Picture = Picture {
    title: "A connection from accept to its end",
    description: "A client connects, writes, reads and closes its side. Each time the server tries first, and \
                  blocks after EAGAIN. The read of 0 bytes is the end. The first two calls register the \
                  eventfd and the listener. The 5 ms are a timer of the check.",
    lanes: &["server", "client"],
    run: || {
        let (clients, stop) = (Clients::new(), Stop::default());
        let (writer, reader) = (clients.clone(), clients.clone());
        let script = clients
            .connects(Script::new(), "connects")
            .then("writes 5 bytes", move || writer.write(0, b"hello"))
            .then("reads, and closes its side", move || {
                reader.read(0);
                reader.end(0);
            });
        let _ = run(&clients, &stop, script, "11.11", "11.2");
        let mut calls = probe::kernel_lanes();
        calls.retain(|(_, step)| !step.starts_with("epoll_create1"));
        // What follows the last read is the wait for the stop.
        let last = calls.iter().rposition(|(_, step)| step.starts_with("read"));
        calls.truncate(last.map_or(calls.len(), |last| last + 1));
        calls
    },
};
