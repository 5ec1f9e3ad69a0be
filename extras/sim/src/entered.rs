//! A world around code that builds its own runtimes.

use std::fmt;
use std::sync::{Arc, Mutex};

use wakeful::kernel::{self, Installed};

use crate::net::Net;
use crate::run::Options;
use crate::world::World;
use crate::world::choices::Choices;
use crate::world::events::Events;

/// Puts this thread into a world until the guard is dropped, with the choices of a seed. This is for tests that
/// build their runtimes themselves, and are to run unchanged:
///
/// ```
/// use std::time::Duration;
/// use wakeful::time::sleep;
/// use wakeful_sim::{Options, enter};
///
/// fn a_test() {
///     wakeful::block_on(async { sleep(Duration::from_secs(3_600)).await });
/// }
///
/// wakeful::seeds::run("a_test", 10, |seed| {
///     let _world = enter("a_test", seed, Options::new());
///     a_test();
/// });
/// ```
///
/// Runtimes that this thread builds in the meantime are of that world. Each has to be dropped before the guard.
/// Other threads and their runtimes are not part of it, and can still wake its tasks. [`check`](crate::check) is for
/// a test whose runtime it can build: it compares runs, and shrinks a tape.
pub fn enter(test: &str, seed: u64, options: Options) -> Entered {
    let choices = Choices::from_seed(test, seed);
    let net = Net::new(choices, Events::new(false), options.faults);
    let mut world = World::new(Arc::new(Mutex::new(net)));
    if options.allow_outside {
        world.allow_outside();
    } else {
        world.allow_threads();
    }
    let world = Arc::new(world);
    let installed = kernel::install(Arc::clone(&world) as Arc<dyn kernel::Kernel>);
    Entered {
        world,
        _installed: installed,
    }
}

/// Keeps this thread in a world; made by [`enter`].
#[must_use = "dropping the guard ends the world"]
pub struct Entered {
    world: Arc<World>,
    _installed: Installed,
}

impl Entered {
    /// Returns the number of choices so far. Without any, and without an event, nothing has used it.
    #[must_use]
    pub fn choices(&self) -> u64 {
        self.world.net().choices.count()
    }

    /// Returns whether another thread has woken, aborted or spawned a task of this world, or dropped a socket or
    /// timer of it, or a [real descriptor](Options::allow_outside) was used. When that happens follows from no seed, so
    /// two runs of a seed can differ in choices and hash.
    #[must_use]
    pub fn is_reached_from_outside(&self) -> bool {
        self.world.is_reached_from_outside()
    }

    /// Returns the hash of all events so far. Equal seeds have equal hashes, unless it was [reached
    /// from outside](Self::is_reached_from_outside). It is 0 before the first event.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.world.net().events.hash()
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}
