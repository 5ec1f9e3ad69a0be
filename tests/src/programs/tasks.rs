//! Random programs of tasks, checked against a model: which tasks are scheduled, which have ended,
//! and which waker the end of each task wakes.
//!
//! Tasks act on each other at random: in their polls, in the drops of their futures, and in the
//! drops of their outputs. The model checks that each poll was due, and at the end that none is
//! outstanding. So it detects a wake that is lost, doubled, or delivered to the next occupant of a
//! row.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wakeful::runtime::Builder;
use wakeful::task::{JoinHandle, TaskState, yield_now};
use wakeful::{spawn, task};

use super::Choices;
use crate::trace::{Wakes, my_waker, poll_with, settle};

/// Maximum number of tasks of a program.
const TASKS: usize = 60;

/// State of a task in the model.
#[derive(Default)]
struct Model {
    id: Option<task::Id>,
    handle: Option<Handle>,
    abort: Option<task::AbortHandle>,
    waker: Option<Waker>,
    /// A poll is due.
    scheduled: bool,
    aborted: bool,
    /// It has returned or panicked, or its future was dropped.
    ended: bool,
    polls: u64,
    outputs: u32,
    joined: bool,
    joiner: Option<Joiner>,
}

enum Handle {
    /// With an output that has a destructor.
    Counted(JoinHandle<Output>),
    Plain(JoinHandle<()>),
}

#[derive(Clone, Copy)]
enum Joiner {
    Task(usize),
    /// External waker with this index, whose expected count goes up with the wake.
    External(usize),
}

struct World {
    choices: RefCell<Choices>,
    tasks: RefCell<Vec<Model>>,
    external: [(Wakes, Cell<usize>); 3],
    /// Task that is being polled or canceled.
    running: Cell<Option<usize>>,
    /// Whether tasks do nothing further but end.
    quiet: Cell<bool>,
    depth: Cell<u32>,
    wrong: RefCell<Vec<String>>,
}

/// Context of an action: the waker, if a poll is in progress, and the task's number, if a task
/// acts.
struct Actor<'a> {
    waker: Option<&'a Waker>,
    task: Option<usize>,
}

struct Scripted {
    me: usize,
    world: Rc<World>,
    plain: bool,
}

struct Output {
    me: usize,
    world: Rc<World>,
}

impl World {
    fn random(&self, below: usize) -> usize {
        self.choices.borrow_mut().below(below)
    }

