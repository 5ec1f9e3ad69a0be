//! Which kernel a thread has.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Kernel;
use crate::hooks::{self, HookGuard};

thread_local! {
    static KERNEL: RefCell<Option<Arc<dyn Kernel>>> = const { RefCell::new(None) };
}

/// Installs a kernel on this thread until the guard is dropped.
///
/// Then the thread has the kernel that it had before, usually none. Runtimes on other threads are not
/// concerned, except that their system calls take a slower way.
///
/// Install it before a runtime is built, and drop the guard after it: a runtime has the clock of the
/// kernel under which it was built.
pub fn install(kernel: Arc<dyn Kernel>) -> Installed {
    let hook = hooks::set(hooks::KERNEL);
    let previous = KERNEL.with(|current| current.replace(Some(kernel)));
    Installed {
        previous,
        _hook: hook,
        not_send: PhantomData,
    }
}

/// Returns whether a system call has anything to ask: on some thread a kernel is installed.
///
/// Libraries that make system calls of their own ask [`current`] if so, as `wakeful-net` does.
#[inline]
#[must_use]
pub fn any() -> bool {
    hooks::any()
}

/// Returns the kernel that is installed on this thread.
#[cold]
#[inline(never)]
#[must_use]
pub fn current() -> Option<Arc<dyn Kernel>> {
    // The thread can be about to end, and drop the last sockets.
    KERNEL
        .try_with(|current| current.borrow().clone())
        .unwrap_or_default()
}

/// Keeps a kernel installed; made by [`install`].
#[must_use = "dropping the guard removes the kernel"]
pub struct Installed {
    previous: Option<Arc<dyn Kernel>>,
    _hook: HookGuard,
    /// It belongs to one thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for Installed {
    fn drop(&mut self) {
        let previous = self.previous.take();
        let removed = KERNEL.try_with(|current| current.replace(previous));
        // User code, which can use the thread's kernel.
        drop(removed);
    }
}

impl fmt::Debug for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(u64);

    impl Kernel for Named {
        fn now_ns(&self) -> Option<u64> {
            Some(self.0)
        }
    }

    fn name() -> Option<u64> {
        current().and_then(|kernel| kernel.now_ns())
    }

    #[test]
    fn a_kernel_is_installed_on_one_thread_until_its_guard_is_dropped() {
        assert_eq!(name(), None);
        let outer = install(Arc::new(Named(1)));
        assert!(any());
        let inner = install(Arc::new(Named(2)));
        assert_eq!(name(), Some(2));
        std::thread::spawn(|| assert_eq!(name(), None))
            .join()
            .unwrap();
        drop(inner);
        assert_eq!(name(), Some(1));
        drop(outer);
        assert_eq!(name(), None);
    }
}
