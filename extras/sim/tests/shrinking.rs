//! A seed that fails is shrunk to the choices that matter.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use async_lock::Mutex;
use wakeful::task::yield_now;
use wakeful::time::sleep;
use wakeful_sim::{Faults, Options, Run, Sim, Tape, run_seed, run_tape, shrink_tape};

/// In each of ten rounds two tasks say their numbers. Fails if two certain rounds have the other order.
async fn two_orders_matter(_: Sim) {
    let mut reversed = Vec::new();
    for round in 0..10 {
        let said = Rc::new(RefCell::new(Vec::new()));
        let tasks = [1, 2].map(|number| {
            let said = Rc::clone(&said);
            wakeful::spawn(async move { said.borrow_mut().push(number) })
        });
        // Each round makes one choice between the two.
        sleep(Duration::from_secs(1)).await;
        for task in tasks {
            assert!(task.is_finished());
        }
        if *said.borrow() == [2, 1] {
            reversed.push(round);
        }
    }
    assert!(!(reversed.contains(&3) && reversed.contains(&7)), "both");
    assert!(reversed.len() < 9, "another failure");
}

/// Transfers between two accounts, whose locks are taken in opposite orders.
async fn two_locks(_: Sim) {
    let (a, b) = (Rc::new(Mutex::new(0)), Rc::new(Mutex::new(0)));
    let transfer = wakeful::spawn({
        let (a, b) = (Rc::clone(&a), Rc::clone(&b));
        async move {
            let mut from = a.lock().await;
            yield_now().await;
            *b.lock().await += 1;
            *from -= 1;
        }
    });
    let audit = wakeful::spawn(async move {
        yield_now().await;
        let b = b.lock().await;
        yield_now().await;
        assert_eq!(*a.lock().await + *b, 0);
    });
    for task in [transfer, audit] {
        task.await.unwrap();
    }
}

fn first_failure<F: Future<Output = ()>>(text: &str, body: impl Fn(Sim) -> F) -> Run {
    (0..500)
        .map(|seed| run_seed("test", seed, Options::new(), &body))
        .find(|run| text_of(run).is_some_and(|found| found.contains(text)))
        .expect("one of 500 seeds fails")
}

fn text_of(run: &Run) -> Option<String> {
    let panic = run.panic.as_ref()?;
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}

/// Returns the shrunk tape and the run with it.
fn shrunk<F: Future<Output = ()>>(run: &Run, body: impl Fn(Sim) -> F) -> (Tape, Run) {
    let tape = shrink_tape(run.tape.clone(), Options::new(), &body);
    let again = run_tape(tape.clone(), Options::new(), &body);
    assert_eq!(again.tape, tape, "all that is on the tape happens");
    (tape, again)
}

#[test]
fn two_choices_that_matter_are_left() {
    let run = first_failure("both", two_orders_matter);
    assert!(run.tape.len() > 10);
    let (tape, again) = shrunk(&run, two_orders_matter);
    assert_eq!(tape.len(), 2, "{tape}");
    assert_eq!(
        (text_of(&again).as_deref(), again.place),
        (Some("both"), run.place)
    );
    let plain: Tape = "wakeful-sim tape 1\ntest test\n".parse().unwrap();
    assert!(
        run_tape(plain, Options::new(), two_orders_matter)
            .panic
            .is_none()
    );
}

#[test]
fn a_deadlock_stays_a_deadlock() {
    let run = first_failure("deadlock", two_locks);
    let (tape, again) = shrunk(&run, two_locks);
    assert!((1..=2).contains(&tape.len()), "{tape}");
    assert!(text_of(&again).unwrap().contains("deadlock"));
    assert_eq!(again.place, run.place);
}

/// Fails with any order, at two places.
async fn fails_in_two_ways(_: Sim) {
    let said = Rc::new(RefCell::new(Vec::new()));
    for number in [1, 2] {
        let said = Rc::clone(&said);
        wakeful::spawn(async move { said.borrow_mut().push(number) });
    }
    sleep(Duration::from_secs(1)).await;
    assert!(*said.borrow() == [1, 2], "reversed");
    panic!("in order");
}

#[test]
fn another_failure_is_not_taken_for_the_same() {
    let run = first_failure("reversed", fails_in_two_ways);
    let (tape, again) = shrunk(&run, fails_in_two_ways);
    assert_eq!(tape.len(), 1, "{tape}");
    assert_eq!(text_of(&again).as_deref(), Some("reversed"));
}

#[test]
fn a_tape_that_does_not_fail_stays_as_it_is() {
    let options = Options::new().faults(Faults::lossless());
    let wait = |_| async { sleep(Duration::from_secs(1)).await };
    let run = run_seed("test", 1, options, |_| async {
        for _ in 0..20 {
            wakeful::spawn(yield_now());
            yield_now().await;
        }
    });
    assert!(!run.tape.is_empty());
    assert_eq!(shrink_tape(run.tape.clone(), options, wait), run.tape);
}

#[test]
fn what_a_test_chooses_follows_from_the_seed_and_is_lowered() {
    let seen = RefCell::new(Vec::new());
    let options = Options::new();
    let body = async |sim: Sim| {
        let number = sim.choose(100);
        seen.borrow_mut().push(number);
        assert!(number < 60, "too large");
    };
    let run = |seed| run_seed("test", seed, options, body);
    let runs = (0..20).map(run);
    let failed: Vec<_> = runs.filter(|run| run.panic.is_some()).collect();
    let first = seen.take();
    (0..20).for_each(|seed| drop(run(seed)));
    assert_eq!(seen.take(), first);
    assert!(first.iter().any(|number| *number != first[0]), "{first:?}");
    let shrunk = shrink_tape(failed[0].tape.clone(), options, body);
    assert!(
        shrunk.to_string().ends_with("\ntest 1 = 60 of 100\n"),
        "{shrunk}"
    );
}
