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
        todo!("1.1: loop over the states; read, store what was read, go on or return")
    }
}
