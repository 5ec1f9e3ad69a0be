//! Builds the [`Model`] from the events, one after another.

use std::collections::HashMap;

use crate::format::{OUTSIDE_ROW, ROOT_ROW, kind};
use crate::model::{
    Cause, Closure, Index, Instant, Model, On, Outcome, Poll, Span, Task, Turn, Wait, Wake,
};
use crate::read::{Event, Runtime, names_a_task};

/// The state between two events.
pub(crate) struct Builder {
    model: Model,
    /// Present task of each row.
    rows: HashMap<u32, Index>,
    /// Poll that has not ended.
    poll: Option<Index>,
    /// Turn that has not ended.
    turn: bool,
    /// Task of the last event `wait`, with the operation: the next event completes it.
    wait: Option<(Index, u32)>,
    /// Wait noted in the present poll.
    noted: Option<(Index, Wait)>,
    /// Wakes of each task since its last poll began.
    wakes: HashMap<Index, Vec<Index>>,
    /// Closures that have not ended.
    closures: HashMap<u32, Index>,
    /// Spans that have not ended.
    spans: Vec<Index>,
    /// Whether the events are those of a keyframe.
    keyframe: bool,
    /// Time of the last event.
    now: u64,
    /// End of the last poll: the next one does not begin before.
    last_end: u64,
}

impl Builder {
    /// Begins the lists of one runtime.
    pub(crate) fn new(runtime: &Runtime) -> Self {
        Self {
            model: Model {
                begin: runtime.begin,
                end: runtime.end,
                ..Model::default()
            },
            rows: HashMap::new(),
            poll: None,
            turn: false,
            wait: None,
            noted: None,
            wakes: HashMap::new(),
            closures: HashMap::new(),
            spans: Vec::new(),
            keyframe: false,
            now: 0,
            last_end: 0,
        }
    }

    /// Takes the next event. Only the events of closures can have times before those of the events before
    /// them, because another thread has read the clock.
    pub(crate) fn event(&mut self, event: &Event) {
        let event = &match event.kind {
            kind::CLOSURE_BEGIN | kind::CLOSURE_END => *event,
            _ => {
                self.now = self.now.max(event.time);
                Event {
                    time: self.now,
                    ..*event
                }
            }
        };
        self.dispatch(event);
    }

    fn dispatch(&mut self, event: &Event) {
        let about_a_task = names_a_task(event.kind) && event.x != OUTSIDE_ROW;
        let task = about_a_task.then(|| self.task(event));
        match (event.kind, task) {
            (kind::SPAWN, Some(task)) => self.model.tasks[task].place = event.y,
            (kind::NAME, Some(task)) => self.model.tasks[task].name = event.y,
            (kind::POLL_BEGIN, Some(task)) => self.begin_poll(event, task),
            (kind::POLL_END, Some(task)) => self.end_poll(event, task),
            (kind::WAIT, Some(task)) => self.wait = Some((task, event.y)),
            (kind::WAIT_ON, _) => self.note_wait(event),
            (kind::WAKE, Some(task)) => self.wake(event, task),
            (kind::TURN_BEGIN, _) => self.begin_turn(event),
            (kind::TURN_END, _) => {
                self.end_turn(event.time, Some(event.x));
                self.model.queue.push((0, event.time, event.y));
            }
            (kind::CLOSURE_BEGIN, _) => self.begin_closure(event),
            (kind::CLOSURE_END, _) => {
                if let Some(closure) = self.closures.remove(&event.y) {
                    let closure = &mut self.model.closures[closure];
                    closure.end = Some(event.time.max(closure.begin));
                }
            }
            (kind::SPAN_BEGIN, Some(task)) => {
                self.spans.push(self.model.spans.len());
                self.model.spans.push(Span {
                    task,
                    name: event.y,
                    begin: event.time,
                    end: None,
                });
            }
            (kind::SPAN_END, Some(task)) => self.end_span(event, task),
            (kind::KEYFRAME_BEGIN, _) => self.keyframe = true,
            (kind::KEYFRAME_END, _) => self.keyframe = false,
            (kind::KEYFRAME_TASK, Some(task)) => {
                let task = &mut self.model.tasks[task];
                task.polls = task.polls.max(event.y.into());
            }
            (kind::KEYFRAME_BUSY, Some(task)) => {
                let task = &mut self.model.tasks[task];
                task.busy = task.busy.max(u64::from(event.y) * 1000);
            }
            (kind::PEER, _) => {
                self.model.peers.insert((0, event.x), event.y);
            }
            (
                kind::TIMER_ARMED
                | kind::TIMER_FIRED
                | kind::OPERATION
                | kind::MESSAGE
                | kind::SOURCE_ADDED
                | kind::SOURCE_REMOVED
                | kind::MARK
                | kind::LOST,
                _,
            ) => self.instant(event, task),
            _ => {}
        }
    }

