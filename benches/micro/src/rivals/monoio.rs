//! monoio on epoll, with timers and the feature `sync` (wakes from other threads).

use std::future::Future;
use std::time::Duration;

use ::monoio::task::JoinHandle;
use ::monoio::{LegacyDriver, RuntimeBuilder};

use crate::Rival;

#[derive(Clone)]
pub(crate) struct Monoio;

impl Rival for Monoio {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let mut runtime = RuntimeBuilder::<LegacyDriver>::new()
            .enable_timer()
            .build()
            .expect("a runtime can be created");
        let main = main(Monoio);
        runtime.block_on(async { ::monoio::spawn(main).await })
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        ::monoio::spawn(future)
    }

    async fn join<T: 'static>(handle: JoinHandle<T>) -> T {
        handle.await
    }

    fn detach<T: 'static>(handle: JoinHandle<T>) {
        drop(handle);
    }

    fn sleep(&self, duration: Duration) -> impl Future + 'static {
        ::monoio::time::sleep(duration)
    }
}
