//! Whether a thread sleeps. No function compares times: the kernel's view of the thread decides, so a
//! busy machine changes nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// CPU time after which a thread counts as one that never sleeps.
const SPINS: Duration = Duration::from_millis(100);

/// A thread under observation.
#[derive(Clone, Default)]
pub struct Watched {
    id: Arc<AtomicU32>,
    done: Arc<AtomicBool>,
    panicked: Arc<AtomicBool>,
}

/// Notes the end of a thread, also by a panic.
struct Ended(Watched);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.panicked.store(thread::panicking(), Ordering::SeqCst);
        self.0.done.store(true, Ordering::SeqCst);
    }
}

impl Watched {
    /// Starts a thread.
    pub fn spawn(f: impl FnOnce() + Send + 'static) -> Watched {
        let watched = Watched::default();
        let inside = watched.clone();
        thread::spawn(move || {
            inside.id.store(this_thread(), Ordering::SeqCst);
            let _ended = Ended(inside);
            f();
        });
        let id = Arc::clone(&watched.id);
        until(move || id.load(Ordering::SeqCst) != 0);
        watched
    }

    fn id(&self) -> u32 {
        self.id.load(Ordering::SeqCst)
    }
}

/// The number of this thread, from the link that the kernel provides.
fn this_thread() -> u32 {
    let link = fs::read_link("/proc/thread-self").unwrap_or_default();
    link.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

/// The state letter of a thread: `S` is asleep.
fn state(id: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?')
}

/// The CPU time of a thread.
fn cpu(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0))
}

fn pause() {
    thread::sleep(Duration::from_millis(1));
}

/// Waits for a condition that another thread makes true.
pub fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        pause();
    }
}

/// Waits until a thread is asleep in five looks in a row. Returns false if it used CPU time instead.
#[must_use]
pub fn has_slept(watched: &Watched) -> bool {
    let start = cpu(watched.id());
    let mut looks = 0;
    while looks < 5 && !watched.done.load(Ordering::SeqCst) {
        if cpu(watched.id()) > start + SPINS {
            return false;
        }
        looks = if state(watched.id()) == 'S' { looks + 1 } else { 0 };
        pause();
    }
    true
}

/// Waits until a thread has ended. Returns true if it sleeps instead, when no other thread can wake it.
///
/// # Panics
///
/// If the thread has panicked.
#[must_use]
pub fn is_asleep_forever(watched: &Watched) -> bool {
    let asleep = rests(watched);
    assert!(!watched.panicked.load(Ordering::SeqCst), "the thread panicked");
    asleep
}

/// Waits until a thread has ended, also by a panic. Returns true if it sleeps instead, when no other thread
/// can wake it.
pub fn rests(watched: &Watched) -> bool {
    let mut looks = 0;
    while !watched.done.load(Ordering::SeqCst) {
        looks = if state(watched.id()) == 'S' { looks + 1 } else { 0 };
        if looks == 30 {
            return true;
        }
        pause();
    }
    false
}
