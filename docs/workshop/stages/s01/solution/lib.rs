//! A frame: four bytes with the length of its body, big-endian, then the body. Reads one frame from bytes
//! that come in pieces. This is what the compiler makes of an `async fn`, written by hand.

use std::pin::Pin;
use std::task::{Context, Poll};

/// The longest body.
pub const LONGEST: usize = 1 << 20;

/// Where bytes come from.
pub trait Bytes {
    /// Reads what is there. 0 is the end. `Pending`: the waker is stored, and called when there is more.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize>;
}

/// Why there is no frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// The body would be longer than `LONGEST`.
    TooLong,
    /// The bytes ended within the frame.
    Ended,
}

/// A future that reads one frame.
pub struct ReadFrame<'b, B> {
    bytes: &'b mut B,
    state: State,
}

/// Where the future continues, with the variables that it needs there.
enum State {
    Header { header: [u8; 4], filled: usize },
    Body { length: usize, body: Vec<u8> },
}

/// Returns a future that reads one frame.
pub fn read_frame<B: Bytes>(bytes: &mut B) -> ReadFrame<'_, B> {
    ReadFrame { bytes, state: State::Header { header: [0; 4], filled: 0 } }
}

impl<B: Bytes> Future for ReadFrame<'_, B> {
    type Output = Result<Vec<u8>, Broken>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Header { header, filled } if *filled < header.len() => {
                    match this.bytes.poll_read(cx, &mut header[*filled..]) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(0) => return Poll::Ready(Err(Broken::Ended)),
                        Poll::Ready(n) => *filled += n,
                    }
                }
                State::Header { header, .. } => {
                    let length = u32::from_be_bytes(*header) as usize;
                    if length > LONGEST {
                        return Poll::Ready(Err(Broken::TooLong));
                    }
                    this.state = State::Body { length, body: Vec::new() };
                }
                State::Body { length, body } if body.len() < *length => {
                    // The peer only claims the length, so no more is allocated than has arrived.
                    let mut buffer = [0; 1024];
                    let room = buffer.len().min(*length - body.len());
                    match this.bytes.poll_read(cx, &mut buffer[..room]) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(0) => return Poll::Ready(Err(Broken::Ended)),
                        Poll::Ready(n) => body.extend_from_slice(&buffer[..n]),
                    }
                }
                State::Body { body, .. } => return Poll::Ready(Ok(std::mem::take(body))),
            }
        }
    }
}
