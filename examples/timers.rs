//! Timers: `sleep`, `interval` and `timeout`, and several of them at once.
//!
//! ```text
//! cargo run -p wakeful-examples --example timers
//! cargo run -p wakeful-examples --example timers -- paused     # the same, without real waiting
//! ```
//!
//! A paused clock jumps to the next deadline when no task can run and none waits for a descriptor.
//! Tests of code that waits for hours use it.

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
        let log = move |what: &str| println!("{:.2} s: {what}", start.elapsed().as_secs_f64());

        // Three tasks that sleep at the same time take as long as the longest sleep.
        let sleepers: Vec<_> = [3, 1, 2]
            .into_iter()
            .map(|n| {
                wakeful::spawn(async move {
                    sleep(n * SECOND / 10).await;
                    log(&format!("sleeper {n} is awake"));
                })
            })
            .collect();
        for sleeper in sleepers {
            sleeper.await?;
        }

        // A future that never completes, with a time limit.
        if timeout(SECOND / 10, pending::<()>()).await.is_err() {
            log("timeout elapsed");
        }

        // Dropping a future cancels it and removes its timer: no wake follows. This timeout polls the
        // sleep once and drops it.
        let _elapsed = timeout(Duration::ZERO, sleep(3600 * SECOND)).await;

        // The second round takes longer than the period, so one tick is skipped.
        let mut ticks = interval(SECOND / 10);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for round in 1..=4 {
            ticks.tick().await;
            log(&format!("tick {round}"));
            if round == 2 {
                sleep(SECOND * 15 / 100).await;
            }
        }
        Ok(())
    })
}
