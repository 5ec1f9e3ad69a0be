//! The socket options of a `TcpStream`. Those that are not here are one call away:
//! `socket2::SockRef::from(&stream)`.

use std::io;
use std::time::Duration;

use socket2::SockRef;

use super::TcpStream;

impl TcpStream {
    fn options(&self) -> SockRef<'_> {
        self.io.get_ref().options()
    }

    /// Sends small packets at once instead of collecting them (`TCP_NODELAY`); off by default.
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
        self.options().set_tcp_nodelay(nodelay)
    }

    /// Returns what [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.options().tcp_nodelay()
    }

    /// Acknowledges at once for now, instead of waiting for data to send along (`TCP_QUICKACK`).
    ///
    /// The kernel takes it back by itself; see tcp(7).
    ///
    /// # Errors
    ///
    /// As setsockopt(2).
    pub fn set_quickack(&self, quickack: bool) -> io::Result<()> {
        self.options().set_tcp_quickack(quickack)
    }

    /// Says whether the connection acknowledges at once now.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn quickack(&self) -> io::Result<bool> {
        self.options().tcp_quickack()
    }

    /// Asks the peer now and then whether it is still there (`SO_KEEPALIVE`); off by default.
    ///
    /// How often is the system's choice (two hours until the first time) unless
    /// `socket2::SockRef::from(&stream).set_tcp_keepalive(..)` says otherwise.
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

    /// Says what closing does with bytes that the peer has not acknowledged (`SO_LINGER`).
    ///
    /// `None`, the default: the kernel goes on delivering them. `Some(ZERO)`: they are thrown away
    /// and the peer gets a reset. Any other time makes **close(2) block the thread** for up to so
    /// long, and dropping a stream closes it: do not use it here.
    ///
    /// # Units
    ///
    /// Whole seconds; fractions are cut off.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.options().set_linger(linger)
    }

    /// Makes dropping the stream reset the connection; [`set_linger`](Self::set_linger) with zero.
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
        self.options().set_ttl_v4(ttl)
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
