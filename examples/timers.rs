//! Waiting for time to pass: `sleep`, `interval` and `timeout`, and several of them at once.
//!
//! ```text
//! cargo run -p wakeful-examples --example timers
//! cargo run -p wakeful-examples --example timers -- paused     # the same, in no time
//! ```
//!
//! With a paused clock, time jumps to the next deadline whenever there is nothing else to do. That
//! is how one tests code that waits for hours.

use std::future::pending;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use wakeful::runtime::Builder;
use wakeful::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use wakeful_examples::finish;

const SECOND: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let paused = std::env::args().nth(1).is_some_and(|word| word == "paused");
    finish(run(paused))
}

fn run(paused: bool) -> io::Result<()> {
    let runtime = Builder::new().start_paused(paused).build()?;
    runtime.block_on(async {
        let start = Instant::now();
        let say = move |what: &str| println!("{:.2} s: {what}", start.elapsed().as_secs_f64());

        // Three tasks that sleep at the same time take as long as the longest of them.
        let sleepers: Vec<_> = [3, 1, 2]
            .into_iter()
            .map(|n| {
                wakeful::spawn(async move {
                    sleep(n * SECOND / 10).await;
                    say(&format!("sleeper {n} is awake"));
                })
            })
            .collect();
        for sleeper in sleepers {
            sleeper.await?;
        }

        // What never ends, given an end.
        if timeout(SECOND / 10, pending::<()>()).await.is_err() {
            say("waited long enough");
        }

        // Dropping a future cancels it, and its timer with it: nothing wakes up later.
        drop(sleep(3600 * SECOND));

        // A beat that keeps its rhythm. The second round takes too long, so one tick is missed.
        let mut beat = interval(SECOND / 10);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for round in 1..=4 {
            beat.tick().await;
            say(&format!("tick {round}"));
            if round == 2 {
                sleep(SECOND * 15 / 100).await;
            }
        }
        Ok(())
    })
}
