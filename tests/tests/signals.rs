//! Signals: which listeners receive them, how often, and what child processes and other listeners see.
//!
//! Handlers and counters belong to the process, so each test runs in its own process. Signals are
//! raised on the current thread, so they have been delivered when `raise` returns.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::Future;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::unix::thread::JoinHandleExt;
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::signal::{ctrl_c, shutdown_signal};
use wakeful::spawn;
use wakeful::time::sleep;
use wakeful_tests::trace::{Trace, Wakes, alone, my_waker, poll_once, poll_with, runtime, settle};

fn raise(signal: Signal) {
    signal_hook::low_level::raise(signal.as_raw()).unwrap();
}

/// Returns whether a future is ready after the pending events have been handled.
async fn is_ready<F: Future + Unpin>(future: &mut F) -> bool {
    settle().await;
    poll_once(future).await.is_ready()
}

#[test]
fn invalid_and_uncatchable_signal_numbers_are_refused() {
    alone(|| {
        runtime().block_on(async {
            let fatal = [
                Signal::KILL,
                Signal::STOP,
                Signal::SEGV,
                Signal::BUS,
                Signal::FPE,
                Signal::ILL,
            ];
            // 32 and 33 are those of the C library.
            let none = [0, -1, 32, 33, 65, 1_000, i32::MIN, i32::MAX];
            for number in fatal.map(Signal::as_raw).into_iter().chain(none) {
                let error = signal(SignalKind::from_raw(number)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}");
                let text = error.to_string();
                assert!(text.contains(&format!("signal {number} ")), "{text}");
                assert!(text.contains("one of 1 to 31 or of "), "{text}");
            }
            assert_eq!(wakeful::metrics().sources, 0, "a source was registered");
        });
    });
}

#[test]
fn every_signal_kind_has_its_number_and_is_received() {
    alone(|| {
        runtime().block_on(async {
            for (kind, number) in [
                (SignalKind::alarm(), Signal::ALARM),
                (SignalKind::child(), Signal::CHILD),
                (SignalKind::hangup(), Signal::HUP),
                (SignalKind::interrupt(), Signal::INT),
                (SignalKind::io(), Signal::IO),
                (SignalKind::pipe(), Signal::PIPE),
                (SignalKind::quit(), Signal::QUIT),
                (SignalKind::terminate(), Signal::TERM),
                (SignalKind::user_defined1(), Signal::USR1),
                (SignalKind::user_defined2(), Signal::USR2),
                (SignalKind::window_change(), Signal::WINCH),
            ] {
                assert_eq!(kind.as_raw_value(), number.as_raw());
                assert_eq!(kind, SignalKind::from_raw(number.as_raw()));
                assert_eq!(kind, SignalKind::from(number.as_raw()));
                assert_eq!(i32::from(kind), number.as_raw());
                let mut listener = signal(kind).unwrap();
                raise(number);
                assert_eq!(listener.recv().await, Some(()), "{kind:?}");
            }
            assert_eq!(wakeful::metrics().sources, 1, "one source for all kinds");
        });
    });
}

#[test]
fn all_listeners_of_a_signal_receive_it_and_listeners_of_others_do_not() {
    alone(|| {
        let trace = Trace::new();
        runtime().block_on(async {
            for (name, kind) in [
                ("first", SignalKind::user_defined1()),
                ("second", SignalKind::user_defined1()),
                ("other", SignalKind::user_defined2()),
            ] {
                let trace = trace.clone();
                let mut listener = signal(kind).unwrap();
                spawn(async move {
                    for time in 1.. {
                        listener.recv().await;
                        trace.push(format!("{name} {time}"));
                    }
                });
            }
            settle().await;
            raise(Signal::USR1);
            settle().await;
            trace.expect(&["first 1", "second 1"]);
            raise(Signal::USR2);
            settle().await;
            trace.expect(&["other 1"]);
            raise(Signal::USR1);
            settle().await;
            trace.expect(&["first 2", "second 2"]);
        });
    });
}

#[test]
fn a_signal_is_received_by_listeners_created_before_it() {
    alone(|| {
        runtime().block_on(async {
            let mut before = signal(SignalKind::user_defined1()).unwrap();
            raise(Signal::USR1);
            let mut after = signal(SignalKind::user_defined1()).unwrap();
            assert!(is_ready(&mut before.recv()).await, "before the first poll");
            assert!(!is_ready(&mut before.recv()).await, "received twice");
            assert!(!is_ready(&mut after.recv()).await);
            raise(Signal::USR1);
            assert!(is_ready(&mut after.recv()).await);
        });
    });
}

