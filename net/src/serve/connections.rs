//! The open connections of servers: how many there are, the limit on them, and their tasks.
//!
//! [`Connections`] is the public handle; several servers can share one. Each server has a
//! [`Table`] of its own in it, so that it can wait for its own connections and abort them. Called
//! by [`serve`](super::serve).
//!
//! ```text
//!   Connections: limit, count, on_close
//!     |- Table of server 1: [task, info] [          ] [task, info]  <- ConnectionGuard, in the task
//!     '- Table of server 2: [task, info] [task, info]               <- ConnectionGuard
//! ```
//!
//! A [`ConnectionGuard`] is dropped when its task ends for any reason: finished, aborted or
//! panicked. Hooks and wakers are user code, and so is dropping an info: no table is borrowed
//! while they run.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::vec;

use wakeful::task::{self, AbortHandle};

/// The open connections of one or more servers, and an optional limit on their number.
///
/// Every [`Serve`](super::Serve) has one. A program passes its own to share a limit between several
/// listeners, to count, list and abort the connections, or to be notified when one closes:
/// [`Serve::connections`](super::Serve::connections) for any number of servers, and
/// [`Serve::connections_with`](super::Serve::connections_with) to keep an info of type `T` for each
/// connection, such as the address of its peer.
///
/// Clones refer to the same connections. It belongs to one thread, as the servers do.
///
/// # Examples
///
/// Two listeners, at most 1,000 connections together:
///
/// ```
/// use wakeful_net::{Connections, TcpListener, TcpStream, UnixListener, UnixStream, serve};
///
/// # wakeful::block_on(async {
/// let connections = Connections::with_limit(1000);
/// connections.on_close(|task, ()| println!("the connection of task {task} has closed"));
///
/// # let path = format!("\0wakeful-doc-connections-{}", std::process::id());
/// let tcp = TcpListener::bind("127.0.0.1:0").await?;
/// let unix = UnixListener::bind(path)?;
/// let tcp = serve(tcp, async |stream, peer| handle_tcp(stream, peer).await);
/// let unix = serve(unix, async |stream, _peer| handle_unix(stream).await);
/// wakeful::spawn(tcp.connections(connections.clone()));
/// wakeful::spawn(unix.connections(connections.clone()));
///
/// println!("{} of at most {:?}", connections.len(), connections.limit());
/// # std::io::Result::Ok(())
/// # })
/// # .unwrap();
/// # async fn handle_tcp(_: TcpStream, _: std::net::SocketAddr) {}
/// # async fn handle_unix(_: UnixStream) {}
/// ```
pub struct Connections<T = ()> {
    shared: Rc<Shared<T>>,
}

struct Shared<T> {
    limit: usize,
    open: Cell<usize>,
    on_close: RefCell<Option<Hook<T>>>,
    /// Tables of the servers. Those of servers that are gone are removed when one is added.
    tables: RefCell<Vec<Weak<Table<T>>>>,
}

type Hook<T> = Rc<dyn Fn(task::Id, T)>;

