//! compio on epoll ("polling").

use std::future::Future;
use std::time::Duration;

use ::compio::runtime::{JoinHandle, Runtime, spawn, time};

use crate::Rival;

#[derive(Clone)]
pub(crate) struct Compio;

impl Rival for Compio {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let runtime = Runtime::new().expect("a runtime can be created");
        let main = runtime.spawn(main(Compio));
        runtime.block_on(Self::join(main))
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn(future)
    }

    async fn join<T: 'static>(handle: JoinHandle<T>) -> T {
        match handle.await {
            Ok(output) => output,
            Err(_panicked_or_canceled) => unreachable!("no task panics, and none is canceled"),
        }
    }

    fn detach<T: 'static>(handle: JoinHandle<T>) {
        handle.detach();
    }

    fn sleep(&self, duration: Duration) -> impl Future + 'static {
        time::sleep(duration)
    }
}
