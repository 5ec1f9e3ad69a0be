//! The table of the open connections of one runtime, with the limit on their number.
//!
//! A connection is entered by [`crate::accept`] and leaves when its [`Seat`] is dropped, however
//! its task ends: finished, failed, panicked, cancelled. Leaving rings a bell, on which accepting
//! waits when there is no room (`--max-connections`) or no descriptor.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::bell::Bell;
use crate::connection::Connection;

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    /// `None` where one has left; [`Connections::vacant`] lists those places.
    places: RefCell<Vec<Option<Rc<Connection>>>>,
    vacant: RefCell<Vec<usize>>,
    open: Cell<usize>,
    limit: usize,
    /// Rings when a connection has left.
    left: Bell,
}

impl Connections {
    pub(crate) fn new(limit: usize) -> Connections {
        Connections {
            places: RefCell::default(),
            vacant: RefCell::default(),
            open: Cell::new(0),
            limit,
            left: Bell::default(),
        }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<Rc<Connection>> {
        self.places.borrow().iter().flatten().cloned().collect()
    }

    /// Ready while there is room for one more; otherwise wakes when one has left.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        if self.open.get() < self.limit {
            return Poll::Ready(());
        }
        self.left.listen(cx);
        Poll::Pending
    }

    /// Waits until the next connection leaves.
    pub(crate) fn one_left(&self) -> impl Future<Output = ()> {
        self.left.next()
    }

    /// Enters a connection.
    pub(crate) fn enter(self: &Rc<Self>, connection: Connection) -> Seat {
        let connection = Rc::new(connection);
        let vacant = self.vacant.borrow_mut().pop();
        let mut places = self.places.borrow_mut();
        let place = vacant.unwrap_or_else(|| {
            places.push(None);
            places.len() - 1
        });
        places[place] = Some(Rc::clone(&connection));
        self.open.set(self.open.get() + 1);
        Seat {
            connection,
            place,
            table: Rc::clone(self),
        }
    }
}

/// A connection's place in the table, held by the task that serves it.
#[derive(Debug)]
pub(crate) struct Seat {
    connection: Rc<Connection>,
    place: usize,
    table: Rc<Connections>,
}

impl Seat {
    /// The connection, for somebody who only looks at it.
    pub(crate) fn share(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }
}

impl Deref for Seat {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The socket itself closes when this seat's own `Rc` goes, right after this function. Those
        // whom the bell wakes run later still, so they find the descriptor free.
        let entry = self.table.places.borrow_mut()[self.place].take();
        drop(entry);
        self.table.vacant.borrow_mut().push(self.place);
        self.table.open.set(self.table.open.get() - 1);
        self.table.left.ring();
    }
}
