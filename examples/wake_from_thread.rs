//! A future of one's own, woken by another thread.
//!
//! ```text
//! cargo run -p wakeful-examples --example wake_from_thread
//! ```
//!
//! A future is polled when it is woken, and only then. So whoever makes it ready has to wake it, and
//! the waker is the whole of the contract between the two: it can be cloned, sent to any thread and
//! called at any time, even after the task or its runtime has ended. Wakeful's wakers can do that
//! without a reference count, because they are numbers: the program prints one, and its `data` is
//! the task's generation, the runtime's place and the task's slot in one word (all ones stand for
//! the root future, which has no slot).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

/// What the two threads share.
#[derive(Default)]
struct Shared {
    answer: Option<u32>,
    waker: Option<Waker>,
}

/// Ready when the thread has found the answer.
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
                println!("not yet; whoever knows, call {:?}", cx.waker());
                // The last waker counts: the task may have moved since the poll before.
                shared.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Starts a thread that thinks for a while.
fn ask_a_thread() -> Answer {
    let shared = Arc::new(Mutex::new(Shared::default()));
    let of_thread = Arc::clone(&shared);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        let mut shared = of_thread.lock().unwrap_or_else(PoisonError::into_inner);
        shared.answer = Some(42);
        let waker = shared.waker.take();
        // Not under the lock: a waker is foreign code.
        drop(shared);
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    Answer { shared }
}

fn main() {
    let answer = wakeful::block_on(async {
        let answer = ask_a_thread().await;
        let metrics = wakeful::metrics();
        println!("wakes by other threads: {}", metrics.wakes_by_thread);
        answer
    });
    println!("the answer is {answer}");
}
