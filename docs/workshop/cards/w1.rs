//! W1. "The backlog is a maximum limit on the number of clients"
//!
//! From: F. Stage: 11.
//! Model: `Backlog` admits connections as the queue of a listening socket does.
//! Input: 100 clients connect, one after the other, and stay.
//! Bug: 100 clients, although the limit is 10
//! Fix: 10 clients, 90 refused
//!
//! The backlog limits connections that wait for `accept`. An accepted one no longer counts, so a server with a
//! backlog of 10 can have any number of clients. A limit on clients is a count of clients.

mod bug {
    use super::*;

    pub fn serve(limit: usize, clients: usize) -> Vec<Client> {
        let mut waiting = Backlog::new(limit);
        let mut served = Vec::new();
        for n in 0..clients {
            waiting.connect(Client(n));
            served.extend(waiting.accept());
        }
        served
    }
}

mod fix {
    use super::*;

    pub fn serve(limit: usize, clients: usize) -> Vec<Client> {
        let mut waiting = Backlog::new(4096);
        let mut served = Vec::new();
        for n in 0..clients {
            waiting.connect(Client(n));
            let client = waiting.accept();
            if served.len() < limit {
                served.extend(client);
            } else {
                // Closed at once: the client sees the end of the stream.
                drop(client);
            }
        }
        served
    }
}

pub struct Client(#[allow(dead_code)] usize);

/// The queue of a listening socket: connections that are complete, and not accepted yet.
struct Backlog {
    limit: usize,
    waiting: std::collections::VecDeque<Client>,
}

impl Backlog {
    fn new(limit: usize) -> Backlog {
        Backlog { limit, waiting: Default::default() }
    }

    fn connect(&mut self, client: Client) {
        if self.waiting.len() <= self.limit {
            self.waiting.push_back(client);
        }
    }

    fn accept(&mut self) -> Option<Client> {
        self.waiting.pop_front()
    }
}

fn input(serve: fn(usize, usize) -> Vec<Client>) -> String {
    match serve(10, 100).len() {
        served @ ..=10 => format!("{served} clients, {} refused", 100 - served),
        served => format!("{served} clients, although the limit is 10"),
    }
}

fn main() {
    card::run(&|| input(bug::serve), &|| input(fix::serve));
}
