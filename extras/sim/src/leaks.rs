//! What a test leaves behind: tasks that have not ended, and sockets that are open.

use std::fmt;
use std::time::Duration;

use wakeful::runtime::Runtime;
use wakeful::time::sleep;

use crate::panics::end_run;
use crate::world::{World, ends};

/// How long a test that leaves nothing can take to end its tasks and sockets, in the time of the simulation: longer
/// than a connection takes to close.
const GRACE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);

/// What happens about tasks and sockets that are left when the future of a test has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leaks {
    /// Their number is written to the output of the test, once. The default, because a server that is dropped with
    /// its runtime is no error of most tests.
    #[default]
    Report,
    /// The run fails and names the tasks, unless they end within a minute of the simulation's time.
    Deny,
}

/// How much is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    tasks: u64,
    sockets: usize,
}

impl Left {
    pub(crate) fn of(runtime: &Runtime, world: &World) -> Self {
        Left {
            tasks: runtime.metrics().num_alive_tasks,
            sockets: world.net().fds.len(),
        }
    }

    pub(crate) fn is_none(self) -> bool {
        self == Left::default()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |number: bool| if number { "s" } else { "" };
        let Left { tasks, sockets } = *self;
        let (task, socket) = (plural(tasks != 1), plural(sockets != 1));
        write!(f, "{tasks} task{task} and {sockets} socket{socket}")
    }
}

/// Ends a run that leaves something.
///
/// # Panics
///
/// Then.
pub(crate) fn deny(runtime: &Runtime, world: &World) {
    let ends_ns = world.net().now_ns.saturating_add(GRACE.as_nanos() as u64);
    let is_left = || !Left::of(runtime, world).is_none();
    runtime.block_on(async {
        while is_left() && world.net().now_ns < ends_ns {
            sleep(STEP).await;
        }
    });
    let left = Left::of(runtime, world);
    if !left.is_none() {
        let after = Duration::from_nanos(world.net().now_ns);
        end_run(ends::leak(after, &left, &runtime.dump()));
    }
}
