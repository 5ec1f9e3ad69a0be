//! `#[wakeful::main]` and `#[wakeful::test]`: this file consists of functions with these attributes.
//! `macros_errors.rs` has the mistakes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
// What the attributes write is not reported, whatever lints a user turns on.
#![deny(clippy::expect_used, clippy::pedantic)]

use std::process::ExitCode;

use wakeful::runtime::UnhandledPanic;
use wakeful::spawn;
use wakeful::time::{Instant, sleep};
use wakeful_tests::trace::secs;

#[wakeful::test]
async fn a_test_runs_inside_a_runtime() {
    assert_eq!(spawn(async { 42 }).await.unwrap(), 42);
}

/// With documentation, and with an error that would fail the test.
#[wakeful::test]
async fn a_test_can_return_a_result() -> Result<(), Box<dyn std::error::Error>> {
    let number: i32 = "7".parse()?;
    assert_eq!(spawn(async move { number }).await?, 7);
    Ok(())
}

#[wakeful::test]
#[should_panic(expected = "on purpose")]
async fn a_test_can_have_attributes() {
    sleep(secs(0)).await;
    panic!("on purpose");
}

#[ignore = "`#[ignore]` works in front, too"]
#[wakeful::test]
async fn a_test_can_be_ignored() {
    panic!("not ignored");
}

#[wakeful::test(start_paused = true)]
async fn a_test_can_configure_its_runtime() {
    let start = Instant::now();
    sleep(secs(3_600)).await;
    assert_eq!(start.elapsed(), secs(3_600));
}

const BUDGET: u32 = 64;

#[wakeful::test(
    auto_advance_despite_io = true,
    busy_poll = std::time::Duration::ZERO,
    enable_metrics_poll_time_histogram = 1 + 1 == 2,
    event_interval = 61,
    io_budget = BUDGET.max(1),
    max_blocking_threads = 4,
    max_io_events_per_tick = 64,
    rng_seed = 7,
    start_paused = true,
    unhandled_panic = UnhandledPanic::Ignore,
    crate = "wakeful",
)]
async fn every_option_takes_an_expression() {
    assert!(spawn(async { panic!("ignored") }).await.is_err());
    sleep(secs(3_600)).await;
}

#[wakeful::test(unhandled_panic = UnhandledPanic::ShutdownRuntime)]
#[should_panic(expected = "on purpose")]
async fn an_option_reaches_the_runtime() {
    spawn(async { panic!("on purpose") });
    sleep(secs(3_600)).await;
}

mod visible {
    #[wakeful::main]
    pub(crate) async fn main() {
        super::sleep(super::secs(0)).await;
    }

    #[wakeful::test]
    pub async fn a_test_can_be_public() {}
}

#[test]
fn a_main_can_be_visible_elsewhere_and_return_nothing() {
    visible::main();
}

mod result {
    #[wakeful::main]
    #[inline(never)]
    async fn main() -> std::io::Result<()> {
        wakeful::spawn(async {}).await?;
        Err(std::io::ErrorKind::AddrInUse.into())
    }

    #[test]
    fn a_main_can_return_a_result() {
        assert_eq!(main().unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    }
}

#[wakeful::main(io_budget = 1)]
async fn another_name() -> ExitCode {
    wakeful::task::yield_now().await;
    ExitCode::from(3)
}

#[test]
fn a_main_can_return_an_exit_code_have_another_name_and_configure_its_runtime() {
    let code = another_name();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(3)));
}

/// The parts of a function that `macro_rules!` writes are in groups without delimiters.
macro_rules! tests {
    ($($(#[$attribute:meta])* $vis:vis async fn $name:ident() -> $output:ty $body:block)*) => {
        $(
            $(#[$attribute])*
            #[wakeful::test]
            $vis async fn $name() -> $output $body
        )*
    };
}

tests! {
    /// Without a visibility.
    async fn a_declarative_macro_can_write_a_test() -> Result<(), std::fmt::Error> {
        spawn(async {}).await.unwrap();
        Ok(())
    }

    pub(crate) async fn a_declarative_macro_can_write_a_public_test() -> () {}
}