impl<T> Connections<T> {
    /// Creates a set of connections without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(usize::MAX)
    }

    /// Creates a set of at most `limit` connections.
    ///
    /// Its servers accept no more while `limit` connections are open. Further clients wait in the
    /// queues of the listeners.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    #[must_use]
    #[track_caller]
    pub fn with_limit(limit: usize) -> Self {
        assert!(
            limit > 0,
            "a limit of 0 connections would accept no client: use 1 or more"
        );
        let shared = Rc::new(Shared {
            limit,
            open: Cell::new(0),
            on_close: RefCell::default(),
            tables: RefCell::default(),
        });
        Self { shared }
    }

    /// Returns the limit, if there is one.
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        (self.shared.limit < usize::MAX).then_some(self.shared.limit)
    }

    /// Returns the number of open connections.
    ///
    /// A connection is open from the time when it is accepted until its task has ended and the
    /// handler's future is dropped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.open.get()
    }

    /// Returns whether no connection is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `hook` each time a connection has closed, with the id of its task and its info.
    /// Replaces an earlier hook.
    ///
    /// The call comes after the handler's future was dropped, however its task ended, and before
    /// the place is given to another client. So what a program keeps for a connection can be
    /// removed here.
    ///
    /// # Panics
    ///
    /// A panic of `hook` is treated as one of the handler's. If the handler panicked already, the
    /// second panic aborts the process.
    pub fn on_close(&self, hook: impl Fn(task::Id, T) + 'static) {
        let replaced = self.shared.on_close.replace(Some(Rc::new(hook)));
        drop(replaced); // user code, so not under the borrow
    }

    /// Returns an iterator over the tasks and infos of the connections that are open now.
    ///
    /// It is a snapshot: connections that open or close meanwhile do not change it. A handle
    /// identifies the task ([`AbortHandle::id`]), for example among those of [`task::dump`], and
    /// can abort it, which closes the connection.
    ///
    /// # Panics
    ///
    /// If `T::clone` opens or closes a connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # let connections = wakeful_net::Connections::<std::net::SocketAddr>::new();
    /// for (task, peer) in connections.iter() {
    ///     println!("closing the connection to {peer}");
    ///     task.abort();
    /// }
    /// ```
    #[must_use]
    #[expect(
        clippy::iter_without_into_iter,
        reason = "`for` over the handle itself would hide that this is a snapshot"
    )]
    pub fn iter(&self) -> vec::IntoIter<(AbortHandle, T)>
    where
        T: Clone,
    {
        let mut open = Vec::with_capacity(self.len());
        for table in self.tables() {
            open.extend(table.entries.borrow().iter().flatten().cloned());
        }
        open.into_iter()
    }

    /// Adds the table of a further server.
    pub(super) fn table(&self) -> Rc<Table<T>> {
        let table = Rc::new(Table {
            connections: self.clone(),
            entries: RefCell::default(),
            vacant: RefCell::default(),
            one_closed: Cell::new(false),
            waker: Cell::new(None),
        });
        let mut tables = self.shared.tables.borrow_mut();
        tables.retain(|table| table.strong_count() > 0);
        tables.push(Rc::downgrade(&table));
        table
    }

    /// Returns whether the limit is reached.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.shared.limit
    }

    fn tables(&self) -> Vec<Rc<Table<T>>> {
        let tables = self.shared.tables.borrow();
        tables.iter().filter_map(Weak::upgrade).collect()
    }

    /// Reports a closed connection to the hook, then to all servers.
    fn closed(&self, entry: Option<(AbortHandle, T)>) {
        self.shared.open.set(self.len() - 1);
        if let Some((task, info)) = entry {
            let hook = self.shared.on_close.borrow().clone();
            match hook {
                Some(hook) => hook(task.id(), info),
                None => drop(info),
            }
        }
        // Taken out first: a wake can run user code that comes back here. Allocates only if a server
        // waits, for example at its limit.
        let wakers: Vec<Waker> = {
            let tables = self.shared.tables.borrow();
            let waker_of = |table: Rc<Table<T>>| {
                table.one_closed.set(true);
                table.waker.take()
            };
            let tables = tables.iter().filter_map(Weak::upgrade);
            tables.filter_map(waker_of).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Clone for Connections<T> {
    fn clone(&self) -> Self {
        let shared = Rc::clone(&self.shared);
        Self { shared }
    }
}

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Connections<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("open", &self.len())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}

/// The connections of one server.
pub(super) struct Table<T> {
    connections: Connections<T>,
    /// How to abort each connection, and its info. `None` where one has closed; these indices are
    /// in `vacant`.
    entries: RefCell<Vec<Option<(AbortHandle, T)>>>,
    vacant: RefCell<Vec<usize>>,
    /// Whether a connection of any server has closed since the server last looked.
    one_closed: Cell<bool>,
    /// The server's waker while it waits for a connection to close.
    waker: Cell<Option<Waker>>,
}

impl<T> Table<T> {
    /// Returns the set that limits this server.
    pub(super) fn connections(&self) -> &Connections<T> {
        &self.connections
    }

    /// Returns the number of this server's connections.
    pub(super) fn len(&self) -> usize {
        self.entries.borrow().len() - self.vacant.borrow().len()
    }

    /// Returns whether a connection has closed since the last call.
    pub(super) fn take_one_closed(&self) -> bool {
        self.one_closed.take()
    }

    /// Registers the server's waker for the next connection that closes.
    ///
    /// Cloning the waker is user code and can close connections. So callers look at the table
    /// after this call, not only before it; otherwise such a wake-up is lost.
    pub(super) fn register(&self, cx: &Context<'_>) {
        let waker = match self.waker.take() {
            Some(known) if known.will_wake(cx.waker()) => known,
            _ => cx.waker().clone(),
        };
        drop(self.waker.replace(Some(waker)));
    }

    /// Reserves an entry for a connection, until the guard is dropped.
    pub(super) fn reserve(self: &Rc<Self>) -> ConnectionGuard<T> {
        let open = &self.connections.shared.open;
        open.set(open.get() + 1);
        let vacant = self.vacant.borrow_mut().pop();
        let index = vacant.unwrap_or_else(|| {
            let mut entries = self.entries.borrow_mut();
            entries.push(None);
            entries.len() - 1
        });
        ConnectionGuard {
            table: Rc::clone(self),
            index,
        }
    }

    /// Fills the reserved entry with this index.
    pub(super) fn insert(&self, index: usize, task: AbortHandle, info: T) {
        self.entries.borrow_mut()[index] = Some((task, info));
    }

    /// Aborts the tasks of all connections and returns their number.
    pub(super) fn abort_all(&self) -> usize {
        // Copied first: dropping a task's future can run user code that comes back here.
        let entries = self.entries.borrow();
        let tasks: Vec<_> = entries
            .iter()
            .flatten()
            .map(|(task, _)| task.clone())
            .collect();
        drop(entries);
        for task in &tasks {
            task.abort();
        }
        tasks.len()
    }
}

/// Keeps the entry of a connection; held by the connection's task.
pub(super) struct ConnectionGuard<T> {
    table: Rc<Table<T>>,
    index: usize,
}

impl<T> ConnectionGuard<T> {
    /// Returns the index of the entry.
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl<T> Drop for ConnectionGuard<T> {
    fn drop(&mut self) {
        let entry = self.table.entries.borrow_mut()[self.index].take();
        self.table.vacant.borrow_mut().push(self.index);
        self.table.connections.closed(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_servers_that_have_ended_are_removed() {
        let connections = Connections::<()>::new();
        for _ in 0..10 {
            drop(connections.table());
        }
        assert_eq!(connections.shared.tables.borrow().len(), 1);
    }
}
