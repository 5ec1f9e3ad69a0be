//! A future with a deadline.

use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::error::Elapsed;
use super::sleep::{Kind, deadline_in};
use super::{Instant, Sleep};

/// Limits a future to the given time.
///
/// The future is polled before the timer, so a future that is ready at once never elapses. After the
/// deadline the future is no longer polled. It is dropped with the `Timeout`.
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Cancel safety
///
/// As the future's: what dropping the future loses, an elapsed timeout loses.
///
/// # Examples
///
/// ```
/// use std::future::pending;
/// use std::time::Duration;
/// use wakeful::time::timeout;
///
/// wakeful::block_on(async {
///     let never = timeout(Duration::from_millis(1), pending::<()>()).await;
///     assert!(never.is_err());
/// });
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    let location = Location::caller();
    let deadline = deadline_in(duration, "time::timeout");
    Timeout {
        future: future.into_future(),
        sleep: Sleep::new(deadline, Kind::Timeout, location),
    }
}

/// Limits a future to the time until the given instant; otherwise as [`timeout`].
///
/// # Errors
///
/// [`Elapsed`] when the deadline came first.
///
/// # Cancel safety
///
/// As the future's.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::time::{Instant, sleep, timeout_at};
///
/// let runtime = wakeful::runtime::Builder::new().start_paused(true).build().unwrap();
/// runtime.block_on(async {
///     let deadline = Instant::now() + Duration::from_secs(5);
///     assert!(timeout_at(deadline, sleep(Duration::from_secs(3))).await.is_ok());
///     assert!(timeout_at(deadline, sleep(Duration::from_secs(3))).await.is_err());
///     assert!(Instant::now() >= deadline);
/// });
/// ```
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: Sleep::new(deadline, Kind::TimeoutAt, Location::caller()),
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// Returns the future.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// Returns the future for changes.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }

    /// Returns the future without its deadline.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.poll(cx).map(|()| Err(Elapsed::new()))
    }
}
