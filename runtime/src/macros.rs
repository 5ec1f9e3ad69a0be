//! `main!` and `test!`: an `async fn` where the language requires a plain one.
//!
//! They save the line with `block_on` and nothing else. They are declarative, so their expansion can
//! be read here and no procedural macro has to be built.

/// Runs an `async fn main` on a new runtime.
///
/// ```text
/// wakeful::main! {                            fn main() -> io::Result<()> {
///     async fn main() -> io::Result<()> {         let runtime = Builder::new().build()
///         ...                            =>           .expect("building the runtime");
///     }                                           runtime.block_on(async { ... })
/// }                                           }
/// ```
///
/// A [`Builder`](crate::runtime::Builder) in front configures the runtime:
/// `in Builder::new().io_budget(32);`.
///
/// # Panics
///
/// `main` panics when the runtime cannot be built. To return the error instead, write
/// `Runtime::new()?.block_on(async { ... })`.
///
/// # Examples
///
/// ```
/// wakeful::main! {
///     /// Prints a greeting.
///     async fn main() -> std::io::Result<()> {
///         let task = wakeful::spawn(async { "hello" });
///         println!("{}", task.await?);
///         Ok(())
///     }
/// }
/// ```
#[macro_export]
macro_rules! main {
    (in $builder:expr; $(#[$attribute:meta])* async fn main() $(-> $output:ty)? $body:block) => {
        $(#[$attribute])*
        fn main() $(-> $output)? {
            let runtime = $builder.build().expect("building the runtime");
            runtime.block_on(async $body)
        }
    };
    ($(#[$attribute:meta])* async fn main() $($rest:tt)*) => {
        $crate::main! {
            in $crate::runtime::Builder::new();
            $(#[$attribute])*
            async fn main() $($rest)*
        }
    };
}

/// Runs each `async fn` as a test on its own runtime.
///
/// ```text
/// wakeful::test! {                            #[test]
///     async fn it_works() {                   fn it_works() {
///         ...                            =>       let runtime = Builder::new().build()
///     }                                               .expect("building the runtime");
/// }                                               runtime.block_on(async { ... })
///                                             }
/// ```
///
/// A [`Builder`](crate::runtime::Builder) in front configures the runtimes of all tests in the block.
/// Attributes such as `#[should_panic]` or `#[ignore]` are written in front of the function, as usual.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::runtime::Builder;
/// use wakeful::time::{Instant, sleep};
///
/// wakeful::test! {
///     async fn a_task_returns_its_output() {
///         assert_eq!(wakeful::spawn(async { 42 }).await.unwrap(), 42);
///     }
///
///     async fn an_error_fails_the_test() -> std::io::Result<()> {
///         wakeful::spawn(async {}).await?;
///         Ok(())
///     }
/// }
///
/// wakeful::test! {
///     in Builder::new().start_paused(true);
///
///     async fn an_hour_takes_no_time() {
///         let start = Instant::now();
///         sleep(Duration::from_secs(3_600)).await;
///         assert_eq!(start.elapsed(), Duration::from_secs(3_600));
///     }
/// }
/// ```
#[macro_export]
macro_rules! test {
    (in $builder:expr;) => {};
    // One function at a time, because a nested repetition cannot use variables of the outer one.
    (
        in $builder:expr;
        $(#[$attribute:meta])* async fn $name:ident() $(-> $output:ty)? $body:block
        $($more:tt)*
    ) => {
        #[test]
        $(#[$attribute])*
        fn $name() $(-> $output)? {
            let runtime = $builder.build().expect("building the runtime");
            runtime.block_on(async $body)
        }
        $crate::test! { in $builder; $($more)* }
    };
    ($(#[$attribute:meta])* async fn $($tests:tt)*) => {
        $crate::test! {
            in $crate::runtime::Builder::new();
            $(#[$attribute])*
            async fn $($tests)*
        }
    };
    () => {};
}
