//! Groups of tasks that are alike, so that 3,000 idle clients are one line.

use std::collections::HashMap;
use std::mem::discriminant;
use std::time::Duration;

use crate::task_info::{TaskInfo, TaskState, WaitTarget};

/// Tasks that were spawned at the same place and wait in the same way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskGroup<'a> {
    /// The tasks, by row. There is at least one.
    pub tasks: Vec<&'a TaskInfo>,
    /// The task whose wait is the longest.
    pub longest: &'a TaskInfo,
    /// The task whose wait is the shortest.
    pub shortest: &'a TaskInfo,
}

/// Returns how long a task has waited.
fn elapsed(task: &TaskInfo) -> Option<Duration> {
    task.waiting.as_ref().map(|waiting| waiting.elapsed)
}

/// Returns what the tasks of one group have in common.
fn key(task: &TaskInfo) -> impl Eq + std::hash::Hash + use<> {
    let waiting = task.waiting.filter(|_| task.state == TaskState::Waiting);
    let operation = waiting.map(|waiting| (waiting.operation, waiting.location));
    let kinds: Vec<_> = match task.state {
        TaskState::Waiting => task
            .waits_for
            .iter()
            .map(discriminant::<WaitTarget>)
            .collect(),
        _ => Vec::new(),
    };
    let held = task.waker_clones.is_some_and(|clones| clones > 0);
    let state = discriminant(&task.state);
    (task.spawned_at, state, operation, kinds, held)
}

pub(super) fn of(tasks: &[TaskInfo]) -> Vec<TaskGroup<'_>> {
    let mut places = HashMap::new();
    let mut groups: Vec<TaskGroup<'_>> = Vec::new();
    for task in tasks {
        let place = *places.entry(key(task)).or_insert(groups.len());
        let Some(group) = groups.get_mut(place) else {
            groups.push(TaskGroup {
                tasks: vec![task],
                longest: task,
                shortest: task,
            });
            continue;
        };
        group.tasks.push(task);
        if elapsed(task) > elapsed(group.longest) {
            group.longest = task;
        }
        if elapsed(task) < elapsed(group.shortest) {
            group.shortest = task;
        }
    }
    // Stable, so groups of the same size stay in the order of their first tasks.
    groups.sort_by_key(|group| std::cmp::Reverse(group.tasks.len()));
    groups
}
