//! tokio in three variants: `tokio::spawn` on a current-thread runtime, and `spawn_local` on a
//! `LocalSet` and on a `LocalRuntime`.

use std::future::Future;
use std::time::Duration;

use ::tokio::runtime::Builder;
use ::tokio::task::{self, JoinHandle, LocalSet};

use crate::Rival;
use crate::sys::OnThisThread;

const MADE: &str = "a runtime can be created";

#[derive(Clone)]
pub(crate) struct CurrentThread;

impl Rival for CurrentThread {
    type Handle<T: 'static> = JoinHandle<OnThisThread<T>>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect(MADE);
        let main = runtime.spawn(OnThisThread::new(main(CurrentThread)));
        runtime.block_on(Self::join(main))
    }

    fn spawn<F>(&self, future: F) -> Self::Handle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        ::tokio::spawn(OnThisThread::new(future))
    }

    async fn join<T: 'static>(handle: Self::Handle<T>) -> T {
        handle.await.expect("no task panics").into_inner()
    }

    fn detach<T: 'static>(handle: Self::Handle<T>) {
        drop(handle);
    }

    fn sleep(&self, duration: Duration) -> impl Future + 'static {
        ::tokio::time::sleep(duration)
    }

    fn yield_now(&self) -> impl Future<Output = ()> {
        task::yield_now()
    }
}

/// Tasks that need not be `Send`: in a `LocalSet` if `SET`, else in a `LocalRuntime`.
#[derive(Clone)]
pub(crate) struct Local<const SET: bool>;

impl<const SET: bool> Rival for Local<SET> {
    type Handle<T: 'static> = JoinHandle<T>;

    fn run<T, F>(main: impl FnOnce(Self) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        let mut builder = Builder::new_current_thread();
        builder.enable_all();
        if SET {
            let runtime = builder.build().expect(MADE);
            let local = LocalSet::new();
            let main = local.spawn_local(main(Local));
            local.block_on(&runtime, Self::join(main))
        } else {
            let runtime = builder.build_local(Default::default()).expect(MADE);
            let main = runtime.spawn_local(main(Local));
            runtime.block_on(Self::join(main))
        }
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        task::spawn_local(future)
    }

    async fn join<T: 'static>(handle: JoinHandle<T>) -> T {
        handle.await.expect("no task panics")
    }

    fn detach<T: 'static>(handle: JoinHandle<T>) {
        drop(handle);
    }

    fn sleep(&self, duration: Duration) -> impl Future + 'static {
        ::tokio::time::sleep(duration)
    }

    fn yield_now(&self) -> impl Future<Output = ()> {
        task::yield_now()
    }
}
