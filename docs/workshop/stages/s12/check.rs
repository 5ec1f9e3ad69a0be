//! The check of stage 12: six programs that hang, until their causes are named and mended.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::rc::Rc;

use kernel::Script;
use probe::{Case, Diagnosis, Outcome, Picture, Stage, fail, run_scripted};
use stage::causes::{Cause, causes};
use stage::programs::{Mailbox, Ticket, ask, count_lines, hand_over, load, transfer};
use stage::tools::{Event, named};
use stage::{TcpStream, block_on};

static STAGE: Stage = Stage {
    number: 12,
    diagnoses: &[
        Diagnosis {
            id: "12.1",
            what: "the trace says something else than the cause that you named",
            why: "begin at the end: which task should have been polled, and who should have woken it?",
            section: "Read it backwards",
            function: "causes",
        },
        Diagnosis {
            id: "12.2",
            what: "the cause is right, and the program still hangs",
            why: "the line that you changed is not the one that loses the wake",
            section: "Mend the cause",
            function: "",
        },
        Diagnosis {
            id: "12.3",
            what: "it ends now, because it looks again after a while: the wake is still lost",
            why: "a sleep or a timeout hides the cause, and makes each run as slow as the sleep",
            section: "Mend the cause",
            function: "",
        },
        Diagnosis {
            id: "12.4",
            what: "it never sleeps now: the wake is still lost",
            why: "a task that wakes itself until something has happened uses the whole thread",
            section: "Mend the cause",
            function: "",
        },
        Diagnosis {
            id: "12.5",
            what: "it ends, and has not done its work",
            why: "the wait was needed: what it waited for has not happened",
            section: "Mend the cause",
            function: "",
        },
    ],
    cases: &[
        Case { name: "program 1 counts lines", run: program_1 },
        Case { name: "program 2 takes a letter", run: program_2 },
        Case { name: "program 3 hands a ticket over", run: program_3 },
        Case { name: "program 4 loads a file", run: program_4 },
        Case { name: "program 4 loads a file from a slower disk", run: program_4_slower },
        Case { name: "program 5 moves money", run: program_5 },
        Case { name: "program 6 asks a question", run: program_6 },
    ],
    panics: &[],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Returns the steps of a run, without those of the runtime.
fn steps(hangs: bool) -> Vec<String> {
    let noise = |step: &String| step.starts_with("epoll_") || step.starts_with("eventfd_");
    let mut steps: Vec<String> = kernel::steps().into_iter().filter(|step| !noise(step)).collect();
    // What follows is the end of the run, which drops the tasks.
    let last = steps.iter().rposition(|step| step == "blocks");
    if let (true, Some(last)) = (hangs, last) {
        steps.truncate(last + 1);
    }
    steps
}

/// Runs a program, and compares its cause and what it returns.
fn run(
    number: usize,
    cause: Cause,
    script: Script,
    program: impl Future<Output = String>,
    expected: &str,
) -> Outcome {
    script.begin();
    let result = run_scripted(|| block_on(named("main", program)), "12.2", "12.4", "");
    let steps = steps(result.is_err());
    let named = causes()[number - 1];
    if named == Cause::Unknown {
        let seen = format!("program {number} hangs: name its cause in my/s12/causes.rs");
        return fail("todo", steps, "", seen);
    }
    if named != cause {
        let seen = format!("program {number}: {named:?}");
        return fail("12.1", steps, "another cause", seen);
    }
    let output = match result {
        Ok(output) => output,
        Err(mut failure) => {
            failure.seen = format!("program {number}: {}", failure.seen);
            failure.steps = if failure.id == "12.4" { failure.steps } else { steps };
            return Err(failure);
        }
    };
    if kernel::timed_parks() > 0 {
        let seen = format!("program {number} ends after a sleep with a limit of time");
        return fail("12.3", steps, "it ends when what it waits for happens", seen);
    }
    if output != expected {
        let seen = format!("program {number} returns {output:?}");
        return fail("12.5", steps, format!("{expected:?}"), seen);
    }
    Ok(())
}

fn program_1() -> Outcome {
    let program = async { count_lines("one\ntwo\nthree\n").await.to_string() };
    run(1, Cause::NeverPolled, Script::new(), program, "3")
}

fn program_2() -> Outcome {
    let mailbox = Mailbox::default();
    let postman = mailbox.clone();
    let script = Script::new().then("the postman comes", move || postman.put("a letter"));
    let program = async move { mailbox.take().await.to_owned() };
    run(2, Cause::NoWakerStored, script, program, "a letter")
}

fn program_3() -> Outcome {
    let ticket = Ticket::default();
    let (desk, called) = (ticket.clone(), Rc::new(RefCell::new("never called")));
    let set = Rc::clone(&called);
    let script = Script::new().then("the ticket is called", move || {
        *set.borrow_mut() = "called";
        desk.call();
    });
    let program = async move {
        hand_over(ticket).await;
        (*called.borrow()).to_owned()
    };
    run(3, Cause::OldWaker, script, program, "called")
}

/// Runs program 4. The two events happen in this order.
fn loads(order: [usize; 2]) -> Outcome {
    let events = [Event::new("the file is read"), Event::new("the line is on the disk")];
    let happened = Rc::new(RefCell::new(0));
    let mut script = Script::new();
    for at in order {
        let (event, happened) = (events[at].clone(), Rc::clone(&happened));
        script = script.then(["the file arrives", "the disk is done"][at], move || {
            *happened.borrow_mut() += 1;
            event.set();
        });
    }
    let [file, disk] = events;
    let program = async move {
        load(file, disk).await;
        format!("{} of 2 events", happened.borrow())
    };
    run(4, Cause::EventBeforeTheWait, script, program, "2 of 2 events")
}

fn program_4() -> Outcome {
    loads([0, 1])
}

fn program_4_slower() -> Outcome {
    loads([1, 0])
}

fn program_5() -> Outcome {
    let program = async { transfer().await.to_string() };
    run(5, Cause::Circle, Script::new(), program, "2")
}

fn program_6() -> Outcome {
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nonblocking(true).unwrap();
    let stream = kernel::Stream::new(listener.accept().unwrap().0);
    let script = Script::new().then("the peer looks for a request", move || {
        let mut request = [0; 64];
        match peer.read(&mut request) {
            Ok(n) => {
                kernel::note(format!("  it reads {n} bytes, and answers"));
                peer.write_all(b"seven").unwrap();
            }
            Err(_) => kernel::note("  it finds no byte, and waits"),
        }
        std::mem::forget(peer);
    });
    let program = async { ask(TcpStream::new(stream).unwrap()).await };
    run(6, Cause::BothRead, script, program, "seven")
}

const PICTURE: Picture = Picture {
    title: "Program 3, after it was mended",
    description: "First main waits for the ticket, then helper does. The call wakes the task that waited last, \
                  helper. Its end wakes main.",
    lanes: &["main", "helper", "runtime", "desk"],
    run: || {
        let ticket = Ticket::default();
        let desk = ticket.clone();
        Script::new().then("desk calls the ticket", move || desk.call()).begin();
        let result =
            run_scripted(|| block_on(named("main", hand_over(ticket))), "12.2", "12.4", "");
        let named = |step: String| match step.trim() {
            "poll main" => "main poll".to_owned(),
            "poll helper" => "helper poll".to_owned(),
            "blocks" => "runtime blocks".to_owned(),
            step if step.starts_with("wakes") => format!("desk {step}"),
            step => step.replace("is pending", "Pending").replace("has ended", "Ready"),
        };
        let steps: Vec<String> = steps(result.is_err()).into_iter().map(named).collect();
        probe::lanes(&steps, &["main", "helper", "runtime", "desk"])
    },
};
