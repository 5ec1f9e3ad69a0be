//! Random programs of tasks against a model: who is scheduled, who has ended, and whom its end wakes.
//!
//! Tasks do random things to each other: in their polls, in the drops of their futures, and in the
//! drops of their outputs. The model says of each poll whether it was due, and at the end that none is
//! outstanding, so a wake that is lost or doubled shows, and so does one that hits the next tenant.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use wakeful::runtime::Builder;
use wakeful::task::{JoinHandle, TaskState, yield_now};
use wakeful::{spawn, task};
use wakeful_tests::trace::{Wakes, alone, my_waker, poll_with, settle};

/// How many tasks a program spawns at most.
const TASKS: usize = 60;

/// What the model knows of a task.
#[derive(Default)]
struct Model {
    id: Option<task::Id>,
    handle: Option<Handle>,
    abort: Option<task::AbortHandle>,
    waker: Option<Waker>,
    /// A poll is due.
    scheduled: bool,
    aborted: bool,
    /// It has returned or panicked, or its future is gone.
    ended: bool,
    polls: u64,
    outputs: u32,
    joined: bool,
    joiner: Option<Joiner>,
}

enum Handle {
    /// The output needs to be dropped.
    Counted(JoinHandle<Output>),
    Plain(JoinHandle<()>),
}

#[derive(Clone, Copy)]
enum Joiner {
    Task(usize),
    /// One that is not ours, and is to be woken once more.
    Stranger(usize),
}

struct World {
    rng: RefCell<Rng>,
    tasks: RefCell<Vec<Model>>,
    strangers: [(Wakes, Cell<usize>); 3],
    /// Who is being polled, or cancelled.
    running: Cell<Option<usize>>,
    /// Nobody does anything any more but end.
    quiet: Cell<bool>,
    depth: Cell<u32>,
    wrong: RefCell<Vec<String>>,
}

/// Who acts: its waker, when it is polled, and its number, when it is a task.
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
    fn draw(&self, below: usize) -> usize {
        self.rng.borrow_mut().usize(..below)
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
        for _ in 0..self.draw(at_most + 1) {
            self.act_once(actor);
        }
        self.depth.set(self.depth.get() - 1);
    }

    fn act_once(self: &Rc<Self>, actor: &Actor<'_>) {
        let len = self.tasks.borrow().len();
        let kind = self.draw(16);
        if len == 0 || kind < 3 {
            return self.spawn(len);
        }
        // Mostly somebody of late.
        let other = match self.draw(3) {
            0 => self.draw(len),
            _ => len - 1 - self.draw(len.min(6)),
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
                abort.unwrap().abort();
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
        let plain = self.draw(2) == 0;
        let scripted = Scripted { me, world, plain };
        let (handle, id, abort) = if plain {
            let handle = spawn(async move { drop(scripted.await) });
            let (id, abort) = (handle.id(), handle.abort_handle());
            (Handle::Plain(handle), id, abort)
        } else {
            let handle = spawn(async move { scripted.await.unwrap() });
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
        let stranger = self.draw(3);
        let strange = self.strangers[stranger].0.waker();
        let (waker, joiner) = match (actor.waker, actor.task) {
            (Some(waker), Some(me)) if self.draw(2) == 0 => (waker, Joiner::Task(me)),
            _ => (&strange, Joiner::Stranger(stranger)),
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

    /// The future is gone: whoever joins is woken next.
    fn end(&self, me: usize) {
        let joiner = self.with(me, |model| {
            model.ended = true;
            model.scheduled = false;
            model.joiner.take()
        });
        match joiner {
            Some(Joiner::Task(task)) => self.with(task, |model| model.scheduled |= !model.ended),
            Some(Joiner::Stranger(nth)) => {
                let expected = &self.strangers[nth].1;
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
            world.check(due, || format!("{me} was polled for nothing"));
            model.scheduled = false;
            model.polls += 1;
            model.waker = Some(cx.waker().clone());
        });
        world.check(task::try_id() == world.with(me, |model| model.id), || {
            format!("{me} does not know itself")
        });
        let (waker, task) = (Some(cx.waker()), Some(me));
        world.running.set(task);
        world.act(&Actor { waker, task }, 3);
        match world.draw(16) {
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

fn play(seed: u64, shuffled: bool) {
    let mut rng = Rng::with_seed(seed);
    let mut builder = Builder::new().event_interval(rng.u32(1..8));
    if shuffled {
        builder = builder.rng_seed(seed);
    }
    let runtime = builder.build().unwrap();
    let world = Rc::new(World {
        rng: RefCell::new(rng),
        tasks: RefCell::default(),
        strangers: Default::default(),
        running: Cell::default(),
        quiet: Cell::default(),
        depth: Cell::default(),
        wrong: RefCell::default(),
    });
    let root = Rc::clone(&world);
    runtime.block_on(async {
        let waker = my_waker().await;
        for _ in 0..60 {
            let (waker, task) = (Some(&waker), None);
            root.act(&Actor { waker, task }, 4);
            for _ in 0..root.draw(4) {
                yield_now().await;
            }
        }
        root.quiet.set(true);
        // Nobody wakes anybody now, so each is polled once at most; one per turn.
        for _ in 0..TASKS {
            settle().await;
        }
        let records = task::dump();
        for (me, model) in root.tasks.borrow().iter().enumerate() {
            let record = records.iter().find(|record| Some(record.id) == model.id);
            let ended = model.ended;
            root.check(ended || !model.scheduled, || {
                format!("a wake of {me} was lost")
            });
            root.check(ended || !model.aborted, || format!("{me} was not aborted"));
            let kept = !ended || model.handle.is_some();
            root.check(record.is_some() == kept, || format!("the record of {me}"));
            if let Some(record) = record {
                let state = match ended {
                    true => TaskState::Finished,
                    false => TaskState::Waiting,
                };
                root.check(record.state == state, || format!("{record} is {state:?}"));
                let cancelled = u64::from(model.aborted);
                let polls = model.polls..=model.polls + cancelled;
                root.check(polls.contains(&record.polls), || {
                    format!("{record}, but {} polls", model.polls)
                });
            }
        }
        for (wakes, expected) in &root.strangers {
            let (woken, expected) = (wakes.count(), expected.get());
            root.check(woken == expected, || format!("{woken} for {expected}"));
        }
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
        assert!(
            model.ended && model.outputs == 0,
            "everything is dropped once"
        );
    }
    assert_eq!(*world.wrong.borrow(), Vec::<String>::new(), "seed {seed}");
}

#[test]
fn tasks_that_do_anything_to_each_other_are_polled_when_they_were_woken_and_not_otherwise() {
    // By itself, because what nobody joins is reported on stderr, and much is not.
    alone(
        "tasks_that_do_anything_to_each_other_are_polled_when_they_were_woken_and_not_otherwise",
        || {
            for seed in 0..100 {
                play(seed, false);
                play(seed, true);
            }
        },
    );
}