/// Raises a signal on this thread as soon as the process has a handler for it.
fn raise_when_caught(signal: Signal) {
    loop {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action, the kernel only fills `action`.
        unsafe { libc::sigaction(signal.as_raw(), std::ptr::null(), action.as_mut_ptr()) };
        // SAFETY: zeroes are a valid value, and so is what the kernel has filled in.
        let action = unsafe { action.assume_init() };
        // The parent process can have left the signal ignored, as nohup(1) does with SIGHUP.
        if ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction) {
            break;
        }
        std::hint::spin_loop();
    }
    raise(signal);
}

#[test]
fn a_signal_that_arrives_while_its_first_listener_is_created_is_received() {
    alone(|| {
        let signals = [
            Signal::USR1,
            Signal::USR2,
            Signal::HUP,
            Signal::ALARM,
            Signal::VTALARM,
            Signal::PROF,
            Signal::POWER,
            Signal::IO,
            Signal::STKFLT,
            Signal::TERM,
        ];
        runtime().block_on(async {
            for number in signals {
                let sender = thread::spawn(move || raise_when_caught(number));
                // The sender is likely to look all the time by now. Nothing depends on it.
                thread::yield_now();
                let mut listener = signal(SignalKind::from_raw(number.as_raw())).unwrap();
                sender.join().unwrap();
                assert!(is_ready(&mut listener.recv()).await, "{number:?}");
            }
        });
    });
}

#[test]
fn signals_that_arrive_before_a_receive_are_merged() {
    alone(|| {
        runtime().block_on(async {
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            for _ in 0..5 {
                raise(Signal::USR1);
            }
            assert_eq!(listener.recv().await, Some(()));
            assert!(!is_ready(&mut listener.recv()).await);
        });
    });
}

#[test]
fn a_dropped_receive_loses_no_signal_and_leaves_no_waker() {
    alone(|| {
        runtime().block_on(async {
            let wakes = Wakes::new();
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            let mut recv = listener.recv();
            assert!(poll_with(&mut recv, &wakes.waker()).is_pending());
            raise(Signal::USR1);
            settle().await;
            assert_eq!(wakes.count(), 1);
            let waker = wakes.waker();
            let mut cx = Context::from_waker(&waker);
            drop(recv);
            assert_eq!(listener.poll_recv(&mut cx), Poll::Ready(Some(())));
            assert_eq!(listener.poll_recv(&mut cx), Poll::Pending);
            drop(waker);
            assert_eq!(wakes.alive(), 1);
            drop(listener);
            assert_eq!((wakes.alive(), wakeful::metrics().waiting), (0, 0));
        });
    });
}

#[test]
fn ctrl_c_listens_from_its_call_on() {
    alone(|| {
        runtime().block_on(async {
            let pressed = ctrl_c();
            raise(Signal::INT);
            pressed.await.unwrap();
            let again = spawn(ctrl_c());
            settle().await;
            assert!(!again.is_finished());
            raise(Signal::INT);
            again.await.unwrap().unwrap();
        });
    });
}

#[test]
fn a_shutdown_signal_is_sigint_or_sigterm_and_listens_from_its_call_on() {
    alone(|| {
        runtime().block_on(async {
            for number in [Signal::INT, Signal::TERM] {
                let mut first = pin!(shutdown_signal());
                raise(number); // before the first poll
                assert!(is_ready(&mut first).await, "{number:?}");

                let mut second = pin!(shutdown_signal());
                assert!(!is_ready(&mut second).await, "an earlier signal");
                raise(number);
                assert!(is_ready(&mut second).await, "{number:?} again");
            }
            let other = spawn(shutdown_signal());
            let mut hangup = signal(SignalKind::hangup()).unwrap();
            settle().await;
            raise(Signal::HUP);
            hangup.recv().await.unwrap();
            assert!(!other.is_finished(), "SIGHUP was received");
        });
    });
}

#[test]
fn the_wait_for_a_signal_has_the_line_of_the_call() {
    alone(|| {
        runtime().block_on(async {
            let line = line!() + 1;
            spawn(ctrl_c());
            spawn(shutdown_signal());
            settle().await;
            let lines = wakeful::task::dump().into_iter().map(|task| {
                let location = task.waiting.unwrap().location;
                (location.file(), location.line())
            });
            let expected = [(file!(), line), (file!(), line + 1)];
            assert_eq!(lines.collect::<Vec<_>>(), expected);
        });
    });
}

