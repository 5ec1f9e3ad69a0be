//! B28. A kind that no table has
//!
//! From: F. Stage: 11.
//! Input: a request of kind 9.
//! Bug: panics: no handler
//! Fix: refused: unknown kind 9 (known: 1, 3)
//!
//! The table is asked for a number that a client chose. Without an entry the program ends, for all clients. What
//! comes from outside is looked up with `get`, and the answer names what is allowed.

use std::collections::BTreeMap;

type Handlers = BTreeMap<u32, fn() -> &'static str>;

mod bug {
    use super::*;

    pub fn handle(handlers: &Handlers, kind: u32) -> Result<&'static str, String> {
        let handler = handlers.get(&kind).expect("no handler");
        Ok(handler())
    }
}

mod fix {
    use super::*;

    pub fn handle(handlers: &Handlers, kind: u32) -> Result<&'static str, String> {
        match handlers.get(&kind) {
            Some(handler) => Ok(handler()),
            None => {
                let known: Vec<_> = handlers.keys().map(u32::to_string).collect();
                Err(format!("unknown kind {kind} (known: {})", known.join(", ")))
            }
        }
    }
}

fn input(handle: fn(&Handlers, u32) -> Result<&'static str, String>) -> String {
    let mut handlers = Handlers::new();
    handlers.insert(1, || "get");
    handlers.insert(3, || "put");
    match handle(&handlers, 9) {
        Ok(done) => format!("done: {done}"),
        Err(error) => format!("refused: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::handle), &|| input(fix::handle));
}
