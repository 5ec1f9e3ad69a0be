//! Random programs of sleeps, checked against a model: when each sleep is ready, and which waker
//! its timer wakes.
//!
//! The clock is paused, so the model knows the time exactly. Every poll has to return the model's
//! result, every waker has to be woken as often as in the model, and no timer may stay armed without a
//! sleep that waits for it.

use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use wakeful::runtime::Builder;
use wakeful::task::yield_now;
use wakeful::time::{Instant, Sleep, advance, sleep, sleep_until};

use super::Choices;
use crate::trace::{Wakes, my_waker, poll_with};

/// Due timers that are ready in one poll. Few, so that the budget is often used up.
const BUDGET: u32 = 3;

/// A sleep and its state in the model.
struct Modeled {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// The index of its waker.
    Armed(usize),
    Fired,
}

struct Program {
    choices: Choices,
    sleeps: Vec<Modeled>,
    /// External wakers and their expected counts of wakes. A further index stands for the task's
    /// own waker, which is not counted.
    wakes: [(Wakes, usize); 3],
    own: Waker,
    budget: u32,
}

impl Program {
    /// Returns a short or long duration, and often the same one.
    fn span(&mut self) -> Duration {
        match self.choices.below(12) {
            0 => Duration::MAX,
            1 => Duration::ZERO,
            2 | 3 => Duration::from_secs(1),
            _ => Duration::from_nanos(self.choices.number() >> (24 + self.choices.below(40))),
        }
    }

    fn new_sleep(&mut self) {
        let span = self.span();
        let sleep = match Instant::now().checked_sub(span) {
            Some(past) if self.choices.below(8) == 0 => sleep_until(past),
            _ => sleep(span),
        };
        self.sleeps.push(Modeled {
            deadline: sleep.deadline(),
            sleep: Box::pin(sleep),
            state: State::Idle,
        });
    }

    fn poll(&mut self, nth: usize) {
        let index = self.choices.below(self.wakes.len() + 1);
        let waker = match self.wakes.get(index) {
            Some((wakes, _)) => wakes.waker(),
            None => self.own.clone(),
        };
        let modeled = &mut self.sleeps[nth];
        let due = modeled.deadline <= Instant::now();
        let ready = match modeled.state {
            State::Fired => true,
            // A timer that has become due by an advance fires in the next turn.
            State::Armed(_) => false,
            State::Idle if due && self.budget > 0 => {
                self.budget -= 1;
                true
            }
            State::Idle => false,
        };
        let polled = poll_with(&mut modeled.sleep, &waker);
        assert_eq!(polled == Poll::Ready(()), ready, "{:?}", modeled.state);
        modeled.state = match ready {
            true => State::Idle,
            false => State::Armed(index),
        };
    }

    /// Resets a sleep. Returns whether that has woken the task itself.
    fn reset(&mut self, nth: usize, deadline: Instant) -> bool {
        let modeled = &mut self.sleeps[nth];
        modeled.sleep.as_mut().reset(deadline);
        modeled.deadline = deadline;
        match modeled.state {
            // The timer moves with its waker.
            State::Armed(_) if deadline > Instant::now() => false,
            State::Armed(index) => {
                modeled.state = State::Idle;
                match self.wakes.get_mut(index) {
                    Some((_, expected)) => *expected += 1,
                    None => return true,
                }
                false
            }
            State::Idle | State::Fired => {
                modeled.state = State::Idle;
                false
            }
        }
    }

    /// Updates the model after a turn.
    fn turned(&mut self) {
        self.budget = BUDGET;
        let now = Instant::now();
        for modeled in &mut self.sleeps {
            if let State::Armed(index) = modeled.state
                && modeled.deadline <= now
            {
                modeled.state = State::Fired;
                if let Some((_, expected)) = self.wakes.get_mut(index) {
                    *expected += 1;
                }
            }
        }
        for (wakes, expected) in &self.wakes {
            assert_eq!(wakes.count(), *expected);
        }
        self.check_armed();
    }

    fn check_armed(&self) {
        let armed = |modeled: &&Modeled| matches!(modeled.state, State::Armed(_));
        let armed = self.sleeps.iter().filter(armed).count() as u64;
        assert_eq!(wakeful::metrics().timers_armed, armed);
    }

    async fn step(&mut self) {
        let nth = (!self.sleeps.is_empty()).then(|| self.choices.below(self.sleeps.len()));
        match (self.choices.below(16), nth) {
            (0..=3, _) | (_, None) => self.new_sleep(),
            // Many at once.
            (4, _) if self.choices.below(16) == 0 => {
                for _ in 0..70 {
                    self.new_sleep();
                    self.poll(self.sleeps.len() - 1);
                }
            }
            (4, Some(nth)) => {
                let deadline = sleep(self.span()).deadline();
                if self.reset(nth, deadline) {
                    // Ends with that wake, before a turn.
                    yield_now().await;
                    self.budget = BUDGET;
                }
            }
            (5, Some(nth)) => drop(self.sleeps.swap_remove(nth)),
            (6, _) => {
                let by = self.span().min(Duration::from_secs(2));
                advance(by).await;
                self.turned();
            }
            // Advances without a turn.
            (7, _) => drop(advance(Duration::from_nanos(
                self.choices.below(1_000) as u64
            ))),
            (8, _) => {
                let by = self.span().min(Duration::from_secs(2));
                sleep(by + Duration::from_nanos(1)).await;
                self.turned();
            }
            (9, _) => {
                yield_now().await;
                self.turned();
            }
            (_, Some(nth)) => self.poll(nth),
        }
        self.check_armed();
    }
}

/// Runs the program that `bytes` choose.
///
/// # Panics
///
/// When a sleep or a waker does otherwise than its model.
pub fn run(bytes: &[u8]) {
    // So many that all external wakers that are due are woken in one turn.
    let builder = Builder::new().event_interval(10_000);
    let builder = builder.start_paused(true).io_budget(BUDGET);
    let runtime = builder.build().expect("a runtime");
    runtime.block_on(async {
        let mut program = Program {
            choices: Choices::new(bytes),
            sleeps: Vec::new(),
            wakes: Default::default(),
            own: my_waker().await,
            budget: BUDGET,
        };
        while !program.choices.is_used_up() {
            program.step().await;
        }
        // Drops them in any state.
        program.sleeps.clear();
        program.check_armed();
    });
}
