//! The check of stage 18. It needs io_uring, and is skipped where that is refused.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use kernel::{Ring, Script};
use probe::{
    Case, Diagnosis, Failure, Outcome, Stage, WakeCount, expect, fail, on_drop, on_wake, poll_once,
    run_scripted, skip,
};
use stage::{Connection, Driver, block_on};

static STAGE: Stage = Stage {
    number: 18,
    diagnoses: &[
        Diagnosis {
            id: "18.1",
            what: "bytes are gone with a dropped receive",
            why: "the kernel had taken them from the socket already: nobody else can read them again",
            section: "A drop is no end",
            function: "complete",
        },
        Diagnosis {
            id: "18.2",
            what: "a second receive was started while one was in flight",
            why: "each of them takes bytes from the socket, and nothing says in which order",
            section: "Started once",
            function: "poll",
        },
        Diagnosis {
            id: "18.3",
            what: "a receive has completed, and the task that waits is not woken",
            why: "no waker was stored, or another one than the newest, or it was not called",
            section: "Started once",
            function: "complete",
        },
        Diagnosis {
            id: "18.4",
            what: "the end comes while the kernel owns a buffer",
            why: "it would write into memory that belongs to something else: so the buffer has to be leaked",
            section: "Nothing in flight",
            function: "finish",
        },
        Diagnosis {
            id: "18.5",
            what: "a task is woken for a receive that it has dropped",
            why: "its waker was left in the state, and keeps its task's memory as well",
            section: "A drop is no end",
            function: "drop",
        },
        Diagnosis {
            id: "18.6",
            what: "bytes are returned that were not received",
            why: "a buffer is longer than what came: the result of the completion says how much it was",
            section: "Started once",
            function: "complete",
        },
        Diagnosis {
            id: "18.7",
            what: "a receive gets the cancel of the one before it",
            why: "a dropped receive was canceled, and its error was stored for the next one",
            section: "A drop is no end",
            function: "complete",
        },
        Diagnosis {
            id: "18.8",
            what: "the end waits, and nothing is in flight",
            why: "`wait` blocks until an operation completes: look first whether there is one",
            section: "Nothing in flight",
            function: "finish",
        },
        Diagnosis {
            id: "18.9",
            what: "a waker is called or dropped while the state is borrowed",
            why: "both can run any code, also a poll of this receive: end the borrow first",
            section: "Started once",
            function: "complete",
        },
    ],
    cases: &[
        Case { name: "bytes are received", run: bytes_are_received },
        Case { name: "a receive is started once", run: started_once },
        Case { name: "the newest waker is woken", run: the_newest_waker },
        Case { name: "a dropped receive loses nothing", run: a_dropped_receive },
        Case { name: "a waker can receive", run: a_waker_can_receive },
        Case { name: "the drop of a waker can receive", run: a_drop_can_receive },
        Case { name: "the kernel owns nothing at the end", run: nothing_in_flight },
    ],
    panics: &[("is in flight", "18.2"), ("already", "18.9")],
    picture: None,
};

fn main() {
    probe::stage(&STAGE)
}

/// A driver, a connection and its peer.
fn set_up(ring: Ring) -> (Rc<Driver>, Rc<Connection>, Rc<RefCell<Peer>>) {
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    let stream = kernel::Stream::new(listener.accept().unwrap().0);
    let driver = Driver::new(ring);
    let connection = Connection::new(&driver, stream);
    (driver, Rc::new(connection), Rc::new(RefCell::new(peer)))
}

/// Runs a case with a new ring, or skips it.
fn with_ring(case: impl FnOnce(Ring) -> Outcome) -> Outcome {
    match Ring::new() {
        Ok(ring) => case(ring),
        Err(error) => skip(format!("io_uring is refused here: {error}")),
    }
}

/// Adds a step: the peer writes.
fn writes(script: Script, peer: &Rc<RefCell<Peer>>, text: &'static str) -> Script {
    let peer = Rc::clone(peer);
    script.then("the peer writes 5 bytes", move || {
        peer.borrow_mut().write_all(text.as_bytes()).unwrap();
    })
}

