//! Reads lines from bytes that come in pieces. A read can be dropped at any `.await`: no byte is lost.

use std::future::poll_fn;
use std::task::{Context, Poll};

/// Where bytes come from.
pub trait Bytes {
    /// Reads what is there. 0 is the end. `Pending`: the waker is stored, and called when there is more.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<usize>;
}

/// Reads what is there. Dropped while it waits, it has read nothing.
async fn read(bytes: &mut impl Bytes, buffer: &mut [u8]) -> usize {
    poll_fn(|cx| bytes.poll_read(cx, buffer)).await
}

/// Reads lines.
pub struct LineReader<B> {
    bytes: B,
    /// Bytes that were read and belong to no line that was returned.
    rest: Vec<u8>,
    /// The first line of a pair whose second line has not come.
    first: Option<String>,
}

impl<B: Bytes> LineReader<B> {
    /// Returns a reader that has read nothing.
    pub fn new(bytes: B) -> LineReader<B> {
        LineReader { bytes, rest: Vec::new(), first: None }
    }

    /// Returns the next line without its `\n`, or `None` at the end. The last line can lack its `\n`.
    ///
    /// Cancel safe: the next call continues where a dropped one has stopped.
    pub async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let mut buffer = [0; 64];
            let n = read(&mut self.bytes, &mut buffer).await;
            // No `.await` between the read and this line, so the bytes cannot be dropped here.
            self.rest.extend_from_slice(&buffer[..n]);
            if n == 0 {
                let last = std::mem::take(&mut self.rest);
                let last = String::from_utf8_lossy(&last).into_owned();
                return Some(last).filter(|last| !last.is_empty());
            }
        }
    }

    /// Returns the next two lines, such as a name and its value. `None` if there are fewer.
    ///
    /// Cancel safe, as `next_line` is.
    pub async fn next_pair(&mut self) -> Option<(String, String)> {
        if self.first.is_none() {
            self.first = Some(self.next_line().await?);
        }
        let second = self.next_line().await?;
        Some((self.first.take()?, second))
    }
}
