//! glommio on io_uring, which is all it supports. It takes part in the executor benchmarks only.

use std::future::Future;
use std::time::Duration;

use ::glommio::{LocalExecutorBuilder, Placement, Task, executor, spawn_local, timer};

use crate::Rival;

#[derive(Clone)]
pub(crate) struct Glommio;

impl Rival for Glommio {
    type Handle<T: 'static> = Task<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .make()
            .expect("a runtime can be created");
        let main = main(Glommio);
        executor.run(async { spawn_local(main).await })
    }

    fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        spawn_local(future)
    }

    async fn join<T: 'static>(handle: Task<T>) -> T {
        handle.await
    }

    fn detach<T: 'static>(handle: Task<T>) {
        handle.detach();
    }

    fn sleep(&self, duration: Duration) -> impl Future + 'static {
        timer::sleep(duration)
    }

    async fn yield_now(&self) {
        executor().yield_now().await;
    }
}
