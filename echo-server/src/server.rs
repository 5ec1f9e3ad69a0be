//! The server on one thread: starts the tasks that accept clients and that echo datagrams.
//!
//! Called by [`crate::workers`], once per thread. [`crate::shutdown`] ends what this file starts.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use wakeful::task::JoinHandle;
use wakeful_net::Connections;

use crate::accept::accept;
use crate::connection::Connection;
use crate::listen::{self, Registered, Socket};
use crate::state::{Options, State};
use crate::udp;

/// What the tasks of one thread work on, for those that observe and end them.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) state: Rc<State>,
    /// The open connections and their limit.
    pub(crate) connections: Connections<Rc<Connection>>,
}

/// The server on one thread.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) served: Served,
    /// One task per listening socket; each returns how many connections were aborted.
    pub(crate) accepting: Vec<JoinHandle<usize>>,
    /// One task per datagram socket.
    pub(crate) udp: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a task for each socket on the current runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if a socket cannot be registered or does not report its address.
    pub(crate) fn start(options: &Options, sockets: Vec<Socket>) -> io::Result<Server> {
        let state = State::new(options);
        let connections = Connections::with_limit(options.max_connections);
        let own: Rc<[SocketAddr]> = listen::udp_addresses(&sockets)?.into();
        let (mut accepting, mut udp) = (Vec::new(), Vec::new());
        for socket in sockets {
            let (registered, local_addr) = socket.register()?;
            let state = Rc::clone(&state);
            match registered {
                Registered::Listening(socket) => {
                    let task = accept(socket, local_addr, state, connections.clone());
                    accepting.push(wakeful::spawn(task));
                }
                Registered::Udp(socket) => {
                    let task = udp::echo(socket, local_addr, Rc::clone(&own), state);
                    udp.push(wakeful::spawn(task));
                }
            }
        }
        Ok(Server {
            served: Served { state, connections },
            accepting,
            udp,
        })
    }
}