fn run<F: Future>(driver: &Driver, future: F, asleep: &'static str) -> Result<F::Output, Failure> {
    let done = Cell::new(false);
    let noted = async {
        let output = future.await;
        done.set(true);
        output
    };
    let result = run_scripted(|| block_on(driver, noted), asleep, "", "");
    let nothing_left = done.get() && driver.in_flight() == 0;
    let end = |mut failure: Failure| {
        failure.id = if nothing_left { "18.8" } else { failure.id };
        failure
    };
    result.map_err(end).map(|result| result.unwrap())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn bytes_are_received() -> Outcome {
    with_ring(|ring| {
        let (driver, connection, peer) = set_up(ring);
        let script = writes(writes(Script::new(), &peer, "hello"), &peer, "again");
        let last = Rc::clone(&peer);
        let script = script.then("the peer closes its side", move || {
            last.borrow().shutdown(Shutdown::Write).unwrap();
        });
        script.begin();
        let all = async {
            let mut all = Vec::new();
            // The end is none, however often it is asked for.
            for _ in 0..4 {
                all.push(text(connection.receive().await.unwrap()));
            }
            all
        };
        let all = run(&driver, all, "18.3")?;
        if all.concat().contains('\0') {
            return fail(
                "18.6",
                kernel::steps(),
                r#"["hello", "again", "", ""]"#,
                format!("{all:?}"),
            );
        }
        expect(kernel::steps(), r#"["hello", "again", "", ""]"#, &format!("{all:?}"))
    })
}

fn started_once() -> Outcome {
    with_ring(|ring| {
        let (driver, connection, peer) = set_up(ring);
        writes(Script::new(), &peer, "hello").begin();
        let polls = async {
            let mut receive = std::pin::pin!(connection.receive());
            for _ in 0..3 {
                let (_count, waker) = WakeCount::new();
                assert!(poll_once(receive.as_mut(), &waker).is_pending());
            }
            text(receive.await.unwrap())
        };
        let seen = run(&driver, polls, "18.3")?;
        expect(kernel::steps(), "hello", &seen)
    })
}

fn the_newest_waker() -> Outcome {
    with_ring(|ring| {
        let (driver, connection, peer) = set_up(ring);
        writes(Script::new(), &peer, "hello").begin();
        let (count, first) = WakeCount::new();
        let moved = async {
            let mut receive = std::pin::pin!(connection.receive());
            assert!(poll_once(receive.as_mut(), &first).is_pending());
            text(receive.await.unwrap())
        };
        let seen = run(&driver, moved, "18.3")?;
        let seen = format!("{seen}, {} wakes of the first task", count.get());
        expect(kernel::steps(), "hello, 0 wakes of the first task", &seen)
    })
}

fn a_waker_can_receive() -> Outcome {
    with_ring(|ring| {
        let (driver, connection, peer) = set_up(ring);
        let (other, other_peer) = set_up_other(&driver);
        writes(writes(Script::new(), &peer, "hello"), &other_peer, "other").begin();
        let (again, seen) = (Rc::clone(&connection), Rc::new(RefCell::new(String::new())));
        let received = Rc::clone(&seen);
        let mut first = Box::pin(async move { connection.receive().await });
        let waker = on_wake(move || {
            let (_count, waker) = WakeCount::new();
            if let Poll::Ready(Ok(bytes)) = poll_once(again.receive(), &waker) {
                *received.borrow_mut() = text(bytes);
            }
        });
        let waits = async {
            assert!(poll_once(first.as_mut(), &waker).is_pending());
            text(other.receive().await.unwrap())
        };
        let other = run(&driver, waits, "18.3")?;
        expect(kernel::steps(), "hello, other", &format!("{}, {other}", seen.borrow()))
    })
}

fn a_drop_can_receive() -> Outcome {
    with_ring(|ring| {
        let (driver, connection, peer) = set_up(ring);
        writes(Script::new(), &peer, "hello").begin();
        let again = Rc::clone(&connection);
        let moved = async {
            let (_count, newest) = WakeCount::new();
            let waker = newest.clone();
            let first = on_drop(move || {
                // It is forgotten, because its drop would take the waker of the other one.
                let mut receive = std::mem::ManuallyDrop::new(again.receive());
                assert!(poll_once(Pin::new(&mut *receive), &waker).is_pending());
            });
            let mut receive = std::pin::pin!(connection.receive());
            assert!(poll_once(receive.as_mut(), &first).is_pending());
            drop(first);
            assert!(poll_once(receive.as_mut(), &newest).is_pending());
            text(receive.await.unwrap())
        };
        let seen = run(&driver, moved, "18.3")?;
        expect(kernel::steps(), "hello", &seen)
    })
}

fn a_dropped_receive() -> Outcome {
    with_ring(|ring| {
        let (driver, connection, peer) = set_up(ring);
        let (other, woken) = (set_up_other(&driver), Rc::new(RefCell::new(String::new())));
        let (connection_2, peer_2) = other;
        let script = writes(Script::new(), &peer, "hello");
        writes(script, &peer_2, "other").begin();
        let (count, dropped) = WakeCount::new();
        let result = Rc::clone(&woken);
        let again = async {
            assert!(poll_once(connection.receive(), &dropped).is_pending());
            // The bytes come while no future waits for them.
            *result.borrow_mut() = text(connection_2.receive().await.unwrap());
            connection.receive().await.map(text)
        };
        let seen = match run(&driver, again, "18.1")? {
            Ok(seen) => seen,
            Err(error) => return fail("18.7", kernel::steps(), "hello", error.to_string()),
        };
        if seen != "hello" {
            return fail("18.1", kernel::steps(), "hello", seen);
        }
        if count.get() > 0 {
            let seen = format!("{} wakes of the task that has dropped it", count.get());
            return fail("18.5", kernel::steps(), "0 wakes of the task that has dropped it", seen);
        }
        let other = woken.borrow().clone();
        expect(kernel::steps(), "other", &other)
    })
}

/// A second connection of a driver.
fn set_up_other(driver: &Rc<Driver>) -> (Connection, Rc<RefCell<Peer>>) {
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    let stream = kernel::Stream::new(listener.accept().unwrap().0);
    (Connection::new(driver, stream), Rc::new(RefCell::new(peer)))
}

fn nothing_in_flight() -> Outcome {
    with_ring(|ring| {
        let (driver, connection, _peer) = set_up(ring);
        Script::new().begin();
        let (_count, waker) = WakeCount::new();
        let leaves = async { assert!(poll_once(connection.receive(), &waker).is_pending()) };
        run(&driver, leaves, "18.4")?;
        let seen = format!("{} receives in flight", driver.in_flight());
        if driver.in_flight() > 0 {
            return fail("18.4", kernel::steps(), "0 receives in flight", seen);
        }
        Ok(())
    })
}
