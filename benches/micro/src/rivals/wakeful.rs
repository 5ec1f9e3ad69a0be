//! Wakeful, also while it records.

use std::future::Future;
use std::time::Duration;

use wakeful::runtime::Builder;
use wakeful::task::JoinHandle;
use wakeful::trace::Recording;

use crate::Rival;

/// Wakeful with its defaults, or with a recording in memory.
#[derive(Clone)]
pub(crate) struct Wakeful<const RECORDED: bool>;

impl<const RECORDED: bool> Rival for Wakeful<RECORDED> {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let builder = match RECORDED {
            true => Builder::new().record(Recording::new()),
            false => Builder::new(),
        };
        let runtime = builder.build().expect("a runtime can be created");
        runtime.block_on(Self::join(runtime.spawn(main(Self))))
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        wakeful::spawn(future)
    }

    async fn join<T: 'static>(handle: JoinHandle<T>) -> T {
        handle.await.expect("no task panics")
    }

    fn detach<T: 'static>(handle: JoinHandle<T>) {
        drop(handle);
    }

    fn sleep(&self, duration: Duration) -> impl Future + 'static {
        wakeful::time::sleep(duration)
    }

    fn yield_now(&self) -> impl Future<Output = ()> {
        wakeful::task::yield_now()
    }
}
