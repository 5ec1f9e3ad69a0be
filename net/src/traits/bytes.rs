//! Feature `bytes`: reads that append to a buffer of the crate bytes, such as `BytesMut` or `Vec<u8>`.

use std::io;
use std::ops::Deref;

use ::bytes::BufMut;

use crate::stream::{ReadHalf, Split};
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

/// Upper limit of the bytes that are read at once. They are copied, because a read into memory that
/// was never written needs `unsafe`.
const MAX_COPIED: usize = 16 * 1024;

/// Reads as much as the buffer has room for, up to [`MAX_COPIED`], and appends it.
fn append<B: BufMut>(
    buf: &mut B,
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut room = vec![0; buf.chunk_mut().len().min(MAX_COPIED)];
    let n = read(&mut room)?;
    buf.put_slice(&room[..n]);
    Ok(n)
}

impl TcpStream {
    /// Reads available bytes without waiting, and appends them to a buffer. Feature `bytes`.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (stream, _) = listener.accept().await?;
    /// client.write_all(b"hello").await?;
    /// stream.readable().await?;
    /// let mut buf = b"> ".to_vec();
    /// assert_eq!(stream.try_read_buf(&mut buf)?, 5);
    /// assert_eq!(buf, b"> hello");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        append(buf, |room| self.try_read(room))
    }
}

impl UnixStream {
    /// Reads available bytes without waiting, and appends them to a buffer. Feature `bytes`.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    #[track_caller]
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        append(buf, |room| self.try_read(room))
    }
}

impl<R: Deref<Target: Split>> ReadHalf<R> {
    /// Reads available bytes without waiting, and appends them to a buffer. Feature `bytes`.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        append(buf, |room| self.try_read(room))
    }
}