    fn check(&self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.borrow_mut().push(what());
        }
    }

    fn with<R>(&self, task: usize, f: impl FnOnce(&mut Model) -> R) -> R {
        f(&mut self.tasks.borrow_mut()[task])
    }

    fn act(self: &Rc<Self>, actor: &Actor<'_>, at_most: usize) {
        if self.quiet.get() || self.depth.get() > 3 {
            return;
        }
        self.depth.set(self.depth.get() + 1);
        for _ in 0..self.random(at_most + 1) {
            self.act_once(actor);
        }
        self.depth.set(self.depth.get() - 1);
    }

    fn act_once(self: &Rc<Self>, actor: &Actor<'_>) {
        let len = self.tasks.borrow().len();
        let kind = self.random(16);
        if len == 0 || kind < 3 {
            return self.spawn(len);
        }
        // Mostly one of the latest tasks.
        let other = match self.random(3) {
            0 => self.random(len),
            _ => len - 1 - self.random(len.min(6)),
        };
        match kind {
            3..=7 => {
                let waker = self.with(other, |model| model.waker.clone());
                if let Some(waker) = waker {
                    self.with(other, |model| model.scheduled |= !model.ended);
                    waker.wake();
                }
            }
            8 => {
                let abort = self.with(other, |model| {
                    model.aborted |= !model.ended;
                    model.abort.clone()
                });
                abort.expect("set by the spawn").abort();
            }
            9 if self.running.get() != Some(other) => {
                let handle = self.with(other, |model| {
                    model.joiner = None;
                    model.handle.take()
                });
                drop(handle);
            }
            10..=14 if self.running.get() != Some(other) => self.join(actor, other),
            15 => {
                if let (Some(me), Some(waker)) = (actor.task, actor.waker) {
                    let yielded = poll_with(&mut yield_now(), waker);
                    assert!(yielded.is_pending());
                    self.with(me, |model| model.scheduled |= !model.ended);
                }
            }
            _ => {}
        }
    }

    fn spawn(self: &Rc<Self>, me: usize) {
        if me == TASKS {
            return;
        }
        let scheduled = true;
        self.tasks.borrow_mut().push(Model {
            scheduled,
            ..Model::default()
        });
        let world = Rc::clone(self);
        let plain = self.random(2) == 0;
        let scripted = Scripted { me, world, plain };
        let (handle, id, abort) = if plain {
            let handle = spawn(async move { drop(scripted.await) });
            let (id, abort) = (handle.id(), handle.abort_handle());
            (Handle::Plain(handle), id, abort)
        } else {
            let handle = spawn(async move { scripted.await.expect("an output") });
            let (id, abort) = (handle.id(), handle.abort_handle());
            (Handle::Counted(handle), id, abort)
        };
        self.with(me, |model| {
            model.handle = Some(handle);
            model.id = Some(id);
            model.abort = Some(abort);
        });
    }

    fn join(self: &Rc<Self>, actor: &Actor<'_>, other: usize) {
        let Some(mut handle) = self.with(other, |model| model.handle.take()) else {
            return;
        };
        let index = self.random(3);
        let waker = self.external[index].0.waker();
        let (waker, joiner) = match (actor.waker, actor.task) {
            (Some(waker), Some(me)) if self.random(2) == 0 => (waker, Joiner::Task(me)),
            _ => (&waker, Joiner::External(index)),
        };
        let joined = match &mut handle {
            Handle::Counted(handle) => poll_with(handle, waker).map(|joined| {
                let ended = joined.map(drop);
                ended.is_ok()
            }),
            Handle::Plain(handle) => poll_with(handle, waker).map(|joined| joined.is_ok()),
        };
        self.with(other, |model| match joined {
            Poll::Pending => {
                model.joiner = Some(joiner);
                model.handle = Some(handle);
            }
            Poll::Ready(_) => model.joined = true,
        });
        self.with(other, |model| {
            let right = model.ended || !model.joined;
            self.check(right, || format!("{other} was joined and has not ended"));
        });
    }

    /// The future was dropped, so the joiner is woken next.
    fn end(&self, me: usize) {
        let joiner = self.with(me, |model| {
            model.ended = true;
            model.scheduled = false;
            model.joiner.take()
        });
        match joiner {
            Some(Joiner::Task(task)) => self.with(task, |model| model.scheduled |= !model.ended),
            Some(Joiner::External(nth)) => {
                let expected = &self.external[nth].1;
                expected.set(expected.get() + 1);
            }
            None => {}
        }
    }
}

impl Future for Scripted {
    type Output = Option<Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (me, world) = (self.me, &self.world);
        world.with(me, |model| {
            let due = model.scheduled && !model.ended && !model.aborted;
            world.check(due, || format!("{me} was polled without a wake"));
            model.scheduled = false;
            model.polls += 1;
            model.waker = Some(cx.waker().clone());
        });
        world.check(task::try_id() == world.with(me, |model| model.id), || {
            format!("{me} has another id")
        });
        let (waker, task) = (Some(cx.waker()), Some(me));
        world.running.set(task);
        world.act(&Actor { waker, task }, 3);
        match world.random(16) {
            0 => resume_unwind(Box::new("on purpose")),
            1..=4 => {}
            _ => {
                world.running.set(None);
                return Poll::Pending;
            }
        }
        let (plain, world) = (self.plain, Rc::clone(world));
        let output = (!plain).then(|| {
            world.with(me, |model| model.outputs += 1);
            Output { me, world }
        });
        Poll::Ready(output)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let world = Rc::clone(&self.world);
        let (me, task) = (self.me, Some(self.me));
        world.check(!world.with(me, |model| model.ended), || {
            format!("{me} ended twice")
        });
        world.running.set(task);
        world.act(&Actor { waker: None, task }, 1);
        world.end(me);
        world.running.set(None);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let (world, me) = (Rc::clone(&self.world), self.me);
        let left = world.with(me, |model| {
            model.outputs -= 1;
            (model.ended, model.outputs)
        });
        world.check(left == (true, 0), || format!("the output of {me}"));
        let (waker, task) = (None, None);
        world.act(&Actor { waker, task }, 1);
    }
}

