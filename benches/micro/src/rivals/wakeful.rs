//! Wakeful, also while it records or is watched.

use std::future::Future;
use std::time::Duration;

use wakeful::runtime::Builder;
use wakeful::task::JoinHandle;
use wakeful::trace::Recording;

use crate::Rival;

/// Wakeful with one of these settings.
#[derive(Clone)]
pub(crate) struct Wakeful<const SETTING: u8>;

/// The defaults.
pub(crate) const PLAIN: u8 = 0;
/// A recording in memory.
pub(crate) const RECORDED: u8 = 1;
/// A watch thread.
pub(crate) const WATCHED: u8 = 2;

impl<const SETTING: u8> Rival for Wakeful<SETTING> {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let builder = match SETTING {
            RECORDED => Builder::new().record(Recording::new()),
            WATCHED => Builder::new().watch(Duration::from_secs(1)),
            _ => Builder::new(),
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
