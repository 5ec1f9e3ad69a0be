//! A hand-written future, woken by another thread.
//!
//! ```text
//! cargo run -p wakeful-examples --example wake_from_thread
//! ```
//!
//! After a future has returned `Pending`, nothing guarantees another poll until its waker is called.
//! So the code that makes it ready has to call the waker. A waker can be cloned, sent to any thread
//! and called at any time, even after the task or its runtime has ended. Wakeful's wakers need no
//! reference count for this, because they are numbers. The program prints one: its `data` holds the
//! generation, the index of the runtime and the row of the task in one word. The root future has
//! row 0.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// State shared by the two threads.
#[derive(Default)]
struct Shared {
    answer: Option<u32>,
    waker: Option<Waker>,
}

/// Completes when the thread has stored the answer.
struct Answer {
    shared: Arc<Mutex<Shared>>,
}

impl Future for Answer {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.answer {
            Some(answer) => Poll::Ready(answer),
            None => {
                println!("pending: stored {:?}", cx.waker());
                // Each poll replaces the waker: the future can have moved to another task.
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Starts a thread that stores the answer after 200 ms.
fn compute_on_a_thread() -> Answer {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let thread_shared = Arc::clone(&shared);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        let mut shared = thread_shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.answer = Some(42);
        let waker = shared.waker.take();
        // `wake` is called without the lock, because a waker can run user code.
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    Answer { shared }
}

fn main() {
    let answer = wakeful::block_on(async {
        let answer = compute_on_a_thread().await;
        let metrics = wakeful::metrics();
        println!("wakes from other threads: {}", metrics.wakes_by_thread);
        answer
    });
    println!("the answer is {answer}");
}
