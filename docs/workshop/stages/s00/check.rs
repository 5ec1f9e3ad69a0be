//! The check of stage 0.

use std::pin::Pin;
use std::task::{Context, Poll};

use probe::{
    Case, Diagnosis, Outcome, Picture, Stage, Trace, Watched, expect, fail, is_asleep_forever,
};
use stage::run;

static STAGE: Stage = Stage {
    number: 0,
    diagnoses: &[
        Diagnosis {
            id: "0.1",
            what: "Pending is taken for the end",
            why: "`Pending` means \"not yet\": the future has to be polled again",
            section: "Two answers",
            function: "run",
        },
        Diagnosis {
            id: "0.2",
            what: "polled after Ready: a future may panic there",
            why: "`Ready` has given the output away; the poll that returned it was the last one",
            section: "Two answers",
            function: "run",
        },
        Diagnosis {
            id: "0.3",
            what: "the thread sleeps, and nothing wakes it",
            why: "the waker of this stage does nothing, so a sleep has no end",
            section: "Write",
            function: "run",
        },
    ],
    cases: &[
        Case { name: "a future is polled when `run` is called", run: nothing_runs_before },
        Case { name: "a pending future is polled again", run: a_pending_future_is_polled_again },
        Case { name: "the number of polls is the future's", run: the_future_decides },
    ],
    panics: &[("resumed after completion", "0.2"), ("", "0.1")],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// A future that is pending some times, then returns 7.
struct Pending {
    times: u32,
    trace: Trace,
    ready: bool,
}

impl Future for Pending {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        let after = if self.ready { " after Ready" } else { "" };
        self.trace.note(format!("poll{after}"));
        if self.times > 0 {
            self.times -= 1;
            self.trace.note("  Pending");
            return Poll::Pending;
        }
        self.ready = true;
        self.trace.note("  Ready(7)");
        Poll::Ready(7)
    }
}

/// Runs a future that is pending some times.
fn run_pending(times: u32) -> Outcome {
    let trace = Trace::new();
    let inside = trace.clone();
    let thread = Watched::spawn(move || {
        let output = run(Pending { times, trace: inside.clone(), ready: false });
        inside.note(format!("run returns {output}"));
    });
    if is_asleep_forever(&thread) {
        return fail("0.3", trace.steps(), "run returns 7", "asleep forever");
    }
    if trace.steps().iter().any(|step| step == "poll after Ready") {
        return fail("0.2", trace.steps(), "no poll after Ready", trace.polls());
    }
    let expected = vec!["poll"; times as usize + 1].join(", ");
    expect(trace.steps(), &expected, &trace.polls())
}

fn nothing_runs_before() -> Outcome {
    let trace = Trace::new();
    let inside = trace.clone();
    let future = async move { inside.note("the future runs") };
    trace.note("the future exists");
    run(future);
    let expected = "the future exists, the future runs";
    expect(trace.steps(), expected, &trace.steps().join(", "))?;
    run_pending(0)
}

fn a_pending_future_is_polled_again() -> Outcome {
    run_pending(1)
}

fn the_future_decides() -> Outcome {
    run_pending(4)
}

const PICTURE: Picture = Picture {
    title: "A future that is pending twice",
    description: "Two polls return Pending, the third one Ready.",
    lanes: &["program", "future"],
    run: || {
        let trace = Trace::new();
        trace.note("program makes the future");
        let inside = trace.clone();
        let thread = Watched::spawn(move || {
            inside.note("program calls run");
            let output = run(Pending { times: 2, trace: inside.clone(), ready: false });
            inside.note(format!("program gets {output}"));
        });
        probe::rests(&thread);
        let place = |step: String| match step.strip_prefix("program ") {
            Some(step) => (0, step.to_owned()),
            None => (1, step),
        };
        trace.steps().into_iter().map(place).collect()
    },
};
