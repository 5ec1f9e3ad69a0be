//! The store: a map from keys to values, and two ways to share it.
//!
//! On one thread [`OneThread`] does: a map that is borrowed while a request is answered. With a thread
//! per client it takes [`ManyThreads`], a lock. The compiler tells the two apart:
//!
//! ```compile_fail,E0277
//! use flavors::protocol::Request;
//! use flavors::store::{OneThread, Shared};
//!
//! let store = OneThread::default();
//! std::thread::spawn(move || store.answer(Request::Get { key: "a".into() }));
//! // error[E0277]: `Rc<RefCell<Store>>` cannot be sent between threads safely
//! ```
//!
//! ```
//! use flavors::protocol::Request;
//! use flavors::store::{ManyThreads, Shared};
//!
//! let store = ManyThreads::default();
//! let thread = std::thread::spawn(move || store.answer(Request::Get { key: "a".into() }));
//! assert_eq!(thread.join().unwrap().key, "a");
//! ```

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};

use crate::protocol::{Message, Request, Status, kind};

/// The keys with their values.
#[derive(Debug, Default)]
pub struct Store {
    values: HashMap<String, String>,
}

impl Store {
    /// The answer to "get".
    #[must_use]
    pub fn get(&self, key: String) -> Message {
        let (value, status) = match self.values.get(&key) {
            Some(value) => (value.clone(), Status::Ok),
            None => (String::new(), Status::NotOk),
        };
        Message {
            key,
            value,
            kind: kind::GET_RESPONSE,
            status: status.into(),
        }
    }

    /// Stores the value; the answer to "put".
    pub fn put(&mut self, key: String, value: String) -> Message {
        self.values.insert(key, value);
        Message {
            kind: kind::PUT,
            status: Status::Ok.into(),
            ..Message::default()
        }
    }
}

/// A store that several connections use.
pub trait Shared: Clone {
    /// Does what the request asks, and says how it went.
    fn answer(&self, request: Request) -> Message;
}

/// For servers of one thread: nobody else can be inside.
pub type OneThread = Rc<RefCell<Store>>;

/// For servers of many threads: whoever puts is alone, whoever gets is not.
pub type ManyThreads = Arc<RwLock<Store>>;

impl Shared for OneThread {
    fn answer(&self, request: Request) -> Message {
        match request {
            Request::Get { key } => self.borrow().get(key),
            Request::Put { key, value } => self.borrow_mut().put(key, value),
        }
    }
}

impl Shared for ManyThreads {
    fn answer(&self, request: Request) -> Message {
        // A thread that panicked inside has left a whole map: inserting is all that changes it.
        match request {
            Request::Get { key } => self.read().unwrap_or_else(PoisonError::into_inner).get(key),
            Request::Put { key, value } => self
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .put(key, value),
        }
    }
}
