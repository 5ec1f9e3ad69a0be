//! The check of stage 14: the calls of an echo, counted.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::rc::Rc;

use kernel::Script;
use probe::{
    Case, Diagnosis, Failure, Outcome, Picture, Stage, WakeCount, expect, fail, poll_once,
    run_scripted,
};
use stage::{TcpStream, block_on, spawn};

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
    ],
    cases: &[
        Case { name: "a task that waits is woken", run: a_task_is_woken },
        Case { name: "more bytes than the buffer holds are read", run: more_than_the_buffer },
        Case { name: "a message is one read", run: a_message_is_one_read },
        Case { name: "the newest waker is woken", run: the_newest_waker_is_woken },
        Case { name: "the end behind the last bytes is seen", run: the_end_is_seen },
    ],
    panics: &[],
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
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = Rc::new(Peer::connect(listener.local_addr().unwrap()).unwrap());
    let stream = kernel::Stream::new(listener.accept().unwrap().0);
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
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    let stream = kernel::Stream::new(listener.accept().unwrap().0);
    Script::new()
        .then("the peer writes 1 byte", move || {
            (&peer).write_all(b"x").unwrap();
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

const PICTURE: Picture = Picture {
    title: "One read per message",
    description: "After a short read the task waits without another call. Only the first read, before any \
                  event, returns EAGAIN.",
    lanes: &["runtime", "peer"],
    run: || {
        let _ = echo(&[b"one", b"two"], false, "14.5");
        probe::kernel_lanes()
    },
};