/// Runs the program that `bytes` choose, with a run queue in order, or shuffled by `seed`.
///
/// # Panics
///
/// When a task is polled otherwise than its model.
pub fn run(bytes: &[u8], seed: Option<u64>) {
    let mut choices = Choices::new(bytes);
    let mut builder = Builder::new().event_interval(1 + choices.below(7) as u32);
    if let Some(seed) = seed {
        builder = builder.rng_seed(seed);
    }
    let runtime = builder.build().expect("a runtime");
    let world = Rc::new(World {
        choices: RefCell::new(choices),
        tasks: RefCell::default(),
        external: Default::default(),
        running: Cell::default(),
        quiet: Cell::default(),
        depth: Cell::default(),
        wrong: RefCell::default(),
    });
    let root = Rc::clone(&world);
    runtime.block_on(async {
        let waker = my_waker().await;
        while !root.choices.borrow().is_used_up() {
            let (waker, task) = (Some(&waker), None);
            root.act(&Actor { waker, task }, 4);
            for _ in 0..root.random(4) {
                yield_now().await;
            }
        }
        root.quiet.set(true);
        // No task wakes another from here on, so each is polled at most once, one per turn.
        for _ in 0..TASKS {
            settle().await;
        }
        root.check_tasks();
        root.check_external_wakes();
    });
    let ended = |model: &Model| u64::from(model.ended);
    let ended = world.tasks.borrow().iter().map(ended).sum::<u64>();
    let metrics = runtime.metrics();
    assert_eq!(metrics.num_alive_tasks, metrics.spawned_tasks_count - ended);
    drop(runtime);
    let take = |model: &mut Model| model.handle.take();
    let handles = Vec::from_iter(world.tasks.borrow_mut().iter_mut().map(take));
    drop(handles);
    for model in &*world.tasks.borrow() {
        let dropped = model.ended && model.outputs == 0;
        assert!(dropped, "each value is dropped once");
    }
    assert_eq!(*world.wrong.borrow(), Vec::<String>::new());
}

impl World {
    /// Compares every task with its model.
    fn check_tasks(&self) {
        let infos = task::dump();
        for (me, model) in self.tasks.borrow().iter().enumerate() {
            let info = infos.iter().find(|info| Some(info.id) == model.id);
            let ended = model.ended;
            self.check(ended || !model.scheduled, || {
                format!("a wake of {me} was lost")
            });
            self.check(ended || !model.aborted, || format!("{me} was not aborted"));
            let kept = !ended || model.handle.is_some();
            self.check(info.is_some() == kept, || format!("the info of {me}"));
            if let Some(info) = info {
                let state = match ended {
                    true => TaskState::Finished,
                    false => TaskState::Waiting,
                };
                self.check(info.state == state, || format!("{info} is {state:?}"));
                let cancelled = u64::from(model.aborted);
                let polls = model.polls..=model.polls + cancelled;
                self.check(polls.contains(&info.polls), || {
                    format!("{info}, but {} polls", model.polls)
                });
            }
        }
    }

    fn check_external_wakes(&self) {
        for (wakes, expected) in &self.external {
            let (woken, expected) = (wakes.count(), expected.get());
            self.check(woken == expected, || format!("{woken} for {expected}"));
        }
    }
}