#[test]
fn the_default_action_is_not_restored_after_the_last_listener_is_dropped() {
    alone(|| {
        let runtime = runtime();
        runtime.block_on(async { drop(signal(SignalKind::terminate()).unwrap()) });
        raise(Signal::TERM);
        drop(runtime);
        raise(Signal::TERM);
        // A new listener receives only later signals.
        wakeful::block_on(async {
            let mut listener = signal(SignalKind::terminate()).unwrap();
            assert!(!is_ready(&mut listener.recv()).await);
            raise(Signal::TERM);
            listener.recv().await;
        });
    });
}

#[test]
fn two_runtimes_on_two_threads_both_receive_a_signal() {
    alone(|| {
        let (listens, ready) = mpsc::channel();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let listens = listens.clone();
                thread::spawn(move || {
                    runtime().block_on(async move {
                        let mut listener = signal(SignalKind::hangup()).unwrap();
                        for _ in 0..10 {
                            listens.send(()).unwrap();
                            listener.recv().await;
                        }
                    });
                })
            })
            .collect();
        for _ in 0..10 {
            for _ in 0..2 {
                ready.recv().unwrap();
            }
            raise(Signal::HUP);
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_signal_that_interrupts_the_wait_fires_no_timer_early() {
    alone(|| {
        let (install, installed) = mpsc::channel();
        let sleeps = thread::spawn(move || {
            runtime().block_on(async {
                // The listener is not polled, so the interruption is the only effect.
                let _caught = signal(SignalKind::user_defined1()).unwrap();
                install.send(()).unwrap();
                // Repeats the sleeps until some of them have been interrupted.
                let mut sleeps = 0;
                while wakeful::metrics().epoll_waits <= sleeps + 10 {
                    assert!(sleeps < 1000, "the waits are not interrupted");
                    let duration = Duration::from_millis([1, 5, 20][sleeps as usize % 3]);
                    let start = std::time::Instant::now();
                    sleep(duration).await;
                    assert!(start.elapsed() >= duration);
                    sleeps += 1;
                }
                let polls = wakeful::metrics().root_polls;
                assert_eq!(polls, sleeps + 1, "one poll per sleep, and the first");
            });
        });
        installed.recv().unwrap();
        while !sleeps.is_finished() {
            // SAFETY: the thread has not been joined, so its `pthread_t` is valid.
            unsafe { libc::pthread_kill(sleeps.as_pthread_t(), libc::SIGUSR1) };
            thread::sleep(Duration::from_micros(500));
        }
        sleeps.join().unwrap();
    });
}

#[test]
fn a_child_process_starts_with_an_empty_mask_and_default_handlers() {
    alone(|| {
        runtime().block_on(async {
            let _caught = signal(SignalKind::user_defined1()).unwrap();
            let _interrupt = ctrl_c();
            let status = Command::new("cat")
                .arg("/proc/self/status")
                .output()
                .unwrap();
            let status = String::from_utf8(status.stdout).unwrap();
            for name in ["SigBlk", "SigCgt"] {
                let line = status.lines().find(|line| line.starts_with(name));
                let mask = line.unwrap().split_whitespace().nth(1).unwrap();
                assert_eq!(u64::from_str_radix(mask, 16), Ok(0), "{name} {mask}");
            }
            // `exec` resets a caught signal; an ignored one would be inherited.
            let status = Command::new("sh")
                .args(["-c", "kill -USR1 $$"])
                .status()
                .unwrap();
            assert!(!status.success(), "the signal did not end the child");
        });
    });
}

#[test]
fn a_listener_unblocks_its_signal_and_receives_one_that_was_pending() {
    alone(|| {
        runtime().block_on(async {
            set_blocked(libc::SIG_BLOCK);
            // Pending, because this thread alone would receive it.
            raise(Signal::USR1);
            let mut first = signal(SignalKind::user_defined1()).unwrap();
            assert!(is_ready(&mut first.recv()).await);
            // Also where the handler is installed already.
            set_blocked(libc::SIG_BLOCK);
            raise(Signal::USR1);
            let mut second = signal(SignalKind::user_defined1()).unwrap();
            assert!(is_ready(&mut first.recv()).await);
            assert!(is_ready(&mut second.recv()).await);
            // The others stay blocked.
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            let blocked = u64::from_str_radix(blocked.unwrap().trim(), 16).unwrap();
            let bit = |signal: Signal| blocked >> (signal.as_raw() - 1) & 1;
            assert_eq!(
                [bit(Signal::USR1), bit(Signal::USR2), bit(Signal::TERM)],
                [0, 1, 1]
            );
            set_blocked(libc::SIG_UNBLOCK);
        });
    });
}

#[test]
fn a_listener_can_move_to_another_task() {
    alone(|| {
        runtime().block_on(async {
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            let waker = my_waker().await;
            assert!(poll_with(&mut listener.recv(), &waker).is_pending());
            let moved = spawn(async move {
                listener.recv().await;
                "received"
            });
            settle().await;
            raise(Signal::USR1);
            assert_eq!(moved.await.unwrap(), "received");
        });
    });
}

#[test]
fn a_hundred_consecutive_signals_are_all_received() {
    alone(|| {
        let runtime = Rc::new(runtime());
        let (again, wait) = mpsc::channel();
        let sender = thread::spawn(move || {
            for () in wait {
                raise(Signal::USR2);
            }
        });
        runtime.block_on(async {
            let mut listener = signal(SignalKind::user_defined2()).unwrap();
            for _ in 0..100 {
                again.send(()).unwrap();
                listener.recv().await;
            }
            drop(again);
        });
        sender.join().unwrap();
    });
}

#[test]
fn a_handler_installed_before_is_still_called() {
    static PLAIN: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn plain(_: libc::c_int) {
        PLAIN.fetch_add(1, Ordering::SeqCst);
    }
    alone(|| {
        // With SA_SIGINFO, and the old kind of handler.
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(libc::SIGUSR1, Arc::clone(&flag)).unwrap();
        set_action(libc::SIGUSR2, plain as extern "C" fn(_) as usize);
        wakeful::block_on(async {
            let mut first = signal(SignalKind::user_defined1()).unwrap();
            let mut second = signal(SignalKind::user_defined2()).unwrap();
            for times in 1..3 {
                raise(Signal::USR1);
                raise(Signal::USR2);
                assert!(first.recv().await.is_some());
                assert!(second.recv().await.is_some());
                assert!(flag.swap(false, Ordering::SeqCst));
                assert_eq!(PLAIN.load(Ordering::SeqCst), times);
            }
        });
    });
}

#[test]
fn a_listener_created_after_the_handler_was_taken_away_receives_signals() {
    alone(|| {
        wakeful::block_on(async {
            drop(signal(SignalKind::user_defined1()).unwrap());
            for action in [libc::SIG_IGN, libc::SIG_DFL] {
                set_action(libc::SIGUSR1, action);
                let mut listener = signal(SignalKind::user_defined1()).unwrap();
                raise(Signal::USR1);
                assert!(is_ready(&mut listener.recv()).await);
            }
        });
    });
}

/// Threads of other languages can have a small stack and an alternate one for signals.
#[test]
fn the_handler_runs_on_an_alternate_stack() {
    alone(|| {
        wakeful::block_on(async { drop(signal(SignalKind::user_defined1()).unwrap()) });
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: the call fills `action`. A null pointer requests no change.
        let result =
            unsafe { libc::sigaction(libc::SIGUSR1, std::ptr::null(), action.as_mut_ptr()) };
        assert_eq!(result, 0);
        // SAFETY: the call has succeeded.
        let flags = unsafe { action.assume_init() }.sa_flags;
        assert_ne!(flags & libc::SA_ONSTACK, 0);
        assert_ne!(flags & libc::SA_RESTART, 0);
    });
}

/// The kernel starts the handlers of all pending signals at once, unless one blocks the others.
#[test]
fn many_signals_at_once_do_not_overflow_an_alternate_stack() {
    alone(|| {
        wakeful::block_on(async {
            let numbers = libc::SIGRTMIN()..=libc::SIGRTMAX();
            let kinds = numbers.clone().map(SignalKind::from_raw);
            let mut listeners: Vec<_> = kinds.map(|kind| signal(kind).unwrap()).collect();
            set_blocked(libc::SIG_BLOCK);
            for number in numbers {
                signal_hook::low_level::raise(number).unwrap();
            }
            set_blocked(libc::SIG_UNBLOCK);
            for listener in &mut listeners {
                assert!(listener.recv().await.is_some());
            }
        });
    });
}

/// Blocks or unblocks all signals of this thread.
fn set_blocked(how: libc::c_int) {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call fills `all`.
    assert_eq!(unsafe { libc::sigfillset(all.as_mut_ptr()) }, 0);
    // SAFETY: `all` is initialized. A null pointer requests no copy of the old mask.
    let result = unsafe { libc::pthread_sigmask(how, all.as_ptr(), std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// Sets the action of a signal, as code beside the runtime can.
fn set_action(signal: libc::c_int, action: libc::sighandler_t) {
    // SAFETY: `action` is SIG_DFL, SIG_IGN or a function that only changes an atomic.
    let before = unsafe { libc::signal(signal, action) };
    assert_ne!(before, libc::SIG_ERR);
}
