//! Wakeful.

use std::future::Future;
use std::time::Duration;

use wakeful::runtime::Runtime;
use wakeful::task::JoinHandle;

use crate::Rival;

#[derive(Clone)]
pub(crate) struct Wakeful;

impl Rival for Wakeful {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let runtime = Runtime::new().expect("a runtime can be created");
        runtime.block_on(Self::join(runtime.spawn(main(Wakeful))))
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
