//! Tasks: spawn, await, self-wake, ping-pong.

use std::cell::Cell;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::Rival;
use crate::shared::{Latch, Measurement, Token, wake_self};

/// Number of tasks that are spawned before the first of them runs.
pub(super) const BULK: u64 = 1000;

/// A task that spawns its successor and finishes, so the run queue never holds more than one task.
///
/// Some runtimes poll a task inside `spawn`. To bound their stack depth, every [`YIELD_EVERY`]th link
/// yields first.
struct Link<R> {
    rt: R,
    left: u64,
    yielded: bool,
    end: Latch,
}

const YIELD_EVERY: u64 = 256;

impl<R> Unpin for Link<R> {}

impl<R: Rival> Future for Link<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.left.is_multiple_of(YIELD_EVERY) && !self.yielded {
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.left {
            0 => self.end.count_down(),
            left => R::detach(self.rt.spawn(Link {
                rt: self.rt.clone(),
                left: left - 1,
                yielded: false,
                end: self.end.clone(),
            })),
        }
        Poll::Ready(())
    }
}

pub(super) async fn chain<R: Rival>(rt: &R, n: u64) {
    let (rt, end) = (rt.clone(), Latch::new(1));
    let first = Link {
        rt: rt.clone(),
        left: n - 1,
        yielded: false,
        end: end.clone(),
    };
    R::detach(rt.spawn(first));
    end.wait().await;
}

pub(super) async fn bulk<R: Rival>(rt: &R, times: u64) {
    for _ in 0..times {
        let end = Latch::new(BULK);
        for number in 0..BULK {
            let end = end.clone();
            R::detach(rt.spawn(async move {
                black_box(number);
                end.count_down();
            }));
        }
        end.wait().await;
    }
}

pub(crate) async fn spawn_await<R: Rival>(rt: &R, n: u64) {
    for number in 0..n {
        let answer = R::join(rt.spawn(async move { black_box(number) })).await;
        assert_eq!(answer, number);
    }
}

pub(super) async fn yield_now<R: Rival>(rt: &R, n: u64) {
    for _ in 0..n {
        rt.yield_now().await;
    }
}

pub(crate) async fn wake_itself(n: u64) {
    for _ in 0..n {
        wake_self().await;
    }
}

/// State shared by tasks that yield together.
#[derive(Default)]
struct Yielders {
    /// Number of yields so far, of all tasks.
    yields: Cell<u64>,
    /// Time of the first task's second poll, and the number of yields until then.
    start: Cell<Option<(Instant, u64)>>,
    measured: Cell<Option<Measurement>>,
}

/// Measures from the first task's second poll, when all tasks have run once, to its end.
pub(super) async fn yield_among<R: Rival>(rt: &R, tasks: u64, times: u64) -> Measurement {
    let yielders = Rc::new(Yielders::default());
    let end = Latch::new(tasks);
    for number in 0..tasks {
        let (yielders, end) = (Rc::clone(&yielders), end.clone());
        R::detach(rt.spawn(async move {
            for time in 0..times {
                wake_self().await;
                yielders.yields.set(yielders.yields.get() + 1);
                if number == 0 && time == 0 {
                    let begun = (Instant::now(), yielders.yields.get());
                    yielders.start.set(Some(begun));
                }
            }
            if let (0, Some((start, before))) = (number, yielders.start.get()) {
                let (time, count) = (start.elapsed(), yielders.yields.get() - before);
                yielders.measured.set(Some(Measurement { count, time }));
            }
            end.count_down();
        }));
    }
    end.wait().await;
    yielders
        .measured
        .get()
        .expect("the first task has finished")
}

pub(super) async fn ping_pong<R: Rival>(rt: &R, n: u64) {
    let token = Rc::new(Token::default());
    let end = Latch::new(2);
    for side in [0, 1] {
        let (token, end) = (Rc::clone(&token), end.clone());
        R::detach(rt.spawn(async move {
            for _ in 0..n {
                token.pass(side).await;
            }
            end.count_down();
        }));
    }
    end.wait().await;
}
