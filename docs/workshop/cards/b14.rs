//! B14. A thread for each event
//!
//! From: V. Stage: 7.
//! Model: threads take their steps in every order, one at a time; the events are a list.
//! Input: two messages, 1 and 2, one event each, in every order of the threads' steps.
//! Bug: an order exists that answers "21"
//! Fix: "12" in each order (there is 1)
//!
//! The event of message 2 starts a second thread for the same connection. The second thread can overtake the first, and
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
        assert_ne!(answers, "21");
    });
}

fn input(on_events: fn(&Answers, [&'static str; 2]) -> Threads) -> String {
    std::panic::set_hook(Box::new(|_| ()));
    match model::explore(|| on_events(&Answers::default(), ["1", "2"])) {
        Verdict::AllEnd { orders } => format!("\"12\" in each order (there is {orders})"),
        Verdict::Panicked(_) => "an order exists that answers \"21\"".to_owned(),
        other => format!("{other:?}"),
    }
}

fn main() {
    card::run(&|| input(bug::on_events), &|| input(fix::on_events));
}
