//! The store: a map from keys to values, and two ways to share it.
//!
//! [`OneThread`] is for models with one thread: the map is borrowed while a request is answered.
//! [`ManyThreads`] has a lock, for a thread per client. The compiler rejects the wrong one:
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

/// Map from keys to values.
#[derive(Debug, Default)]
pub struct Store {
    values: HashMap<String, String>,
}

impl Store {
    /// Returns the answer to a get request.
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

    /// Stores a value and returns the answer to the put request.
    pub fn put(&mut self, key: String, value: String) -> Message {
        self.values.insert(key, value);
        Message {
            kind: kind::PUT,
            status: Status::Ok.into(),
            ..Message::default()
        }
    }
}

/// A store shared by several connections.
pub trait Shared: Clone {
    /// Executes a request and returns its answer.
    fn answer(&self, request: Request) -> Message;
}

/// Store of a server with one thread.
pub type OneThread = Rc<RefCell<Store>>;

/// Store of a server with many threads. A put has exclusive access, and gets run in parallel.
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
        // A poisoned lock is safe to use: the only change is an insert, which leaves a valid map.
        match request {
            Request::Get { key } => self.read().unwrap_or_else(PoisonError::into_inner).get(key),
            Request::Put { key, value } => self
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .put(key, value),
        }
    }
}
