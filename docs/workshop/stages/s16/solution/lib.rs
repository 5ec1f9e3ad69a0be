//! A test of a runtime, without a clock: a script from a seed, and what must come of it.

pub mod subject;

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::Rc;

use subject::{New, Random, wakes_itself};

/// Tasks of a script.
const TASKS: u64 = 5;

/// Runs the script of a seed on a new runtime. An error names the seed, and what was wrong.
pub fn check(seed: u64, new: &New) -> Result<(), String> {
    let (mut random, runtime) = (Random::new(seed), new());
    let starts = Rc::new(RefCell::new(Vec::new()));
    let wakes = Rc::new(RefCell::new(Vec::new()));
    let (mut polls, mut expected_polls, mut expected_wakes) = (Vec::new(), Vec::new(), Vec::new());
    for task in 0..TASKS {
        // Few different times, so that some are equal, and some end within the same millisecond.
        let sleeps: Vec<u64> = (0..3).map(|_| 300 * (1 + random.below(5))).collect();
        let itself = random.below(3);
        let mut end = 0;
        for us in &sleeps {
            end += us;
            expected_wakes.push((end, task));
        }
        // The first one, one for all wakes in it, and one at the end of the sleep.
        expected_polls.push(if itself == 0 { 2 } else { 3 });
        let count = Rc::new(Cell::new(0));
        polls.push(Rc::clone(&count));
        let (inside, starts, wakes) = (Rc::clone(&runtime), Rc::clone(&starts), Rc::clone(&wakes));
        runtime.spawn(Box::pin(async move {
            starts.borrow_mut().push(task);
            let mut first = Some(count);
            for us in sleeps {
                let sleep = inside.sleep(us);
                match first.take() {
                    Some(count) => wakes_itself(sleep, itself, count).await,
                    None => sleep.await,
                }
                wakes.borrow_mut().push((inside.now(), task));
            }
        }));
    }
    let left = runtime.run();
    let polls: Vec<u64> = polls.iter().map(|count| count.get()).collect();
    wakes.borrow_mut().sort_unstable();
    expected_wakes.sort_unstable();
    compare(seed, "tasks that never end", &left, &0)?;
    compare(seed, "starts", &*starts.borrow(), &Vec::from_iter(0..TASKS))?;
    compare(seed, "ends of sleeps", &*wakes.borrow(), &expected_wakes)?;
    compare(seed, "polls", &polls, &expected_polls)
}

/// Compares what was seen with what must be seen.
fn compare<T: Debug + PartialEq>(
    seed: u64,
    what: &str,
    seen: &T,
    expected: &T,
) -> Result<(), String> {
    match seen == expected {
        true => Ok(()),
        false => Err(format!("seed {seed}: {what}: {seen:?}, not {expected:?}")),
    }
}
