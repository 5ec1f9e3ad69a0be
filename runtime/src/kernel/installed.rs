//! Which kernel a thread has.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Kernel;
use crate::hooks::{self, HookGuard};

thread_local! {
    /// The kernels of this thread with the numbers of their guards. The last one is asked.
    static KERNELS: RefCell<Vec<(u64, Arc<dyn Kernel>)>> = const { RefCell::new(Vec::new()) };
    /// Number of kernels that were installed so far.
    static INSTALLED: Cell<u64> = const { Cell::new(0) };
}

/// Installs a kernel on this thread until the guard is dropped.
///
/// Of several, the one that was installed last is asked; guards can be dropped in any order. Runtimes on
/// other threads are not affected, except that their system calls take a slower path.
///
/// A kernel that has a [clock](Kernel::now_ns), [chooses](Kernel::chooses), [watches](Kernel::watches) or
/// [records](Kernel::recording) has to be installed before the runtime is built, and its guard dropped after it, because
/// the runtime asks about these once.
/// Any other one can be installed while a runtime runs.
pub fn install(kernel: Arc<dyn Kernel>) -> Installed {
    let hook = hooks::set(hooks::KERNEL);
    let number = INSTALLED.get();
    INSTALLED.set(number + 1);
    KERNELS.with(|kernels| kernels.borrow_mut().push((number, kernel)));
    Installed {
        number,
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
    KERNELS
        .try_with(|kernels| Some(Arc::clone(&kernels.borrow().last()?.1)))
        .ok()
        .flatten()
}

/// Keeps a kernel installed; made by [`install`].
#[must_use = "dropping the guard removes the kernel"]
pub struct Installed {
    number: u64,
    _hook: HookGuard,
    /// It belongs to one thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for Installed {
    fn drop(&mut self) {
        let removed = KERNELS.try_with(|kernels| {
            let mut kernels = kernels.borrow_mut();
            let position = kernels
                .iter()
                .position(|(number, _)| *number == self.number)?;
            Some(kernels.remove(position))
        });
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

    #[test]
    fn a_guard_that_is_dropped_before_a_later_one_removes_its_own_kernel() {
        let first = install(Arc::new(Named(1)));
        let second = install(Arc::new(Named(2)));
        drop(first);
        assert_eq!(name(), Some(2));
        drop(second);
        assert_eq!(name(), None);
    }
}
