//! Random programs of sleeps against a model: when each is ready, and whom its timer wakes.
//!
//! The clock is paused, so the model knows the time exactly. Every poll has to give what the model
//! says, every waker has to be woken as often, and no timer may stay armed that nobody waits for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use fastrand::Rng;
use wakeful::runtime::Builder;
use wakeful::task::yield_now;
use wakeful::time::{Instant, Sleep, advance, sleep, sleep_until};
use wakeful_tests::trace::{Wakes, my_waker, poll_with};

/// Timers that are due in one poll at once; few, so that it is often used up.
const BUDGET: u32 = 3;

/// A sleep and what the model knows of it.
struct Modelled {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Wakes that one of the wakers.
    Armed(usize),
    Fired,
}

struct Program {
    rng: Rng,
    sleeps: Vec<Modelled>,
    /// How often each was to be woken. The last one is our own, and is not counted.
    wakes: [(Wakes, usize); 3],
    own: Waker,
    budget: u32,
}

impl Program {
    /// Near and far alike, and often the same.
    fn span(&mut self) -> Duration {
        match self.rng.u32(..12) {
            0 => Duration::MAX,
            1 => Duration::ZERO,
            2 | 3 => Duration::from_secs(1),
            _ => Duration::from_nanos(self.rng.u64(..) >> self.rng.u32(24..64)),
        }
    }

    fn new_sleep(&mut self) {
        let span = self.span();
        let sleep = match Instant::now().checked_sub(span) {
            Some(past) if self.rng.u32(..8) == 0 => sleep_until(past),
            _ => sleep(span),
        };
        self.sleeps.push(Modelled {
            deadline: sleep.deadline(),
            sleep: Box::pin(sleep),
            state: State::Idle,
        });
    }

    fn poll(&mut self, nth: usize) {
        let stranger = self.rng.usize(..=self.wakes.len());
        let waker = match self.wakes.get(stranger) {
            Some((wakes, _)) => wakes.waker(),
            None => self.own.clone(),
        };
        let modelled = &mut self.sleeps[nth];
        let due = modelled.deadline <= Instant::now();
        let ready = match modelled.state {
            State::Fired => true,
            // What has become due by an advance fires in the next turn.
            State::Armed(_) => false,
            State::Idle if due && self.budget > 0 => {
                self.budget -= 1;
                true
            }
            State::Idle => false,
        };
        let polled = poll_with(&mut modelled.sleep, &waker);
        assert_eq!(polled == Poll::Ready(()), ready, "{:?}", modelled.state);
        modelled.state = match ready {
            true => State::Idle,
            false => State::Armed(stranger),
        };
    }

    /// A turn is over.
    fn turned(&mut self) {
        self.budget = BUDGET;
        let now = Instant::now();
        for modelled in &mut self.sleeps {
            if let State::Armed(stranger) = modelled.state
                && modelled.deadline <= now
            {
                modelled.state = State::Fired;
                if let Some((_, expected)) = self.wakes.get_mut(stranger) {
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
        let armed = |modelled: &&Modelled| matches!(modelled.state, State::Armed(_));
        let armed = self.sleeps.iter().filter(armed).count() as u64;
        assert_eq!(wakeful::metrics().timers_armed, armed);
    }

    async fn step(&mut self) {
        let nth = (!self.sleeps.is_empty()).then(|| self.rng.usize(..self.sleeps.len()));
        match (self.rng.u32(..16), nth) {
            (0..=3, _) | (_, None) => self.new_sleep(),
            // Many at once, beyond the seats of the lobby.
            (4, _) if self.rng.u32(..16) == 0 => {
                for _ in 0..70 {
                    self.new_sleep();
                    self.poll(self.sleeps.len() - 1);
                }
            }
            (4, Some(nth)) => {
                let deadline = sleep(self.span()).deadline();
                let modelled = &mut self.sleeps[nth];
                modelled.sleep.as_mut().reset(deadline);
                (modelled.deadline, modelled.state) = (deadline, State::Idle);
            }
            (5, Some(nth)) => drop(self.sleeps.swap_remove(nth)),
            (6, _) => {
                let by = self.span().min(Duration::from_secs(2));
                advance(by).await;
                self.turned();
            }
            // Without a turn.
            (7, _) => drop(advance(Duration::from_nanos(self.rng.u64(..1_000)))),
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

#[test]
fn sleeps_are_ready_and_wake_when_the_model_says_so_whatever_is_done_to_them() {
    for seed in 0..100 {
        let builder = Builder::new().start_paused(true).io_budget(BUDGET);
        let runtime = builder.build().unwrap();
        runtime.block_on(async {
            let mut program = Program {
                rng: Rng::with_seed(seed),
                sleeps: Vec::new(),
                wakes: Default::default(),
                own: my_waker().await,
                budget: BUDGET,
            };
            for _ in 0..400 {
                program.step().await;
            }
            // In whatever state they are.
            program.sleeps.clear();
            program.check_armed();
        });
    }
}
