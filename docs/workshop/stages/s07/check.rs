//! The check of stage 7. Peers act when the runtime blocks, so every count is exact.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::rc::Rc;
use std::sync::atomic::{AtomicIsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use kernel::Script;
use probe::{
    Case, Diagnosis, Failure, Forward, Outcome, Picture, Slot, Stage, WakeCount, expect, fail,
    on_drop, on_wake, poll_once, run_scripted,
};
use stage::{TcpListener, TcpStream, block_on, spawn};

const EINTR: i32 = 4;
const ENOSPC: i32 = 28;

static STAGE: Stage = Stage {
    number: 7,
    diagnoses: &[
        Diagnosis {
            id: "7.1",
            what: "an event wakes no task",
            why: "the operation was pending without a stored waker, or the event did not take it out",
            section: "Try, then wait",
            function: "poll_io",
        },
        Diagnosis {
            id: "7.2",
            what: "the loop never sleeps",
            why: "the socket is registered level-triggered for OUT: it is nearly always writable",
            section: "Registered once",
            function: "add",
        },
        Diagnosis {
            id: "7.3",
            what: "WouldBlock reaches the task",
            why: "`WouldBlock` is no result: it means that the operation has to wait",
            section: "Try, then wait",
            function: "poll_io",
        },
        Diagnosis {
            id: "7.4",
            what: "a message costs calls of epoll_ctl",
            why: "the socket is registered again for each wait; once, for both directions, is enough",
            section: "Registered once",
            function: "wait_for",
        },
        Diagnosis {
            id: "7.5",
            what: "the writer took the reader's place",
            why: "both directions store their wakers in one place, so the later one replaces the other",
            section: "Two directions",
            function: "wait_for",
        },
        Diagnosis {
            id: "7.6",
            what: "the first waker was kept, and the task that waits now is not woken",
            why: "the future has moved to another task, and only its newest waker wakes that task",
            section: "Two directions",
            function: "wait_for",
        },
        Diagnosis {
            id: "7.7",
            what: "an event of a closed socket woke the task of another socket",
            why: "a waker ran between two events of one turn and closed a socket; its place was reused",
            section: "Collect, then wake",
            function: "turn",
        },
        Diagnosis {
            id: "7.8",
            what: "a socket can block the whole thread",
            why: "`set_nonblocking` is missing: an accepted socket has none of the listener's flags",
            section: "Try, then wait",
            function: "new",
        },
        Diagnosis {
            id: "7.9",
            what: "EINTR ends what it only interrupts",
            why: "a signal can interrupt any call; the call is made again",
            section: "Try, then wait",
            function: "poll_io",
        },
        Diagnosis {
            id: "7.10",
            what: "a writer is never woken",
            why: "the socket is not registered for OUT, or the event's direction is mixed up",
            section: "Two directions",
            function: "collect",
        },
        Diagnosis {
            id: "7.11",
            what: "the sources are borrowed while a waker is dropped",
            why: "the drop of a waker can run any code, such as a read: end the borrow before",
            section: "Collect, then wake",
            function: "wait_for",
        },
        Diagnosis {
            id: "7.12",
            what: "a registration that failed leaves a place behind",
            why: "`add` takes a place before it registers, and returns the error without giving it back",
            section: "Registered once",
            function: "add",
        },
        Diagnosis {
            id: "7.13",
            what: "an event leaves its waker in the source",
            why: "the waker was called and stays: it keeps its task, and the next event wakes it for nothing",
            section: "Collect, then wake",
            function: "collect",
        },
    ],
    cases: &[
        Case { name: "an echo server sleeps once per event", run: an_echo_sleeps_once_per_event },
        Case { name: "a message needs no epoll_ctl", run: a_message_needs_no_epoll_ctl },
        Case { name: "a reader and a writer wait for one socket", run: two_directions },
        Case { name: "the newest waker is woken", run: the_newest_waker_is_woken },
        Case {
            name: "an event of a closed socket wakes no other",
            run: a_stale_event_wakes_no_task,
        },
        Case { name: "interrupted calls are made again", run: interrupted_calls_are_repeated },
        Case { name: "the drop of a waker can read", run: a_drop_can_read },
        Case { name: "a waker that was called is gone", run: a_called_waker_is_gone },
        Case { name: "a failed registration leaves nothing", run: a_failed_registration },
    ],
    panics: &[
        ("Interrupted", "7.9"),
        ("WouldBlock", "7.3"),
        ("already borrowed", "7.11"),
        ("already mutably borrowed", "7.11"),
    ],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Runs a case of this stage.
fn run<T>(f: impl FnOnce() -> T, asleep: &'static str) -> Result<T, Failure> {
    run_scripted(f, asleep, "7.2", "7.8")
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A peer and the socket that is connected to it.
fn pair() -> (Peer, kernel::Stream) {
    let listener = StdListener::bind(loopback()).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    (peer, kernel::Stream::new(listener.accept().unwrap().0))
}

async fn echo(stream: TcpStream) -> usize {
    let mut buffer = [0; 4096];
    let mut bytes = 0;
    loop {
        let n = stream.read(&mut buffer).await.unwrap();
        if n == 0 {
            return bytes;
        }
        stream.write_all(&buffer[..n]).await.unwrap();
        bytes += n;
    }
}

fn an_echo_sleeps_once_per_event() -> Outcome {
    let peer: Rc<RefCell<Option<Peer>>> = Rc::default();
    let address: Rc<Cell<SocketAddr>> = Rc::new(Cell::new(loopback()));
    let (p1, p2, p3, a1) = (peer.clone(), peer.clone(), peer.clone(), address.clone());
    Script::new()
        .then("the peer connects", move || {
            *p1.borrow_mut() = Some(Peer::connect(a1.get()).unwrap());
        })
        .then("the peer writes 5 bytes", move || {
            p2.borrow_mut().as_mut().unwrap().write_all(b"hello").unwrap();
        })
        .then("the peer reads, and closes its side", move || {
            let mut peer = p3.borrow_mut();
            let peer = peer.as_mut().unwrap();
            // Without an echo the read fails, and the server is asleep.
            peer.set_nonblocking(true).unwrap();
            let mut bytes = [0; 5];
            if peer.read_exact(&mut bytes).is_ok() {
                assert_eq!(&bytes, b"hello");
            }
            peer.shutdown(Shutdown::Write).unwrap();
        })
        .begin();
    let server = async {
        let listener = TcpListener::bind(loopback()).unwrap();
        address.set(listener.local_addr().unwrap());
        let (stream, _) = listener.accept().await.unwrap();
        echo(stream).await
    };
    let bytes = run(|| block_on(server), "7.1")?;
    let seen = format!("{bytes} bytes, {} sleeps", kernel::parks());
    expect(kernel::steps(), "5 bytes, 3 sleeps", &seen)
}

fn a_message_needs_no_epoll_ctl() -> Outcome {
    let (peer, stream) = pair();
    let peer = Rc::new(peer);
    let mut script = Script::new();
    for _ in 0..3 {
        let peer = Rc::clone(&peer);
        script = script.then("the peer writes 1 byte", move || {
            (&*peer).write_all(b"x").unwrap();
        });
    }
    let last = Rc::clone(&peer);
    script
        .then("the peer closes its side", move || last.shutdown(Shutdown::Write).unwrap())
        .begin();
    run(|| block_on(async { echo(TcpStream::new(stream).unwrap()).await }), "7.1")?;
    let changes = kernel::count("epoll_ctl(MOD)") + kernel::count("epoll_ctl(DEL)");
    let calls = kernel::count("epoll_ctl(ADD)") + changes;
    if calls > 2 {
        let seen = format!("{calls} calls of epoll_ctl for 3 messages");
        return fail("7.4", kernel::steps(), "1 call of epoll_ctl per socket", seen);
    }
    expect(kernel::steps(), "3 writes", &format!("{} writes", kernel::count("write")))
}

/// Reads until no byte comes for a while.
fn read_all(mut peer: &Peer) {
    let mut buffer = [0; 65536];
    while peer.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

fn two_directions() -> Outcome {
    const BYTES: usize = 16 << 20;
    let (peer, stream) = pair();
    peer.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let peer = Rc::new(peer);
    let first = Rc::clone(&peer);
    // One event for both directions, then more room for the writer.
    let mut script = Script::new().then("the peer reads all and writes 1 byte", move || {
        read_all(&first);
        (&*first).write_all(b"x").unwrap();
    });
    for _ in 0..30 {
        let peer = Rc::clone(&peer);
        script = script.then_maybe("the peer reads all", move || read_all(&peer));
    }
    script.begin();
    let written = Rc::new(Cell::new(false));
    let done = Rc::clone(&written);
    let both = async move {
        let stream = Rc::new(TcpStream::new(stream).unwrap());
        let other = Rc::clone(&stream);
        let reader = spawn(async move { other.read(&mut [0; 1]).await.unwrap() });
        let writer = spawn(async move { stream.write_all(&vec![0; BYTES]).await.unwrap() });
        writer.await.unwrap();
        done.set(true);
        reader.await.unwrap()
    };
    let result = run(|| block_on(both), "asleep");
    let Err(mut failure) = result else { return Ok(()) };
    if failure.id == "asleep" {
        failure.id = if written.get() { "7.5" } else { "7.10" };
        failure.steps = vec![
            "the reader waits".into(),
            "the writer fills the socket's buffer and waits".into(),
            "the peer reads all and writes 1 byte".into(),
        ];
        failure.expected = "both are woken".into();
        failure.seen = match written.get() {
            true => "the writer ended, the reader is asleep forever".into(),
            false => "the writer is asleep forever".into(),
        };
    }
    Err(failure)
}

fn the_newest_waker_is_woken() -> Outcome {
    let (peer, stream) = pair();
    Script::new()
        .then("the peer writes 1 byte", move || {
            (&peer).write_all(b"x").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    let (count, other) = WakeCount::new();
    let moved = async move {
        let stream = TcpStream::new(stream).unwrap();
        let mut read = Box::pin(async move { stream.read(&mut [0; 1]).await.unwrap() });
        // The first poll is by another task.
        assert!(poll_once(read.as_mut(), &other).is_pending());
        spawn(read).await.unwrap()
    };
    run(|| block_on(moved), "7.6").map(drop)?;
    expect(
        kernel::steps(),
        "0 wakes of the first task",
        &format!("{} wakes of the first task", count.get()),
    )
}

fn a_stale_event_wakes_no_task() -> Outcome {
    let ((peer_a, a), (peer_b, b), (peer_c, c)) = (pair(), pair(), pair());
    Script::new()
        .then("two peers write 1 byte each", move || {
            (&peer_a).write_all(b"x").unwrap();
            (&peer_b).write_all(b"x").unwrap();
            std::mem::forget((peer_a, peer_b));
        })
        .begin();
    let (count, waiting) = WakeCount::new();
    let slot = Slot::new();
    let closes = async move {
        let a = TcpStream::new(a).unwrap();
        let b = TcpStream::new(b).unwrap();
        let kept: Rc<RefCell<Option<TcpStream>>> = Rc::default();
        let inside = Rc::clone(&kept);
        let (root, wake_root) = (slot.clone(), slot);
        let first = poll_once(
            a.read(&mut [0; 1]),
            &on_wake(move || {
                drop(b);
                let c = TcpStream::new(c).unwrap();
                assert!(poll_once(c.read(&mut [0; 1]), &waiting).is_pending());
                *inside.borrow_mut() = Some(c);
                wake_root.wake();
            }),
        );
        assert!(first.is_pending());
        // Woken by the waker of a, so the loop sleeps until the peers have written.
        std::future::poll_fn(|cx| {
            root.set(cx.waker());
            if kept.borrow().is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    };
    run(|| block_on(closes), "7.1")?;
    drop(peer_c);
    if count.get() > 0 {
        let steps = vec![
            "a and b wait".into(),
            "bytes for a and b: two events of one turn".into(),
            "the waker of a closes b and opens c".into(),
        ];
        return fail("7.7", steps, "no wake for c", "c was woken by the event of b");
    }
    Ok(())
}

fn interrupted_calls_are_repeated() -> Outcome {
    let (peer, stream) = pair();
    Script::new()
        .then("the peer writes 1 byte, and a signal comes", move || {
            // No event follows this read, so it must be made again at once.
            kernel::inject("read", EINTR, 1);
            (&peer).write_all(b"x").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    kernel::inject("epoll_wait", EINTR, 1);
    let read = async move { TcpStream::new(stream).unwrap().read(&mut [0; 1]).await.unwrap() };
    let read = run(|| block_on(read), "7.9")?;
    expect(kernel::steps(), "1 byte", &format!("{read} byte"))
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
    run(|| block_on(moved), "7.1")?;
    drop(peer);
    Ok(())
}

fn a_called_waker_is_gone() -> Outcome {
    let (peer, stream) = pair();
    Script::new()
        .then("the peer writes 1 byte", move || {
            (&peer).write_all(b"x").unwrap();
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
    if run(|| block_on(waits), "7.1")? {
        let seen = "a clone is left in the reactor";
        return fail("7.13", kernel::steps(), "no clone of the waker is left", seen);
    }
    Ok(())
}

/// Counts the bytes that are allocated now.
struct Counting;

static ALLOCATED: AtomicIsize = AtomicIsize::new(0);

// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size().cast_signed(), SeqCst);
        // SAFETY: as required of the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size().cast_signed(), SeqCst);
        // SAFETY: as required of the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn a_failed_registration() -> Outcome {
    const SOCKETS: u32 = 1_000;
    let listener = StdListener::bind(loopback()).unwrap();
    let stream = Peer::connect(listener.local_addr().unwrap()).unwrap();
    Script::new().begin();
    let fails = async move {
        let mut allocated = Vec::new();
        // The first time only lists grow that every solution has.
        for _ in 0..2 {
            kernel::inject("epoll_ctl(ADD)", ENOSPC, SOCKETS);
            for _ in 0..SOCKETS {
                let again = kernel::Stream::new(stream.try_clone().unwrap());
                assert!(TcpStream::new(again).is_err());
            }
            kernel::clear_record();
            allocated.push(ALLOCATED.load(SeqCst));
        }
        allocated[1] - allocated[0]
    };
    let more = run(|| block_on(fails), "7.1")?;
    if more > 16 * 1024 {
        let steps = vec![format!("{SOCKETS} sockets are not registered: ENOSPC")];
        let seen = format!("{more} bytes are allocated more than before");
        return fail("7.12", steps, "as many bytes are allocated as before", seen);
    }
    Ok(())
}

const PICTURE: Picture = Picture {
    title: "An echo, call by call",
    description: "Each operation is tried first. After EAGAIN the loop blocks until the peer has acted, and \
                  the task tries again. The socket is registered once.",
    lanes: &["runtime", "peer"],
    run: || {
        let _ = an_echo_sleeps_once_per_event();
        probe::kernel_lanes()
    },
};