    /// Returns the task that an event is about. Adds it if it is not known.
    fn task(&mut self, event: &Event) -> Index {
        let (row, generation) = match event.x {
            // Its generation counts the calls of `block_on`, which are one lane.
            ROOT_ROW => (ROOT_ROW, 0),
            row => (row, event.a),
        };
        let spawned = event.kind == kind::SPAWN && !self.keyframe;
        if let Some(&known) = self.rows.get(&row) {
            let task = &self.model.tasks[known];
            let same = task.generation == generation && (row == ROOT_ROW || task.end.is_none());
            if same {
                return known;
            }
            self.end_task(known, event.time, Outcome::Aborted);
        }
        let begin = if spawned {
            event.time
        } else {
            self.model.begin
        };
        let last = self.rows.get(&row).map(|last| &self.model.tasks[*last]);
        let begin = begin.max(last.and_then(|last| last.end).map_or(0, |end| end.0));
        let task = self.model.tasks.len();
        self.model.tasks.push(Task {
            runtime: 0,
            row,
            generation,
            name: 0,
            place: 0,
            begin,
            spawn_seen: spawned,
            end: None,
            polls: 0,
            busy: 0,
            wakes: 0,
            longest: None,
            last_poll: None,
            waiting: None,
            woken: spawned,
        });
        self.rows.insert(row, task);
        task
    }

    fn begin_poll(&mut self, event: &Event, task: Index) {
        self.finish_poll(event.time, Outcome::Pending);
        let begin = event.time.max(self.last_end);
        self.end_turn(begin, None);
        let poll = self.model.polls.len();
        let wakes = self.wakes.remove(&task).unwrap_or_default();
        for wake in &wakes {
            self.model.wakes[*wake].to_poll = Some(poll);
        }
        self.model.polls.push(Poll {
            task,
            begin,
            end: begin,
            outcome: Outcome::Unfinished,
            cause: Cause::of(event.y),
            wait: None,
            wake: wakes.first().copied(),
        });
        self.close_wait(task, begin);
        let entry = &mut self.model.tasks[task];
        entry.polls = entry.polls.saturating_add(1);
        entry.last_poll = Some(poll);
        entry.woken = false;
        self.poll = Some(poll);
        self.noted = None;
    }

    fn end_poll(&mut self, event: &Event, task: Index) {
        let outcome = match event.y {
            0 => Outcome::Pending,
            1 => Outcome::Ready,
            2 => Outcome::Panicked,
            _ => Outcome::Aborted,
        };
        if self.poll.is_some_and(|p| self.model.polls[p].task == task) {
            self.finish_poll(event.time, outcome);
        } else if outcome != Outcome::Pending {
            // The future was dropped without a poll.
            self.end_task(task, event.time, outcome);
        }
    }

    /// Ends the present poll, if there is one.
    fn finish_poll(&mut self, time: u64, outcome: Outcome) {
        let Some(number) = self.poll.take() else {
            return;
        };
        let poll = &mut self.model.polls[number];
        let task = poll.task;
        poll.end = time.max(poll.begin);
        poll.outcome = outcome;
        self.last_end = poll.end;
        let (begin, duration) = (poll.end, poll.duration());
        self.count_poll(number, duration);
        match outcome {
            Outcome::Pending => {
                let noted = self.noted.take().filter(|(noted, _)| *noted == task);
                let wait = noted.map_or_else(|| Wait::unknown(task), |(_, wait)| wait);
                self.open_wait(Wait { begin, ..wait }, Some(number));
            }
            Outcome::Unfinished => {}
            _ => self.end_task(task, begin, outcome),
        }
    }

    fn count_poll(&mut self, number: Index, duration: u64) {
        let task = &mut self.model.tasks[self.model.polls[number].task];
        task.busy = task.busy.saturating_add(duration);
        let longest = task.longest.map(|poll| self.model.polls[poll].duration());
        if longest.is_none_or(|longest| duration > longest) {
            task.longest = Some(number);
        }
    }

