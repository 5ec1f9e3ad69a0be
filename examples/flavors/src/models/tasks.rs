//! The model `async`: one thread, Wakeful, and a task for each client.
//!
//! How it waits: at each `.await` the task is put aside, and the runtime waits for all of them in one
//! epoll_wait(2). What a client was in the middle of stands where the reader expects it, in the local
//! variables of [`converse`]; the compiler makes the state machine of `event_loop` out of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use wakeful::time::{Instant, sleep};
use wakeful_net::{TcpListener, TcpStream};

use crate::end::{Broken, report};
use crate::protocol::Decoder;
use crate::serve::{Accepting, AfterAccept, GRACE, PAUSE, Settings};
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
        let mut accepting = Accepting::default();
        loop {
            match accept(&listener).await {
                Ok((stream, peer)) => {
                    let (store, client) = (store.clone(), clients.enter(stream));
                    drop(wakeful::spawn(async move {
                        report(peer, &converse(&client.stream, &store, settings).await);
                    }));
                }
                Err(error) => match accepting.failed(error)? {
                    AfterAccept::Next => {}
                    AfterAccept::Pause => sleep(PAUSE).await,
                    AfterAccept::Stop => {
                        clients.end().await;
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

/// Everything one client asks, until it leaves.
async fn converse(
    stream: &TcpStream,
    store: &impl Shared,
    settings: Settings,
) -> Result<(), Broken> {
    let mut decoder = Decoder::new(settings.max_frame);
    loop {
        while let Some(request) = decoder.next_request()? {
            let answer = store.answer(request).to_frame();
            write(stream, &answer)
                .await
                .map_err(Broken::during("send"))?;
        }
        match read(stream, decoder.room())
            .await
            .map_err(Broken::during("recv"))?
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

/// Who is here, for the end.
#[derive(Clone, Debug, Default)]
struct Clients {
    open: Rc<RefCell<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    streams: HashMap<u64, Rc<TcpStream>>,
    accepted: u64,
}

/// A client's place among them, given back when its task ends.
struct Client {
    stream: Rc<TcpStream>,
    id: u64,
    clients: Clients,
}

impl Clients {
    fn enter(&self, stream: TcpStream) -> Client {
        let stream = Rc::new(stream);
        let mut open = self.open.borrow_mut();
        open.accepted += 1;
        let id = open.accepted;
        open.streams.insert(id, Rc::clone(&stream));
        Client {
            stream,
            id,
            clients: self.clone(),
        }
    }

    /// Ends everybody's input; who then does not take the answers is cut off after the grace.
    async fn end(&self) {
        for stream in self.open.borrow().streams.values() {
            // An error says that it has ended already.
            stream.shutdown_now(Shutdown::Read).ok();
        }
        let cut_off = Instant::now() + GRACE;
        while !self.open.borrow().streams.is_empty() && Instant::now() < cut_off {
            // Nobody rings when a client leaves: a look now and then will do for one second.
            sleep(PAUSE / 5).await;
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let left = self.clients.open.borrow_mut().streams.remove(&self.id);
        drop(left);
    }
}
