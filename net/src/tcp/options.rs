//! Socket options of a `TcpStream`. For other options use `socket2::SockRef::from(&stream)`.

use std::io;
use std::time::Duration;

use socket2::SockRef;

use super::TcpStream;
use crate::error::{set_in_range, with_context};

/// Limits a duration to the range of the kernel's `int`. Otherwise some long ones would mean zero, which resets
/// the connection.
pub(super) fn kernel_linger(linger: Option<Duration>) -> Option<Duration> {
    linger.map(|linger| linger.min(Duration::from_secs(i32::MAX as u64)))
}

impl TcpStream {
    fn options(&self) -> SockRef<'_> {
        self.io.get_ref().options()
    }

    /// Enables sending small packets at once instead of collecting them (`TCP_NODELAY`); off by
    /// default.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): `InvalidInput` after a reset on some kernels.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// stream.set_nodelay(true)?;
    /// assert!(stream.nodelay()?);
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        let set = self.options().set_tcp_nodelay(nodelay);
        set.map_err(|err| with_context("set TCP_NODELAY to", nodelay, err))
    }

    /// Returns what [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.options().tcp_nodelay()
    }

    /// Enables immediate acknowledgments, which otherwise wait for data to send (`TCP_QUICKACK`).
    ///
    /// The kernel can disable it again by itself; see tcp(7).
    ///
    /// # Errors
    ///
    /// As setsockopt(2).
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        let set = self.options().set_tcp_quickack(quickack);
        set.map_err(|err| with_context("set TCP_QUICKACK to", quickack, err))
    }

    /// Returns whether immediate acknowledgments are enabled now.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn quickack(&self) -> io::Result<bool> {
        self.options().tcp_quickack()
    }

    /// Enables periodic probes that detect a peer that is gone (`SO_KEEPALIVE`); off by default.
    ///
    /// The system sets the interval (two hours before the first probe).
    /// `socket2::SockRef::from(&stream).set_tcp_keepalive(..)` changes it.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// use std::time::Duration;
    ///
    /// stream.set_keepalive(true)?;
    /// let often = socket2::TcpKeepalive::new().with_time(Duration::from_secs(30));
    /// socket2::SockRef::from(&stream).set_tcp_keepalive(&often)?;
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.options().set_keepalive(keepalive)
    }

    /// Returns what [`set_keepalive`](Self::set_keepalive) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.options().keepalive()
    }

    /// Sets what closing does with bytes that the peer has not acknowledged (`SO_LINGER`).
    ///
    /// `None`, the default: the kernel continues to deliver them. `Some(ZERO)`: they are discarded
    /// and the peer receives a reset. With any other duration **close(2) blocks the thread** for up
    /// to that time. Do not use one here, because dropping a stream closes it.
    ///
    /// # Units
    ///
    /// Whole seconds. Fractions are discarded, and more than the kernel's maximum of 68 years is taken for that.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.options().set_linger(kernel_linger(linger))
    }

    /// Resets the connection when the stream is dropped: [`set_linger`](Self::set_linger) with
    /// zero.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// stream.set_zero_linger()?;
    /// drop(stream);
    /// let err = peer.read(&mut [0; 8]).await.unwrap_err();
    /// assert_eq!(err.kind(), std::io::ErrorKind::ConnectionReset);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// Returns what [`set_linger`](Self::set_linger) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.options().linger()
    }

    /// Sets the time to live of the packets of an IPv4 connection (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` when it is not within 1 to 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let set = || self.options().set_ttl_v4(ttl);
        set_in_range("set IP_TTL to", ttl, 1..=255, set)
    }

    /// Returns what [`set_ttl`](Self::set_ttl) set, or the system's default.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn ttl(&self) -> io::Result<u32> {
        self.options().ttl_v4()
    }

    /// Reads and clears the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }
}
