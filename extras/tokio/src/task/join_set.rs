//! [`JoinSet`]: Wakeful's, with the functions that spawn on a handle or a [`LocalSet`].

use std::cell::OnceCell;
use std::fmt;
use std::future::{Future, pending};
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;
use std::rc::Rc;

use super::local_set::{self, LocalSet};
use crate::entered;
use crate::join_handle::{AbortHandle, JoinHandle};
use crate::runtime::Handle;

/// Wakeful's [`JoinSet`](wakeful::task::JoinSet); its other methods are called through `Deref`.
///
/// Dropping a set aborts its tasks.
#[must_use = "dropping a set aborts its tasks"]
pub struct JoinSet<T>(wakeful::task::JoinSet<T>);

impl<T> JoinSet<T> {
    /// Creates an empty set.
    pub fn new() -> Self {
        JoinSet(wakeful::task::JoinSet::new())
    }
}

impl<T: 'static> JoinSet<T> {
    /// Spawns a task.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        AbortHandle::local(self.0.spawn(future))
    }

    /// Spawns a task on the runtime of a handle, and one here that waits for it.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.join(handle.spawn(future))
    }

    /// Spawns a task, on the current [`LocalSet`] if there is one.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        if local_set::is_current() {
            return self.join(local_set::spawn_local(future));
        }
        AbortHandle::local(self.0.spawn_local(future))
    }

    /// Spawns a task on a [`LocalSet`], and one here that waits for it.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, future: F, set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.join(set.spawn_local(future))
    }

    /// Spawns a task that waits for another one, and has its result. Aborting either aborts both.
    #[track_caller]
    fn join(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let itself = Rc::new(OnceCell::<wakeful::task::AbortHandle>::new());
        let known = Rc::clone(&itself);
        let mut task = AbortOnDrop(handle);
        let abort = self.0.spawn(async move {
            match (&mut task.0).await {
                Ok(output) => output,
                Err(error) => match error.try_into_panic() {
                    Ok(payload) => resume_unwind(payload),
                    Err(_cancelled) => {
                        known.get().inspect(|itself| itself.abort());
                        pending().await
                    }
                },
            }
        });
        itself.get_or_init(|| abort.clone());
        AbortHandle::local(abort)
    }

    /// Calls a closure on a thread of the blocking pool.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, closure: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        let origin = entered::origin();
        let closure = move || entered::call_for(origin, closure);
        AbortHandle::local(self.0.spawn_blocking(closure))
    }
}

impl<T: 'static> JoinSet<T> {
    /// Calls a closure on a thread of the blocking pool of a handle's runtime.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, closure: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.join(handle.spawn_blocking(closure))
    }

    /// Waits until all tasks have finished, and returns their outputs.
    ///
    /// # Panics
    ///
    /// When a task panicked or was aborted.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the tasks.
    pub async fn join_all(self) -> Vec<T> {
        self.0.join_all().await
    }
}

/// Aborts a task when it is dropped.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Deref for JoinSet<T> {
    type Target = wakeful::task::JoinSet<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<F> FromIterator<F> for JoinSet<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = JoinSet::new();
        set.extend(futures);
        set
    }
}

impl<F> Extend<F> for JoinSet<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    #[track_caller]
    fn extend<I: IntoIterator<Item = F>>(&mut self, futures: I) {
        self.0.extend(futures);
    }
}