    fn note_wait(&mut self, event: &Event) {
        let Some((task, operation)) = self.wait.take() else {
            return;
        };
        let on = On {
            what: event.a,
            value: event.x,
        };
        let noted = match &self.noted {
            Some((noted, wait)) if *noted == task => wait.noted + 1,
            _ => 1,
        };
        let wait = Wait {
            begin: event.time,
            operation,
            place: event.y,
            on,
            noted,
            ..Wait::unknown(task)
        };
        let in_poll = self.poll.is_some_and(|p| self.model.polls[p].task == task);
        if in_poll {
            self.noted = Some((task, wait));
        } else if self.model.tasks[task].waiting.is_none() {
            // A keyframe describes a wait that began before the recording.
            let begin = self.model.tasks[task].begin;
            let older = Wait {
                begin,
                begin_seen: false,
                ..wait
            };
            self.open_wait(older, None);
        } else if let Some(known) = self.model.tasks[task].waiting {
            let known = &mut self.model.waits[known];
            (known.operation, known.place, known.on) = (operation, event.y, on);
        }
    }

    fn open_wait(&mut self, wait: Wait, poll: Option<Index>) {
        let number = self.model.waits.len();
        self.model.tasks[wait.task].waiting = Some(number);
        if let Some(poll) = poll {
            self.model.polls[poll].wait = Some(number);
        }
        self.model.waits.push(wait);
    }

    fn close_wait(&mut self, task: Index, time: u64) {
        if let Some(wait) = self.model.tasks[task].waiting.take() {
            let wait = &mut self.model.waits[wait];
            wait.end = Some(time.max(wait.begin));
        }
    }

    fn end_task(&mut self, task: Index, time: u64, outcome: Outcome) {
        self.close_wait(task, time);
        let entry = &mut self.model.tasks[task];
        if entry.end.is_none() && !entry.is_root() {
            entry.end = Some((time.max(entry.begin), outcome));
        }
    }

    fn wake(&mut self, event: &Event, woken: Index) {
        let by = self.rows.get(&event.y).copied();
        // A task that has ended wakes its joiner after the end of its last poll.
        let last = self.model.polls.len().checked_sub(1);
        let from_poll = self
            .poll
            .or(last)
            .filter(|poll| Some(self.model.polls[*poll].task) == by);
        let wake = self.model.wakes.len();
        self.model.wakes.push(Wake {
            time: event.time,
            woken,
            by,
            from_poll,
            to_poll: None,
        });
        self.wakes.entry(woken).or_default().push(wake);
        self.model.tasks[woken].wakes += 1;
        self.model.tasks[woken].woken = true;
    }

    fn begin_turn(&mut self, event: &Event) {
        self.finish_poll(event.time, Outcome::Pending);
        self.end_turn(event.time, None);
        self.model.queue.push((0, event.time, event.y));
        self.model.turns.push(Turn {
            runtime: 0,
            begin: event.time.max(self.last_end),
            end: event.time.max(self.last_end),
            events: None,
            limit: event.x,
        });
        self.turn = true;
    }

    fn end_turn(&mut self, time: u64, events: Option<u32>) {
        if std::mem::take(&mut self.turn)
            && let Some(turn) = self.model.turns.last_mut()
        {
            turn.end = time.max(turn.begin);
            turn.events = events;
            self.last_end = turn.end;
        }
    }

    fn begin_closure(&mut self, event: &Event) {
        self.closures.insert(event.y, self.model.closures.len());
        self.model.closures.push(Closure {
            runtime: 0,
            number: event.y,
            begin: event.time,
            end: None,
            task: self.rows.get(&event.x).copied(),
        });
    }

    /// Ends the innermost span of a task with the name of the event.
    fn end_span(&mut self, event: &Event, task: Index) {
        let spans = &self.model.spans;
        let open = self
            .spans
            .iter()
            .rposition(|span| spans[*span].task == task && spans[*span].name == event.y);
        if let Some(open) = open {
            let span = self.spans.remove(open);
            let span = &mut self.model.spans[span];
            span.end = Some(event.time.max(span.begin));
        }
    }

    fn instant(&mut self, event: &Event, task: Option<Index>) {
        let polled = self.poll.map(|poll| self.model.polls[poll].task);
        self.model.instants.push(Instant {
            runtime: 0,
            time: event.time,
            task: task.or(polled),
            kind: event.kind,
            a: event.a,
            x: event.x,
            y: event.y,
        });
    }

    /// Ends what is open with the last event.
    pub(crate) fn finish(mut self) -> Model {
        let end = self.model.end.max(self.now);
        self.model.end = end;
        self.finish_poll(end, Outcome::Unfinished);
        self.end_turn(end, None);
        self.model.closures.sort_by_key(|closure| closure.begin);
        self.model
    }
}

impl Wait {
    /// A wait of which nothing is known.
    fn unknown(task: Index) -> Self {
        Self {
            task,
            begin: 0,
            begin_seen: true,
            end: None,
            operation: 0,
            place: 0,
            on: On::default(),
            noted: 0,
        }
    }
}
