//! The attributes `#[wakeful::main]` and `#[wakeful::test]`: an `async fn` where the language requires
//! a plain one.
//!
//! Use them through the package `wakeful`, with its feature `macros`.
//!
//! ```text
//!   #[wakeful::main(io_budget = 32)]          fn main() -> io::Result<()> {
//!   async fn main() -> io::Result<()> {           async fn main() -> io::Result<()> { ... }
//!       ...                             =>        wakeful::runtime::Builder::new()
//!   }                                                 .io_budget(32)
//!                                                     .build()
//!                                                     .expect("building the runtime")
//!                                                     .block_on(main())
//!                                             }
//! ```
//!
//! The user's function is kept as it is, inside one of the same name. So the compiler's messages about
//! its body and its return type are those of any `async fn`, at the user's lines.
//!
//! The package has no dependencies: the functions that the attributes accept have no parameters, and
//! such a function needs no parser of the whole language. `function` and `options` read tokens, and
//! `error` turns a mistake into a compiler error at its place.

#![forbid(unsafe_code)]

mod error;
mod function;
mod options;

use proc_macro::TokenStream;

use function::{Function, Kind};
use options::Options;

/// Runs an `async fn main` on a new runtime.
///
/// The function can return anything that `main` can. It can have any visibility, attributes and
/// another name, but no parameters.
///
/// # Options
///
/// Each option is the method of `wakeful::runtime::Builder` with the same name, and its value can be any
/// expression: `auto_advance_despite_io`, `busy_poll`, `count_wakers`, `deadlock_after`,
/// `enable_metrics_poll_time_histogram`, `event_interval`, `io_budget`, `max_blocking_threads`,
/// `max_io_events_per_tick`, `on_deadlock`, `rng_seed`, `start_paused`, `unhandled_panic`. In addition, `crate = "..."` is the path of `wakeful` where it has
/// another name.
///
/// # Panics
///
/// The function panics when the runtime cannot be built. To return the error instead, write
/// `Runtime::new()?.block_on(async { ... })`.
///
/// # Examples
///
/// ```
/// /// Prints a greeting.
/// #[wakeful::main]
/// async fn main() -> std::io::Result<()> {
///     let task = wakeful::spawn(async { "hello" });
///     println!("{}", task.await?);
///     Ok(())
/// }
/// ```
///
/// With options:
///
/// ```
/// #[wakeful::main(io_budget = 32, max_blocking_threads = 4)]
/// async fn main() {
///     wakeful::task::yield_now().await;
/// }
/// ```
///
/// A parameter has no value to pass:
///
/// ```compile_fail
/// #[wakeful::main]
/// async fn main(arguments: Vec<String>) {}
/// ```
#[proc_macro_attribute]
pub fn main(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(Kind::Main, options, item)
}

/// Runs an `async fn` as a test, on a runtime of its own.
///
/// Attributes such as `#[should_panic]` and `#[ignore]` work as with `#[test]`, which must not be
/// there in addition. The function can return what a `#[test]` can, and has no parameters.
///
/// # Options
///
/// Those of [`main`](macro@main). With `start_paused = true` the test starts with a paused clock:
/// time passes only while every task waits for a timer.
///
/// In addition, `seeds = 500` runs the test 500 times, each time on a new runtime with another `rng_seed`.
/// The seeds follow from the name of the test. The first one that fails is printed, with the command that
/// repeats it: see `wakeful::seeds`.
///
/// `count_wakers` is on, and `deadlock_after` is 10 seconds: a test in which no task can be woken fails after
/// that time with a list of the tasks, and of the lines at which they wait. A test that waits longer for a
/// thread of its own sets `deadlock_after` to another time.
///
/// # Panics
///
/// The test panics when the runtime cannot be built, and in a deadlock.
///
/// # Examples
///
/// ```
/// # // The functions are compiled and not called: a documentation test is not a test harness.
/// use std::time::Duration;
/// use wakeful::time::{Instant, sleep};
///
/// #[wakeful::test]
/// async fn a_task_returns_its_output() {
///     assert_eq!(wakeful::spawn(async { 42 }).await.unwrap(), 42);
/// }
///
/// #[wakeful::test]
/// async fn an_error_fails_the_test() -> std::io::Result<()> {
///     wakeful::spawn(async {}).await?;
///     Ok(())
/// }
///
/// #[wakeful::test(start_paused = true)]
/// async fn an_hour_takes_no_time() {
///     let start = Instant::now();
///     sleep(Duration::from_secs(3_600)).await;
///     assert_eq!(start.elapsed(), Duration::from_secs(3_600));
/// }
/// ```
///
/// Many orders of the same tasks:
///
/// ```
/// #[wakeful::test(seeds = 200)]
/// async fn the_order_of_two_tasks_does_not_matter() {
///     let one = wakeful::spawn(async { 1 });
///     let two = wakeful::spawn(async { 2 });
///     assert_eq!(one.await.unwrap() + two.await.unwrap(), 3);
/// }
/// ```
///
/// An option that does not exist:
///
/// ```compile_fail
/// #[wakeful::test(paused = true)]
/// async fn an_hour_takes_no_time() {}
/// ```
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand(Kind::Test, options, item)
}

fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let empty_main = function::empty_main(&item);
    let expanded = Function::parse(kind, item).and_then(|function| {
        Ok(function.expand(kind, &Options::parse(options, kind == Kind::Test)?))
    });
    expanded.unwrap_or_else(|error| error.into_tokens().into_iter().chain(empty_main).collect())
}
