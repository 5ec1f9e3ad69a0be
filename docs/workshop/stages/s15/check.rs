//! The check of stage 15: how many polls and reads come before another task's turn.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::Write;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use kernel::Script;
use probe::{
    Case, Diagnosis, Failure, Outcome, Picture, Stage, expect, fail, run_scripted, yield_once,
};
use stage::{TcpStream, block_on, sleep, spawn};

/// Two ticks and some polls: what another task has to wait for at most.
const SOON: u32 = 130;

/// Operations in one poll, of a task that never waits.
const BUDGET: u32 = 128;

static STAGE: Stage = Stage {
    number: 15,
    diagnoses: &[
        Diagnosis {
            id: "15.1",
            what: "a task that never waits keeps sockets and timers from their turn",
            why: "the tick goes on until the queue is empty, and this task is in it again after each poll",
            section: "A tick",
            function: "tick",
        },
        Diagnosis {
            id: "15.2",
            what: "a task whose socket is always ready keeps the others from their poll",
            why: "its poll has no end: each read is ready, so the task never returns",
            section: "A budget",
            function: "spend",
        },
        Diagnosis {
            id: "15.3",
            what: "a task never gets further, and is polled again and again",
            why: "its budget is used up and is not filled again before the next poll",
            section: "A budget",
            function: "tick",
        },
        Diagnosis {
            id: "15.4",
            what: "a task with a used up budget is asleep forever",
            why: "it returned `Pending`, and no event will wake it: it has to be woken at once",
            section: "A budget",
            function: "spend",
        },
        Diagnosis {
            id: "15.5",
            what: "the future of `block_on` is polled although it was not woken",
            why: "it is a task like any other: its number has to be in the queue",
            section: "A tick",
            function: "tick",
        },
        Diagnosis {
            id: "15.6",
            what: "the future of `block_on` is asleep forever, although it was woken",
            why: "its flag was set: `unschedule` has to clear it before the poll, or a wake puts nothing in",
            section: "Write",
            function: "tick",
        },
        Diagnosis {
            id: "15.7",
            what: "a task pays for the operations of another one",
            why: "the budget is that of one poll: it is full again before each",
            section: "A budget",
            function: "tick",
        },
        Diagnosis {
            id: "15.8",
            what: "more than 61 polls come between two turns",
            why: "`0..TICK` has as many numbers as a tick has polls",
            section: "A tick",
            function: "tick",
        },
        Diagnosis {
            id: "15.9",
            what: "a poll has not as many operations as its budget",
            why: "look first, then take one: with 128 left, 128 operations succeed and the next one does not",
            section: "A budget",
            function: "spend",
        },
    ],
    cases: &[
        Case { name: "a wake of the root in its poll counts", run: a_wake_in_the_poll_counts },
        Case { name: "the root is polled when it is woken", run: the_root_is_polled_when_woken },
        Case { name: "a socket is served beside a spinner", run: a_socket_beside_a_spinner },
        Case { name: "a timer expires beside a spinner", run: a_timer_beside_a_spinner },
        Case { name: "a task runs beside a busy socket", run: a_task_beside_a_busy_socket },
        Case { name: "the root has a budget", run: the_root_has_a_budget },
        Case { name: "each poll has its own budget", run: each_poll_has_its_own_budget },
        Case { name: "a turn comes after 61 polls", run: a_turn_after_61_polls },
    ],
    panics: &[],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Runs a case of this stage.
fn run<T>(f: impl FnOnce() -> T, asleep: &'static str) -> Result<T, Failure> {
    run_scripted(f, asleep, "15.3", "")
}

fn pair() -> (Peer, kernel::Stream) {
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    (peer, kernel::Stream::new(listener.accept().unwrap().0))
}

/// A task that is scheduled again in each poll, until `stop` is set. `at` is called with each number.
async fn spin(stop: Rc<Cell<bool>>, mut at: impl FnMut(u32)) {
    let mut polls = 0;
    poll_fn(|cx| {
        kernel::progress();
        polls += 1;
        at(polls);
        if stop.get() || polls == 20_000 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn a_wake_in_the_poll_counts() -> Outcome {
    Script::new().begin();
    let root = async {
        for _ in 0..3 {
            yield_once().await;
        }
    };
    run(|| block_on(root), "15.6")
}

fn the_root_is_polled_when_woken() -> Outcome {
    Script::new().begin();
    let polls = Rc::new(Cell::new(0));
    let count = Rc::clone(&polls);
    let root = async {
        let spinner = spawn(async {
            for _ in 0..200 {
                yield_once().await;
            }
        });
        let mut spinner = std::pin::pin!(spinner);
        poll_fn(move |cx| {
            count.set(count.get() + 1);
            spinner.as_mut().poll(cx)
        })
        .await
        .unwrap();
    };
    run(|| block_on(root), "15.4")?;
    if polls.get() > 2 {
        let seen = format!("{} polls of the root", polls.get());
        return fail("15.5", Vec::new(), "2 polls of the root", seen);
    }
    Ok(())
}

/// Polls of the spinner until another task runs.
fn after_spins(spins: u32, what: &str) -> Outcome {
    if spins <= SOON {
        return Ok(());
    }
    let seen = format!("{spins} polls of the spinner before {what}");
    fail("15.1", Vec::new(), format!("at most {SOON} polls"), seen)
}

fn a_socket_beside_a_spinner() -> Outcome {
    let (peer, stream) = pair();
    Script::new().begin();
    let (stop, now) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let (stopped, polls) = (Rc::clone(&stop), Rc::clone(&now));
    let served = async move {
        let stream = TcpStream::new(stream).unwrap();
        let spinner = spawn(spin(stop.clone(), move |n| {
            polls.set(n);
            if n == 200 {
                (&peer).write_all(b"x").unwrap();
            }
        }));
        stream.read(&mut [0; 1]).await.unwrap();
        stop.set(true);
        let spins = now.get() - 200;
        spinner.await.unwrap();
        spins
    };
    let spins = run(|| block_on(served), "15.4")?;
    drop(stopped);
    after_spins(spins, "the socket was served")
}

fn a_timer_beside_a_spinner() -> Outcome {
    Script::new().begin();
    let (stop, now) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let polls = Rc::clone(&now);
    let timed = async move {
        let spinner = spawn(spin(stop.clone(), move |n| {
            polls.set(n);
            if n == 200 {
                kernel::advance(Duration::from_millis(10));
            }
        }));
        sleep(Duration::from_millis(10)).await;
        stop.set(true);
        let spins = now.get() - 200;
        spinner.await.unwrap();
        spins
    };
    let spins = run(|| block_on(timed), "15.4")?;
    after_spins(spins, "the timer expired")
}

fn a_task_beside_a_busy_socket() -> Outcome {
    const BYTES: usize = 20_000;
    let (peer, stream) = pair();
    (&peer).write_all(&[7; BYTES]).unwrap();
    Script::new().begin();
    let busy = async move {
        let stream = TcpStream::new(stream).unwrap();
        let reads = Rc::new(Cell::new(0));
        let count = Rc::clone(&reads);
        let reader = spawn(async move {
            for _ in 0..BYTES {
                stream.read(&mut [0; 1]).await.unwrap();
                count.set(count.get() + 1);
            }
        });
        let other = spawn(async move { reads.get() });
        let before = other.await.unwrap();
        reader.await.unwrap();
        before
    };
    let before = run(|| block_on(busy), "15.4")?;
    drop(peer);
    if before > SOON {
        let seen = format!("{before} reads in one poll, before another task was polled");
        return fail("15.2", Vec::new(), format!("at most {SOON} reads in one poll"), seen);
    }
    if before != BUDGET {
        let seen = format!("{before} reads in one poll");
        return fail("15.9", Vec::new(), format!("{BUDGET} reads in one poll"), seen);
    }
    expect(Vec::new(), &BYTES.to_string(), &(kernel::count("read")).to_string())
}

fn the_root_has_a_budget() -> Outcome {
    const BYTES: usize = 500;
    let (peer, stream) = pair();
    (&peer).write_all(&[7; BYTES]).unwrap();
    Script::new().begin();
    let root = async move {
        let stream = TcpStream::new(stream).unwrap();
        for _ in 0..BYTES {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 1);
        }
    };
    run(|| block_on(root), "15.4")?;
    drop(peer);
    Ok(())
}

fn each_poll_has_its_own_budget() -> Outcome {
    const BYTES: usize = 1_000;
    let ((peer_a, a), (peer_b, b)) = (pair(), pair());
    (&peer_a).write_all(&[7; BYTES]).unwrap();
    (&peer_b).write_all(&[7; 1]).unwrap();
    Script::new().begin();
    let two = async move {
        let busy = spawn(async move {
            let stream = TcpStream::new(a).unwrap();
            for _ in 0..BYTES {
                stream.read(&mut [0; 1]).await.unwrap();
            }
        });
        let other = spawn(async move {
            let stream = TcpStream::new(b).unwrap();
            let (mut buffer, mut polls) = ([0; 1], 0);
            let mut read = std::pin::pin!(stream.read(&mut buffer));
            poll_fn(|cx| {
                polls += 1;
                read.as_mut().poll(cx).map(|read| read.map(|_| polls))
            })
            .await
        });
        let polls = other.await.unwrap().unwrap();
        busy.await.unwrap();
        polls
    };
    let polls = run(|| block_on(two), "15.4")?;
    drop((peer_a, peer_b));
    // One, or two if the byte came after the first.
    if polls > 2 {
        let seen = format!("{polls} polls for 1 read, after a task that has used up its budget");
        return fail("15.7", Vec::new(), "1 or 2 polls for 1 read", seen);
    }
    Ok(())
}

fn a_turn_after_61_polls() -> Outcome {
    const TICKS: u32 = 100;
    Script::new().begin();
    let (stop, now) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let polls = Rc::clone(&now);
    let end = Rc::clone(&stop);
    let spins = async move {
        let spinner = spin(stop, move |n| {
            polls.set(n);
            if n == 61 * TICKS {
                end.set(true);
            }
        });
        spawn(spinner).await.unwrap();
    };
    run(|| block_on(spins), "15.4")?;
    let turns = kernel::count("epoll_wait");
    if turns < TICKS as usize {
        let seen = format!("{turns} turns for {} polls", now.get());
        return fail("15.8", Vec::new(), format!("{TICKS} turns for {} polls", now.get()), seen);
    }
    Ok(())
}

/// Puts polls of the spinner that follow each other into one step.
fn grouped(steps: Vec<String>) -> Vec<(usize, String)> {
    let (mut grouped, mut polls) = (Vec::new(), 0);
    for step in steps.into_iter().chain([String::new()]) {
        if step == "poll" {
            polls += 1;
            continue;
        }
        if polls > 0 {
            let poll = if polls == 1 { "poll".to_owned() } else { format!("poll, {polls} times") };
            grouped.push((1, poll));
            polls = 0;
        }
        let is_turn = step.starts_with("epoll_wait");
        match step.split_once(" = ") {
            Some((_, result)) if is_turn => grouped.push((0, format!("epoll_wait = {result}"))),
            Some((call, result)) if call.starts_with("read fd") => {
                grouped.push((2, format!("read = {result}")));
            }
            None if !step.is_empty() => grouped.push((2, step)),
            _ => {}
        }
    }
    grouped
}

const PICTURE: Picture = Picture {
    title: "A socket beside a task that never waits",
    description: "After 61 polls the loop looks for events, although the spinner is scheduled. So the byte that \
                  comes during the second tick is read after it.",
    lanes: &["loop", "spinner", "socket"],
    run: || {
        let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        let (other, stop) = (stream.try_clone().unwrap(), Rc::new(Cell::new(false)));
        Script::new().begin();
        let served = async move {
            let stream = TcpStream::new(kernel::Stream::new(stream)).unwrap();
            let spinner = spawn(spin(stop.clone(), move |n| {
                kernel::note("poll");
                if n == 100 {
                    (&peer).write_all(b"x").unwrap();
                    // On a busy machine the byte can come a moment later.
                    while other.peek(&mut [0; 1]).is_err() {}
                    kernel::note("the peer writes");
                }
            }));
            stream.read(&mut [0; 1]).await.unwrap();
            stop.set(true);
            spinner.await.unwrap();
        };
        let _ = run(|| block_on(served), "15.4");
        grouped(kernel::steps())
    },
};
