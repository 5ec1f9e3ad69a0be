//! The check of stage 14: the calls of an echo, counted.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::rc::Rc;
use std::time::Duration;

use kernel::Script;
use probe::{
    Case, Diagnosis, Failure, Forward, Outcome, Picture, Stage, WakeCount, expect, fail, on_drop,
    poll_once, run_scripted,
};
use stage::{TcpStream, block_on, spawn};

const EINTR: i32 = 4;

static STAGE: Stage = Stage {
    number: 14,
    diagnoses: &[
        Diagnosis {
            id: "14.1",
            what: "each message costs a read that returns WouldBlock",
            why: "a short read has emptied the kernel's buffer, and that is not noted",
            section: "A short transfer is a proof",
            function: "poll_transfer",
        },
        Diagnosis {
            id: "14.2",
            what: "bytes are there, and the task waits for them",
            why: "a read that fills its buffer proves nothing: there can be more, and no event will say so",
            section: "A short transfer is a proof",
            function: "poll_transfer",
        },
        Diagnosis {
            id: "14.3",
            what: "the peer has closed its side, and the task waits forever",
            why: "the end came with the last bytes, in one event; a clear after that waits for a second one",
            section: "No event after the end",
            function: "clear",
        },
        Diagnosis {
            id: "14.4",
            what: "a call that would block is made again and again",
            why: "`WouldBlock` has to clear the readiness, or the loop never becomes pending",
            section: "Readiness",
            function: "poll_io",
        },
        Diagnosis {
            id: "14.5",
            what: "an event wakes no task",
            why: "the waker was not stored, or the event did not take it out and note the readiness",
            section: "Readiness",
            function: "collect",
        },
        Diagnosis {
            id: "14.6",
            what: "the first waker was kept, and the task that waits now is not woken",
            why: "the future has moved to another task: each poll that is pending stores its waker",
            section: "Readiness",
            function: "poll_ready",
        },
        Diagnosis {
            id: "14.7",
            what: "EINTR ends what it only interrupts",
            why: "a signal can interrupt any call; the call is made again",
            section: "Write",
            function: "poll_io",
        },
        Diagnosis {
            id: "14.8",
            what: "a short write clears the readiness of reads",
            why: "a transfer proves something about its own direction only",
            section: "A short transfer is a proof",
            function: "poll_transfer",
        },
        Diagnosis {
            id: "14.9",
            what: "the sources are borrowed while a waker is dropped",
            why: "the drop of a waker can run any code, such as a read: end the borrow before",
            section: "Write",
            function: "poll_ready",
        },
        Diagnosis {
            id: "14.10",
            what: "an event leaves its waker in the source",
            why: "the waker was called and stays: it keeps its task, and the next event wakes it for nothing",
            section: "Readiness",
            function: "collect",
        },
    ],
    cases: &[
        Case { name: "a task that waits is woken", run: a_task_is_woken },
        Case { name: "more bytes than the buffer holds are read", run: more_than_the_buffer },
        Case { name: "a message is one read", run: a_message_is_one_read },
        Case { name: "the newest waker is woken", run: the_newest_waker_is_woken },
        Case { name: "the end behind the last bytes is seen", run: the_end_is_seen },
        Case { name: "an event without a waker is noted", run: an_event_without_a_waker },
        Case { name: "a writer is woken", run: a_writer_is_woken },
        Case { name: "a short write leaves the reads", run: a_short_write_leaves_the_reads },
        Case { name: "an interrupted read is made again", run: an_interrupted_read },
        Case { name: "the drop of a waker can read", run: a_drop_can_read },
        Case { name: "a waker that was called is gone", run: a_called_waker_is_gone },
    ],
    panics: &[("already borrowed", "14.9"), ("already mutably borrowed", "14.9")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Runs an echo with a buffer of 8 bytes. The peer takes the steps: it writes, and closes at last.
fn echo(
    writes: &[&'static [u8]],
    closes_with_the_last: bool,
    asleep: &'static str,
) -> Result<usize, Failure> {
    let (peer, stream) = pair();
    let mut script = Script::new();
    for (number, bytes) in writes.iter().copied().enumerate() {
        let peer = Rc::clone(&peer);
        let closes = closes_with_the_last && number + 1 == writes.len();
        let name = if closes { "the peer writes and closes its side" } else { "the peer writes" };
        script = script.then(name, move || {
            (&*peer).write_all(bytes).unwrap();
            if closes {
                peer.shutdown(Shutdown::Write).unwrap();
            }
        });
    }
    if !closes_with_the_last {
        let peer = Rc::clone(&peer);
        script = script.then("the peer closes its side", move || {
            peer.shutdown(Shutdown::Write).unwrap();
        });
    }
    script.begin();
    let serve = async move {
        let stream = TcpStream::new(stream).unwrap();
        let (mut buffer, mut echoed) = ([0; 8], 0);
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            if n == 0 {
                return echoed;
            }
            stream.write_all(&buffer[..n]).await.unwrap();
            echoed += n;
        }
    };
    run_scripted(|| block_on(serve), asleep, "14.4", "")
}

fn a_task_is_woken() -> Outcome {
    let echoed = echo(&[b"hello"], false, "14.5")?;
    expect(kernel::steps(), "5 bytes", &format!("{echoed} bytes"))
}

fn more_than_the_buffer() -> Outcome {
    let echoed = echo(&[b"0123456789abcdef"], false, "14.2")?;
    // All of them are there before the peer closes its side.
    let steps = kernel::steps();
    let before = steps.iter().take_while(|step| !step.contains("closes"));
    let reads = before.filter(|step| step.starts_with("read"));
    let read: usize =
        reads.filter_map(|step| step.rsplit(" = ").next()?.parse::<usize>().ok()).sum();
    if read < 16 {
        return fail("14.2", steps, "16 bytes read", format!("{read} bytes read, then it waits"));
    }
    expect(steps, "16 bytes", &format!("{echoed} bytes"))
}

fn a_message_is_one_read() -> Outcome {
    echo(&[b"one", b"two", b"three"], false, "14.5")?;
    let reads = kernel::count("read");
    // One before the first message, one for each, and the end.
    if reads > 5 {
        let seen = format!("{reads} reads for 3 messages and the end");
        return fail("14.1", kernel::steps(), "5 reads for 3 messages and the end", seen);
    }
    Ok(())
}

fn the_newest_waker_is_woken() -> Outcome {
    let (peer, stream) = pair();
    Script::new()
        .then("the peer writes 1 byte", move || {
            (&*peer).write_all(b"x").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    let (_count, other) = WakeCount::new();
    let moved = async move {
        let stream = TcpStream::new(stream).unwrap();
        let mut read = Box::pin(async move { stream.read(&mut [0; 1]).await.unwrap() });
        // The first poll is by another task.
        assert!(poll_once(read.as_mut(), &other).is_pending());
        spawn(read).await.unwrap()
    };
    let read = run_scripted(|| block_on(moved), "14.6", "14.4", "")?;
    expect(kernel::steps(), "1 byte", &format!("{read} byte"))
}

fn the_end_is_seen() -> Outcome {
    let echoed = echo(&[b"hello"], true, "14.3")?;
    expect(kernel::steps(), "5 bytes", &format!("{echoed} bytes"))
}

/// More than the kernel keeps for a socket.
const MANY: usize = 16 << 20;

/// A peer and the socket that is connected to it.
fn pair() -> (Rc<Peer>, kernel::Stream) {
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    (Rc::new(peer), kernel::Stream::new(listener.accept().unwrap().0))
}

fn an_event_without_a_waker() -> Outcome {
    let ((peer_a, a), (peer_b, b)) = (pair(), pair());
    let first = Rc::clone(&peer_a);
    let second = Rc::clone(&peer_a);
    Script::new()
        .then("peer a writes 3 bytes", move || (&*first).write_all(b"one").unwrap())
        .then("the peers write 3 bytes each", move || {
            (&*second).write_all(b"two").unwrap();
            (&*peer_b).write_all(b"two").unwrap();
        })
        .begin();
    let reads = async move {
        let (a, b) = (TcpStream::new(a).unwrap(), TcpStream::new(b).unwrap());
        // The read is short, and no task waits for a when its next bytes come.
        let one = a.read(&mut [0; 8]).await.unwrap();
        let two = b.read(&mut [0; 8]).await.unwrap();
        one + two + a.read(&mut [0; 8]).await.unwrap()
    };
    let read = run_scripted(|| block_on(reads), "14.5", "14.4", "")?;
    drop(peer_a);
    expect(kernel::steps(), "9 bytes", &format!("{read} bytes"))
}

/// Reads until no byte comes for a while.
fn read_all(mut peer: &Peer) {
    let mut buffer = [0; 65536];
    while peer.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

fn a_writer_is_woken() -> Outcome {
    let (peer, stream) = pair();
    peer.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut script = Script::new();
    for _ in 0..30 {
        let peer = Rc::clone(&peer);
        script = script.then_maybe("the peer reads all", move || read_all(&peer));
    }
    script.begin();
    let write = async move {
        TcpStream::new(stream).unwrap().write_all(&vec![0; MANY]).await.unwrap();
    };
    run_scripted(|| block_on(write), "14.5", "14.4", "")
}

fn a_short_write_leaves_the_reads() -> Outcome {
    let (peer, stream) = pair();
    Script::new()
        .then("the peer writes 2 bytes", move || {
            (&*peer).write_all(b"xy").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    let both = async move {
        let (_count, waker) = WakeCount::new();
        let stream = TcpStream::new(stream).unwrap();
        stream.read(&mut [0; 1]).await.unwrap();
        // The peer does not read, so a write is short.
        assert!(poll_once(stream.write_all(&vec![0; MANY]), &waker).is_pending());
        poll_once(stream.read(&mut [0; 1]), &waker).is_ready()
    };
    let is_ready = run_scripted(|| block_on(both), "14.5", "14.4", "")?;
    if !is_ready {
        return fail("14.8", kernel::steps(), "1 byte read", "the read waits, and 1 byte is there");
    }
    Ok(())
}

fn an_interrupted_read() -> Outcome {
    let (peer, stream) = pair();
    Script::new()
        .then("the peer writes 1 byte, and a signal comes", move || {
            // No event follows this read, so it must be made again at once.
            kernel::inject("read", EINTR, 1);
            (&*peer).write_all(b"x").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    let read = async move { TcpStream::new(stream).unwrap().read(&mut [0; 1]).await };
    match run_scripted(|| block_on(read), "14.7", "14.4", "")? {
        Ok(1) => Ok(()),
        other => fail("14.7", kernel::steps(), "Ok(1)", format!("{other:?}")),
    }
}

fn a_drop_can_read() -> Outcome {
    let (peer, stream) = pair();
    Script::new().begin();
    let moved = async move {
        let (_count, newest) = WakeCount::new();
        let stream = Rc::new(TcpStream::new(stream).unwrap());
        let (inside, waker) = (Rc::clone(&stream), newest.clone());
        let first = on_drop(move || {
            assert!(poll_once(inside.read(&mut [0; 1]), &waker).is_pending());
        });
        assert!(poll_once(stream.read(&mut [0; 1]), &first).is_pending());
        drop(first);
        assert!(poll_once(stream.read(&mut [0; 1]), &newest).is_pending());
    };
    run_scripted(|| block_on(moved), "14.5", "14.4", "")?;
    drop(peer);
    Ok(())
}

fn a_called_waker_is_gone() -> Outcome {
    let (peer, stream) = pair();
    Script::new()
        .then("the peer writes 1 byte", move || {
            (&*peer).write_all(b"x").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    let waits = async move {
        let stream = TcpStream::new(stream).unwrap();
        let (forward, waker) = Forward::new();
        assert!(poll_once(stream.read(&mut [0; 1]), &waker).is_pending());
        drop(waker);
        forward.woken().await;
        forward.is_kept()
    };
    if run_scripted(|| block_on(waits), "14.5", "14.4", "")? {
        let seen = "a clone is left in the reactor";
        return fail("14.10", kernel::steps(), "no clone of the waker is left", seen);
    }
    Ok(())
}

const PICTURE: Picture = Picture {
    title: "One read per message",
    description: "After a short read the task waits without another call. Only the first read, before any \
                  event, returns EAGAIN. Registered are the eventfd of stage 9 and the socket.",
    lanes: &["runtime", "peer"],
    run: || {
        let _ = echo(&[b"one", b"two"], false, "14.5");
        probe::kernel_lanes()
    },
};
