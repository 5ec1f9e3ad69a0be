//! Six programs. Each runs in a task with the name `main`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use kernel::note;

use crate::tools::{Buffered, Event, Lock, NamedWaker, Signal, me, named};
use crate::{JoinHandle, TcpStream, spawn};

/// Program 1: a task counts lines, and `main` waits for the count.
pub async fn count_lines(text: &'static str) -> usize {
    let (count, counted) = (Rc::new(Cell::new(0)), Event::new("counted"));
    let (result, done) = (Rc::clone(&count), counted.clone());
    let counter = named("counter", async move {
        result.set(text.lines().count());
        done.set();
    });
    let _counter = counter;
    counted.wait().await;
    count.get()
}

/// Program 2: a task puts a letter into a mailbox, and `main` takes it out.
#[derive(Clone, Default)]
pub struct Mailbox(Rc<RefCell<Letters>>);

#[derive(Default)]
struct Letters {
    letters: VecDeque<&'static str>,
    waker: Option<NamedWaker>,
}

impl Mailbox {
    /// Puts a letter in.
    pub fn put(&self, letter: &'static str) {
        self.0.borrow_mut().letters.push_back(letter);
        let waker = self.0.borrow_mut().waker.take();
        note(format!(
            "  a letter is put in; {}",
            if waker.is_some() { "a task waits" } else { "no task waits" }
        ));
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes a letter out, or waits for one.
    pub async fn take(&self) -> &'static str {
        poll_fn(|cx| self.poll_take(cx)).await
    }

    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<&'static str> {
        let mut state = self.0.borrow_mut();
        if let Some(letter) = state.letters.pop_front() {
            return Poll::Ready(letter);
        }
        note(format!("  {} finds the mailbox empty", me()));
        let _ = cx;
        Poll::Pending
    }
}

/// Program 3: `main` calls a number that `bell` rings later, and hands its place in the queue to a helper.
#[derive(Clone, Default)]
pub struct Ticket(Rc<RefCell<Called>>);

#[derive(Default)]
struct Called {
    called: bool,
    waker: Option<NamedWaker>,
}

impl Ticket {
    /// Calls the number of the ticket.
    pub fn call(&self) {
        self.0.borrow_mut().called = true;
        let waker = self.0.borrow_mut().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until it is called.
    pub async fn wait(&self) {
        poll_fn(|cx| self.poll_wait(cx)).await;
    }

    fn poll_wait(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        if state.called {
            return Poll::Ready(());
        }
        note(format!("  {} waits for the ticket", me()));
        state.waker.get_or_insert_with(|| NamedWaker::of(cx));
        Poll::Pending
    }
}

/// The second half of program 3: the first poll is by `main`, the others are by `helper`.
pub async fn hand_over(ticket: Ticket) {
    let mut wait = Box::pin(async move { ticket.wait().await });
    poll_fn(|cx| {
        assert!(wait.as_mut().poll(cx).is_pending(), "the ticket is called later");
        Poll::Ready(())
    })
    .await;
    let helper: JoinHandle<()> = spawn(named("helper", wait));
    let _ = helper.await;
}

/// Program 4: `loader` loads a file, and `main` waits until it is loaded. `disk` is where `main` logs.
pub async fn load(file: Event, disk: Event) {
    let (loaded, signal) = (Rc::new(Cell::new(false)), Signal::default());
    let (set, wake) = (Rc::clone(&loaded), signal.clone());
    drop(spawn(named("loader", async move {
        file.wait().await;
        set.set(true);
        wake.wake_all();
    })));
    wait_until(&loaded, &signal, &disk).await;
}

/// Waits until `loaded` is set. Each change of it is followed by the signal.
async fn wait_until(loaded: &Cell<bool>, signal: &Signal, disk: &Event) {
    while !loaded.get() {
        note("  main looks: not loaded yet");
        disk.wait().await;
        signal.wait().await;
    }
}

/// Program 5: two tasks move money between two accounts, each with a lock.
pub async fn transfer() -> u32 {
    let accounts = Rc::new((Lock::new("account A"), Lock::new("account B")));
    let (first, second) = (Rc::clone(&accounts), Rc::clone(&accounts));
    let total = Rc::new(Cell::new(0));
    let (one, two) = (Rc::clone(&total), Rc::clone(&total));
    let a = spawn(named("a to b", async move {
        let _from = first.0.lock().await;
        yield_once().await;
        let _to = first.1.lock().await;
        one.set(one.get() + 1);
    }));
    let b = spawn(named("b to a", async move { move_back(&second, &two).await }));
    let _ = a.await;
    let _ = b.await;
    total.get()
}

async fn move_back(accounts: &(Lock, Lock), total: &Cell<u32>) {
    let _from = accounts.1.lock().await;
    yield_once().await;
    let _to = accounts.0.lock().await;
    total.set(total.get() + 1);
}

/// Lets the other tasks run.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Program 6: `main` sends a request and reads the answer.
pub async fn ask(stream: TcpStream) -> String {
    let mut connection = Buffered::new(stream);
    connection.write(b"how much is left?\n");
    receive(&mut connection).await
}

/// Returns the answer to what was written.
async fn receive(connection: &mut Buffered) -> String {
    let mut answer = [0; 64];
    let n = connection.read(&mut answer).await.expect("the peer is there");
    String::from_utf8_lossy(&answer[..n]).into_owned()
}
