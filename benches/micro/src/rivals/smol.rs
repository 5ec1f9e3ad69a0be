//! smol: a `LocalExecutor`, shared with the tasks by an `Rc`, and the timers of async-io.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use ::smol::{LocalExecutor, Task, Timer, block_on, future};

use crate::Rival;

#[derive(Clone)]
pub(crate) struct Smol(Rc<LocalExecutor<'static>>);

impl Rival for Smol {
    type Handle<T: 'static> = Task<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let executor = Rc::new(LocalExecutor::new());
        let main = executor.spawn(main(Smol(Rc::clone(&executor))));
        block_on(executor.run(main))
    }

    fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.0.spawn(future)
    }

    async fn join<T: 'static>(handle: Task<T>) -> T {
        handle.await
    }

    fn detach<T: 'static>(handle: Task<T>) {
        handle.detach();
    }

    fn sleep(&self, duration: Duration) -> impl Future + 'static {
        Timer::after(duration)
    }

    fn yield_now(&self) -> impl Future<Output = ()> {
        future::yield_now()
    }
}
