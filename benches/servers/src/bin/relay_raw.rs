//! The floor of relays: a loop around epoll(7) that moves all bytes with splice(2), through a pipe for each
//! direction.

use std::error::Error;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use bench_servers::listen;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// Upper limit of one splice.
const AT_ONCE: usize = 128 * 1024;

/// Token of the listener; those of connections are indices.
const LISTENER: u64 = u64::MAX;

/// A pipe and the number of bytes in it.
struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    len: usize,
    ended: bool,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        Ok(Self {
            reader,
            writer,
            len: 0,
            ended: false,
        })
    }

    /// Moves bytes until one of the sockets has to be waited for.
    fn pump(&mut self, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        let flags = SpliceFlags::NONBLOCK;
        loop {
            while self.len > 0 {
                match splice(&self.reader, None, to, None, self.len, flags) {
                    Ok(moved) => self.len -= moved,
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
            if self.ended {
                return Ok(());
            }
            match splice(from, None, &self.writer, None, AT_ONCE, flags) {
                Ok(0) => {
                    self.ended = true;
                    to.shutdown(Shutdown::Write)?;
                }
                Ok(moved) => self.len = moved,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

struct Pair {
    a: TcpStream,
    b: TcpStream,
    a_to_b: Pipe,
    b_to_a: Pipe,
}

impl Pair {
    fn pump(&mut self) -> io::Result<()> {
        self.a_to_b.pump(&self.a, &self.b)?;
        self.b_to_a.pump(&self.b, &self.a)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let listener = listen()?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let (mut pairs, mut waiting) = (Vec::new(), None);
    let mut events = vec![MaybeUninit::<epoll::Event>::uninit(); 1024];
    loop {
        let (ready, _) = epoll::wait(&epoll, &mut events[..], None)?;
        for event in ready.iter() {
            // Copied because references into a packed struct are not allowed.
            let token = event.data.u64();
            if token == LISTENER {
                accept(&listener, &epoll, &mut waiting, &mut pairs)?;
            } else if let Some(pair) = &mut pairs[token as usize]
                && pair.pump().is_err()
            {
                pairs[token as usize] = None;
            }
        }
    }
}

/// Accepts a connection, and connects it to the last one if that has no partner yet.
fn accept(
    listener: &TcpListener,
    epoll: &OwnedFd,
    waiting: &mut Option<TcpStream>,
    pairs: &mut Vec<Option<Pair>>,
) -> io::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let Some(a) = waiting.take() else {
        *waiting = Some(stream);
        return Ok(());
    };
    let pair = Pair {
        a,
        b: stream,
        a_to_b: Pipe::new()?,
        b_to_a: Pipe::new()?,
    };
    let token = EventData::new_u64(pairs.len() as u64);
    let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(epoll, &pair.a, token, interest)?;
    epoll::add(epoll, &pair.b, token, interest)?;
    pairs.push(Some(pair));
    Ok(())
}
