//! Random programs of datagrams, checked against a model: which one each receive returns, from whom, and
//! whether it was truncated.
//!
//! One socket receives from two others over loopback, where a datagram has arrived when the call that
//! sends it returns. Few bytes are under way at once, so that the kernel drops none.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};

use futures_lite::future::{poll_once, zip};
use wakeful_net::UdpSocket;

use super::Choices;
use crate::net_support::{pattern, run as run_async};

/// The most bytes that wait to be received.
const UNDER_WAY: usize = 32 << 10;

/// The most datagrams that wait to be received.
const DATAGRAMS: usize = 48;

/// What one receive takes: a datagram, or several that were sent together to a socket with GRO.
#[derive(Debug)]
struct Expected {
    from: usize,
    bytes: Vec<u8>,
    stride: usize,
}

struct Program {
    choices: Choices,
    receiver: UdpSocket,
    address: SocketAddr,
    senders: [UdpSocket; 2],
    addresses: [SocketAddr; 2],
    expected: VecDeque<Expected>,
    gro: bool,
    sent: u64,
}

impl Program {
    async fn new(bytes: &[u8]) -> Program {
        let receiver = bound().await;
        let senders = [bound().await, bound().await];
        Program {
            choices: Choices::new(bytes),
            address: receiver.local_addr().expect("an address"),
            addresses: [0, 1].map(|n: usize| senders[n].local_addr().expect("an address")),
            receiver,
            senders,
            expected: VecDeque::new(),
            gro: false,
            sent: 0,
        }
    }

    /// Returns a length that is often at the end of its range.
    fn length(&mut self, longest: usize) -> usize {
        match self.choices.below(6) {
            0 => 0,
            1 => 1.min(longest),
            2 => longest,
            _ => self.choices.below(longest + 1),
        }
    }

    /// Draws a batch of datagrams: the sender, the bytes, and the size of each datagram.
    fn batch(&mut self) -> Option<(usize, Vec<u8>, usize)> {
        let free = UNDER_WAY
            - self
                .expected
                .iter()
                .map(|one| one.bytes.len())
                .sum::<usize>();
        let waiting: usize = self.expected.iter().map(|one| pieces(one).count()).sum();
        let from = self.choices.below(2);
        let length = self.length(free.min(9000));
        let size = 1 + self.length(1399);
        let few = length.div_ceil(size) <= 16 && waiting + 16 <= DATAGRAMS;
        self.sent += 1;
        few.then(|| (from, pattern(length, self.sent), size))
    }

    async fn send(&mut self, together: bool) {
        let Some((from, bytes, size)) = self.batch() else {
            return;
        };
        let (sender, to) = (&self.senders[from], self.address);
        if together {
            let sent = sender.send_segments(&bytes, size, to, None).await;
            assert_eq!(sent.expect("sent"), bytes.len());
            let stride = if bytes.len() <= size {
                bytes.len()
            } else {
                size
            };
            self.expect(from, bytes, stride);
        } else {
            let sent = sender.send_to(&bytes, to).await;
            assert_eq!(sent.expect("sent"), bytes.len());
            let stride = bytes.len();
            self.expect(from, bytes, stride);
        }
    }

    fn expect(&mut self, from: usize, bytes: Vec<u8>, stride: usize) {
        let whole = Expected {
            from,
            bytes,
            stride,
        };
        if self.gro {
            self.expected.push_back(whole);
            return;
        }
        for piece in pieces(&whole) {
            let (bytes, stride) = (piece.to_vec(), piece.len());
            self.expected.push_back(Expected {
                from,
                bytes,
                stride,
            });
        }
    }

    /// Receives with a buffer of any length. What did not fit is lost.
    async fn receive(&mut self, with_meta: bool) {
        let length = self.length(10_000);
        let mut buf = vec![0; length];
        let Some(first) = self.expected.pop_front() else {
            return self.receive_nothing(&mut buf).await;
        };
        let kept = first.bytes.len().min(length);
        if with_meta {
            let meta = self.receiver.recv_msg(&mut buf).await.expect("received");
            assert_eq!((meta.len, meta.peer), (kept, self.addresses[first.from]));
            assert_eq!(meta.truncated, kept < first.bytes.len());
            let lengths = meta.segments(&buf).map(<[u8]>::len);
            let stride = first.stride.max(1);
            let whole = first.bytes[..kept].chunks(stride).map(<[u8]>::len);
            let whole = Vec::from_iter(whole);
            let whole = if whole.is_empty() { vec![0] } else { whole };
            assert_eq!(Vec::from_iter(lengths), whole);
        } else {
            let received = self.receiver.recv_from(&mut buf).await.expect("received");
            assert_eq!(received, (kept, self.addresses[first.from]));
        }
        assert!(buf[..kept] == first.bytes[..kept], "other bytes");
    }

    async fn receive_nothing(&mut self, buf: &mut [u8]) {
        let error = self.receiver.try_recv(buf).expect_err("nothing to receive");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        // A receive that is dropped while it waits loses nothing.
        let dropped = poll_once(self.receiver.recv_from(buf)).await;
        assert!(dropped.is_none());
    }

    async fn peek(&mut self) {
        let length = self.length(10_000);
        let mut buf = vec![0; length];
        let Some(first) = self.expected.front() else {
            return self.receive_nothing(&mut buf).await;
        };
        let kept = first.bytes.len().min(length);
        let peeked = self.receiver.peek_from(&mut buf).await.expect("peeked");
        assert_eq!(peeked, (kept, self.addresses[first.from]));
        assert!(buf[..kept] == first.bytes[..kept], "other bytes");
    }

    /// A receive that waits is woken by the datagram that comes.
    async fn wait(&mut self) {
        if !self.expected.is_empty() {
            return;
        }
        let Some((from, bytes, _)) = self.batch() else {
            return;
        };
        let mut buf = vec![0; 10_000];
        let send = self.senders[from].send_to(&bytes, self.address);
        let (received, sent) = zip(self.receiver.recv_from(&mut buf), send).await;
        assert_eq!(sent.expect("sent"), bytes.len());
        let (length, peer) = received.expect("received");
        assert_eq!((&buf[..length], peer), (&bytes[..], self.addresses[from]));
    }

    async fn step(&mut self) {
        match self.choices.below(12) {
            0..=1 => self.send(false).await,
            2..=3 => self.send(true).await,
            4..=5 => self.receive(true).await,
            6..=7 => self.receive(false).await,
            8 => self.peek().await,
            9 => self.wait().await,
            // What has arrived stays as it is.
            10 if self.expected.is_empty() => {
                self.gro = !self.gro;
                self.receiver.set_gro(self.gro).expect("Linux 5.0");
            }
            _ => wakeful::task::yield_now().await,
        }
    }
}

/// The datagrams of a receive: at least one, which can be empty.
fn pieces(of: &Expected) -> impl Iterator<Item = &[u8]> {
    let empty = of.bytes.is_empty().then_some(&of.bytes[..]);
    of.bytes.chunks(of.stride.max(1)).chain(empty)
}

async fn bound() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    socket.expect("a socket on loopback")
}

/// Runs the program that `bytes` choose.
///
/// # Panics
///
/// When a receive returns other than its model.
pub fn run(bytes: &[u8]) {
    run_async(async {
        let mut program = Program::new(bytes).await;
        while !program.choices.is_used_up() {
            program.step().await;
        }
        while !program.expected.is_empty() {
            program.receive(true).await;
        }
    });
}
