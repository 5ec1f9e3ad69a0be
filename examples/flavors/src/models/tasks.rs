//! The model `async`: one thread, Wakeful, and a task for each client.
//!
//! How it waits: each `.await` suspends the task, and the runtime waits for all tasks in one
//! epoll_wait(2). The state of a client is in the local variables of [`serve_client`]. The compiler
//! turns them into the state machine that `event_loop` has by hand.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use wakeful::time::{Instant, sleep};
use wakeful_net::{TcpListener, TcpStream};

use crate::end::{ConnectionError, log_outcome};
use crate::protocol::Decoder;
use crate::serve::{ACCEPT_RETRY_DELAY, AcceptErrors, AfterAccept, SHUTDOWN_TIMEOUT, Settings};
use crate::store::{OneThread, Shared};

/// Serves until SIGTERM.
pub(crate) fn serve(
    listener: &'static std::net::TcpListener,
    settings: Settings,
) -> io::Result<()> {
    wakeful::block_on(async {
        let listener = TcpListener::from_std(listener.try_clone()?)?;
        let store = OneThread::default();
        let clients = Clients::default();
        let mut accept_errors = AcceptErrors::default();
        loop {
            match accept(&listener).await {
                Ok((stream, peer)) => {
                    let (store, client) = (store.clone(), clients.insert(stream));
                    drop(wakeful::spawn(async move {
                        log_outcome(peer, &serve_client(&client.stream, &store, settings).await);
                    }));
                }
                Err(error) => match accept_errors.handle(error)? {
                    AfterAccept::Continue => {}
                    AfterAccept::Retry => sleep(ACCEPT_RETRY_DELAY).await,
                    AfterAccept::Stop => {
                        clients.shut_down().await;
                        return Ok(());
                    }
                },
            }
        }
    })
}

async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

/// Answers all requests of a client until it disconnects.
async fn serve_client(
    stream: &TcpStream,
    store: &impl Shared,
    settings: Settings,
) -> Result<(), ConnectionError> {
    let mut decoder = Decoder::new(settings.max_frame);
    loop {
        while let Some(request) = decoder.next_request()? {
            let answer = store.answer(request).to_frame();
            write(stream, &answer)
                .await
                .map_err(ConnectionError::io("send"))?;
        }
        match read(stream, decoder.room())
            .await
            .map_err(ConnectionError::io("recv"))?
        {
            0 => return Ok(decoder.finish()?),
            n => decoder.filled(n),
        }
    }
}

async fn read(stream: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    stream.read(room).await
}

async fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await
}

/// The connected clients, for the shutdown.
#[derive(Clone, Debug, Default)]
struct Clients {
    table: Rc<RefCell<ClientTable>>,
}

#[derive(Debug, Default)]
struct ClientTable {
    streams: HashMap<u64, Rc<TcpStream>>,
    accepted: u64,
}

/// An entry in [`Clients`], removed on drop: when its task ends.
struct Client {
    stream: Rc<TcpStream>,
    id: u64,
    clients: Clients,
}

impl Clients {
    fn insert(&self, stream: TcpStream) -> Client {
        let stream = Rc::new(stream);
        let mut table = self.table.borrow_mut();
        table.accepted += 1;
        let id = table.accepted;
        table.streams.insert(id, Rc::clone(&stream));
        Client {
            stream,
            id,
            clients: self.clone(),
        }
    }

    /// Ends the input of all clients, and returns when they have closed or after the timeout.
    async fn shut_down(&self) {
        for stream in self.table.borrow().streams.values() {
            // An error means that the connection has ended already.
            stream.shutdown_now(Shutdown::Read).ok();
        }
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        while !self.table.borrow().streams.is_empty() && Instant::now() < deadline {
            // Polling is enough for one second, so a closing client sends no notification.
            sleep(ACCEPT_RETRY_DELAY / 5).await;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let stream = self.clients.table.borrow_mut().streams.remove(&self.id);
        drop(stream);
    }
}
