//! B14. A thread for each event
//!
//! From: V. Stage: 7.
//! Input: two messages, a and b, one event each, in every order of the threads' steps.
//! Bug: an order exists that answers "ba"
//! Fix: "ab" in all 1 orders
//!
//! The event of b starts a second thread for the same connection. The thread of b can overtake that of a, and
//! there are as many threads as events. One task reads a connection, and handles its messages in order.

use std::sync::Arc;

use kernel::model::{self, Shared, Threads, Verdict};

/// The answers that the client has got.
type Answers = Arc<Shared<String>>;

mod bug {
    use super::*;

    pub fn on_events(answers: &Answers, messages: [&'static str; 2]) -> Threads {
        let thread_per_event = |message: &'static str| {
            let answers = Arc::clone(answers);
            Box::new(move || answer(&answers, message)) as Box<dyn FnOnce() + Send>
        };
        messages.map(thread_per_event).into()
    }
}

mod fix {
    use super::*;

    pub fn on_events(answers: &Answers, messages: [&'static str; 2]) -> Threads {
        let answers = Arc::clone(answers);
        let task_of_the_connection = move || {
            for message in messages {
                answer(&answers, message);
            }
        };
        vec![Box::new(task_of_the_connection)]
    }
}

fn answer(answers: &Answers, message: &str) {
    answers.with("writes", |answers| {
        answers.push_str(message);
        assert_ne!(answers, "ba");
    });
}

fn input(on_events: fn(&Answers, [&'static str; 2]) -> Threads) -> String {
    std::panic::set_hook(Box::new(|_| ()));
    match model::explore(|| on_events(&Answers::default(), ["a", "b"])) {
        Verdict::AllEnd { orders } => format!("\"ab\" in all {orders} orders"),
        Verdict::Panicked(_) => "an order exists that answers \"ba\"".to_owned(),
        other => format!("{other:?}"),
    }
}

fn main() {
    card::run(&|| input(bug::on_events), &|| input(fix::on_events));
}
