//! The check of stage 6: each case with both triggers.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as Peer};
use std::rc::Rc;
use std::time::Duration;

use kernel::Script;
use probe::{Case, Diagnosis, Failure, Outcome, Picture, Stage, expect, fail, run_scripted};
use stage::{ROOM, Trigger, serve};

const EINTR: i32 = 4;

static STAGE: Stage = Stage {
    number: 6,
    diagnoses: &[
        Diagnosis {
            id: "6.1",
            what: "bytes are there, and no event will say so again",
            why: "an edge is reported once, so everything has to be read before the next wait",
            section: "Level and edge",
            function: "read",
        },
        Diagnosis {
            id: "6.2",
            what: "the loop never sleeps: the socket is writable, and there is nothing to write",
            why: "with levels OUT is reported in each wait, so it is wanted only with bytes to write",
            section: "Interest",
            function: "interest",
        },
        Diagnosis {
            id: "6.3",
            what: "the loop never sleeps: the socket is readable, and it is not read",
            why: "with levels IN is reported in each wait, so it is not wanted without room, or after the end",
            section: "Interest",
            function: "interest",
        },
        Diagnosis {
            id: "6.4",
            what: "bytes that came with the end are not echoed",
            why: "the end of one direction is not the end of the other: what was read is still written",
            section: "The end",
            function: "read",
        },
        Diagnosis {
            id: "6.5",
            what: "EINTR ends what it only interrupts",
            why: "a signal can interrupt any call; the call is made again",
            section: "What a call returns",
            function: "read",
        },
        Diagnosis {
            id: "6.6",
            what: "an error is taken for \"not yet\"",
            why: "only `WouldBlock` means \"not yet\"; after any other error the connection is over",
            section: "What a call returns",
            function: "read",
        },
        Diagnosis {
            id: "6.7",
            what: "bytes are lost after a short write",
            why: "a write can take a part of the buffer; only that part may be removed",
            section: "What a call returns",
            function: "write",
        },
        Diagnosis {
            id: "6.8",
            what: "a peer that does not read fills the memory",
            why: "without room the connection has to stop reading, so that the peer has to wait",
            section: "Interest",
            function: "read",
        },
        Diagnosis {
            id: "6.9",
            what: "the rest of the bytes is never written",
            why: "the write has to wait for room, and OUT is not in the interest",
            section: "Interest",
            function: "interest",
        },
        Diagnosis {
            id: "6.10",
            what: "the end is read again and again",
            why: "a read of 0 bytes is the end, and not \"not yet\": after it, no byte comes any more",
            section: "What a call returns",
            function: "read",
        },
    ],
    cases: &[
        Case { name: "100,000 bytes come back", run: many_bytes_come_back },
        Case { name: "bytes that come with the end come back", run: bytes_with_the_end },
        Case { name: "a short write loses nothing", run: a_short_write_loses_nothing },
        Case { name: "a reset ends the connection", run: a_reset_ends_the_connection },
        Case { name: "interrupted calls are made again", run: interrupted_calls_are_repeated },
        Case { name: "a slow reader uses bounded memory", run: a_slow_reader },
        Case {
            name: "after the end only the writes are waited for",
            run: a_slow_reader_that_ended,
        },
    ],
    panics: &[("Interrupted", "6.5")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// What a peer has received.
type Received = Rc<RefCell<Vec<u8>>>;

/// A peer that does not block for long, and the socket that is connected to it.
fn pair() -> (Rc<Peer>, kernel::Stream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    (Rc::new(peer), kernel::Stream::new(listener.accept().unwrap().0))
}

/// Reads until no byte comes for a while.
fn read_all(mut peer: &Peer, received: &Received) {
    let mut buffer = [0; 65536];
    while let Ok(n @ 1..) = peer.read(&mut buffer) {
        received.borrow_mut().extend_from_slice(&buffer[..n]);
    }
}

fn run(
    stream: kernel::Stream,
    trigger: Trigger,
    never: &'static str,
) -> Result<std::io::Result<usize>, Failure> {
    let result = run_scripted(|| serve(stream, trigger), "6.1", never, "");
    result.map_err(|mut failure| {
        let is_end = |step: &&String| step.starts_with("read") && step.ends_with(" = 0");
        if failure.id == never && kernel::steps().iter().filter(is_end).count() > 9 {
            failure.id = "6.10";
        }
        failure.seen = format!("{} ({trigger:?})", failure.seen);
        failure
    })
}

fn describe(result: std::io::Result<usize>) -> String {
    match result {
        Ok(bytes) => format!("{bytes} bytes"),
        Err(error) if error.kind() == ErrorKind::Interrupted => "Interrupted".to_owned(),
        Err(error) => error.to_string(),
    }
}

const BOTH: [Trigger; 2] = [Trigger::Level, Trigger::Edge];

fn many_bytes_come_back() -> Outcome {
    for trigger in BOTH {
        let (peer, stream) = pair();
        let received = Received::default();
        let (p1, p2, p3) = (Rc::clone(&peer), Rc::clone(&peer), Rc::clone(&peer));
        let (r1, r2) = (Rc::clone(&received), Rc::clone(&received));
        Script::new()
            .then("the peer writes 100,000 bytes", move || {
                (&*p1).write_all(&vec![7; 100_000]).unwrap();
            })
            .then("the peer reads and closes its side", move || {
                read_all(&p2, &r1);
                p2.shutdown(Shutdown::Write).unwrap();
            })
            .then_maybe("the peer reads", move || read_all(&p3, &r2))
            .begin();
        let seen = describe(run(stream, trigger, "6.2")?);
        expect(kernel::steps(), "100000 bytes", &seen)?;
    }
    Ok(())
}

fn bytes_with_the_end() -> Outcome {
    for trigger in BOTH {
        let (peer, stream) = pair();
        let received = Received::default();
        let p1 = Rc::clone(&peer);
        Script::new()
            .then("the peer writes 5 bytes and closes its side", move || {
                (&*p1).write_all(b"hello").unwrap();
                p1.shutdown(Shutdown::Write).unwrap();
            })
            .begin();
        let result = run(stream, trigger, "6.3")?;
        read_all(&peer, &received);
        let bytes = received.borrow().len();
        if bytes < 5 {
            let seen = format!("{bytes} of 5 bytes came back ({trigger:?})");
            return fail("6.4", kernel::steps(), "5 bytes came back", seen);
        }
        expect(kernel::steps(), "5 bytes", &describe(result))?;
    }
    Ok(())
}

/// One message, then the end, with faults that the caller injects at the start, and when the bytes come.
fn message(
    trigger: Trigger,
    at_the_start: impl Fn(),
    with_the_bytes: impl Fn() + 'static,
) -> Result<(String, Vec<u8>), Failure> {
    let (peer, stream) = pair();
    let received = Received::default();
    let p1 = Rc::clone(&peer);
    Script::new()
        .then("the peer writes 10 bytes and closes its side", move || {
            with_the_bytes();
            (&*p1).write_all(b"0123456789").unwrap();
            p1.shutdown(Shutdown::Write).unwrap();
        })
        .begin();
    at_the_start();
    let seen = describe(run(stream, trigger, "6.3")?);
    read_all(&peer, &received);
    Ok((seen, received.take()))
}

fn a_short_write_loses_nothing() -> Outcome {
    for trigger in BOTH {
        let (_, received) = message(trigger, || (), || kernel::limit("write", 3, 3))?;
        if received != b"0123456789" {
            let seen = format!("{:?} came back", String::from_utf8_lossy(&received));
            return fail("6.7", kernel::steps(), "\"0123456789\" came back", seen);
        }
    }
    Ok(())
}

fn interrupted_calls_are_repeated() -> Outcome {
    for trigger in BOTH {
        // What is interrupted while bytes are there has no event of its own afterwards.
        let interrupt = || drop(["read", "write"].map(|call| kernel::inject(call, EINTR, 1)));
        let result = message(trigger, || kernel::inject("epoll_wait", EINTR, 1), interrupt);
        let (seen, _) = result.map_err(|failure| match failure.id {
            "6.1" => Failure { id: "6.5", ..failure },
            _ => failure,
        })?;
        if seen == "Interrupted" {
            return fail("6.5", kernel::steps(), "10 bytes", seen);
        }
        expect(kernel::steps(), "10 bytes", &seen)?;
    }
    Ok(())
}

fn a_reset_ends_the_connection() -> Outcome {
    for trigger in BOTH {
        let (peer, stream) = pair();
        let p1 = Rc::clone(&peer);
        Script::new()
            .then("the peer writes 5 bytes", move || {
                (&*p1).write_all(b"hello").unwrap();
            })
            // Closing with unread bytes resets the connection.
            .then("the peer resets the connection", move || drop(peer))
            .begin();
        let result = match run(stream, trigger, "6.6") {
            Err(failure) if failure.id == "6.1" => Err(Failure { id: "6.6", ..failure }),
            other => other,
        }?;
        match result {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Ok(bytes) => {
                let seen = format!("Ok({bytes})");
                return fail("6.6", kernel::steps(), "Err(ConnectionReset)", seen);
            }
            other => expect(kernel::steps(), "ConnectionReset", &describe(other))?,
        }
    }
    Ok(())
}

/// The most bytes that were read and not written yet.
fn most_kept() -> i64 {
    let (mut kept, mut most) = (0, 0);
    for step in kernel::steps() {
        let number = step.rsplit(" = ").next().and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
        match step.split(' ').next() {
            Some("read") => kept += number,
            Some("write") => kept -= number,
            _ => {}
        }
        most = most.max(kept);
    }
    most
}

/// Runs with a peer that fills the buffers, so that an end in sleep is that of a write.
fn run_slow(stream: kernel::Stream, trigger: Trigger) -> Result<std::io::Result<usize>, Failure> {
    run(stream, trigger, "6.3").map_err(|mut failure| {
        let mut writes = failure.steps.iter().rev().filter(|step| step.starts_with("write"));
        let waits_for_room = writes.next().is_some_and(|step| step.ends_with("EAGAIN"));
        if failure.id == "6.1" && waits_for_room {
            failure.id = "6.9";
        }
        let last = failure.steps.len().saturating_sub(12);
        failure.steps.drain(..last);
        failure
    })
}

fn a_slow_reader() -> Outcome {
    for trigger in BOTH {
        let (peer, stream) = pair();
        let received = Received::default();
        let mut script = Script::new();
        for _ in 0..12 {
            let peer = Rc::clone(&peer);
            script =
                script.then_maybe("the peer writes what it can, and does not read", move || {
                    peer.set_nonblocking(true).unwrap();
                    while (&*peer).write(&[7; 65536]).is_ok_and(|n| n > 0) {}
                    peer.set_nonblocking(false).unwrap();
                });
        }
        let end = Rc::clone(&peer);
        script = script.then_maybe("the peer closes its side", move || {
            end.shutdown(Shutdown::Write).unwrap();
        });
        for _ in 0..80 {
            let peer = Rc::clone(&peer);
            script = script.then_maybe("the peer reads a little", move || {
                let _ = (&*peer).take(200_000).read_to_end(&mut Vec::new());
            });
        }
        for _ in 0..10 {
            let (peer, received) = (Rc::clone(&peer), Rc::clone(&received));
            script = script.then_maybe("the peer reads all", move || read_all(&peer, &received));
        }
        script.begin();
        let result = run_slow(stream, trigger)?;
        let most = most_kept();
        if most > 2 * ROOM as i64 {
            let seen = format!("{most} bytes kept for the peer ({trigger:?})");
            return fail("6.8", Vec::new(), format!("about {ROOM} bytes at most"), seen);
        }
        if result.is_err() {
            expect(Vec::new(), "the end", &describe(result))?;
        }
    }
    Ok(())
}

/// The peer writes pieces until the server cannot write any more, and then closes its side. So the server
/// has room, and the end is behind the bytes.
fn a_slow_reader_that_ended() -> Outcome {
    for trigger in BOTH {
        let (peer, stream) = pair();
        let received = Received::default();
        let mut script = Script::new();
        let closed = Rc::new(Cell::new(false));
        for _ in 0..1_000 {
            let (peer, received) = (Rc::clone(&peer), Rc::clone(&received));
            let closed = Rc::clone(&closed);
            script =
                script.then_maybe("the peer writes 16 KiB; or closes, then reads", move || {
                    let is_full =
                        |step: &String| step.starts_with("write") && step.ends_with("EAGAIN");
                    if closed.get() {
                        read_all(&peer, &received);
                    } else if kernel::steps().iter().rev().take(20).any(is_full) {
                        closed.set(true);
                        peer.shutdown(Shutdown::Write).unwrap();
                    } else {
                        (&*peer).write_all(&[7; 16 * 1024]).unwrap();
                    }
                });
        }
        script.begin();
        run_slow(stream, trigger)?.map_err(|error| Failure {
            expected: "the end".to_owned(),
            seen: error.to_string(),
            ..Failure::default()
        })?;
    }
    Ok(())
}

const PICTURE: Picture = Picture {
    title: "The same bytes, level-triggered and edge-triggered",
    description: "The peer writes 6,000 bytes and closes its side. Each time the server reads until EAGAIN, so \
                  both triggers need one report per step of the peer. With edges OUT is registered from the \
                  beginning, so the first report is that there is room.",
    lanes: &["level", "its peer", "edge", "its peer"],
    run: || {
        let mut steps = Vec::new();
        for (lanes, trigger) in [(0, Trigger::Level), (2, Trigger::Edge)] {
            let (peer, stream) = pair();
            let (p1, p2) = (Rc::clone(&peer), Rc::clone(&peer));
            Script::new()
                .then("the peer writes 6,000 bytes", move || {
                    (&*p1).write_all(&[7; 6_000]).unwrap();
                })
                .then("the peer closes its side", move || p2.shutdown(Shutdown::Write).unwrap())
                .begin();
            let _ = run(stream, trigger, "6.2");
            let calls = probe::kernel_lanes().into_iter();
            let calls = calls.filter(|(_, step)| !step.starts_with("epoll_create1"));
            steps.extend(calls.map(|(lane, step)| (lanes + lane, step)));
        }
        steps
    },
};
