//! `UdpSocket::set_gro` and `send_segments`: several datagrams of one size in one system call.
//!
//! A datagram costs the kernel far more than its bytes do. Datagrams in segments pass through it
//! together, as one packet where the network device allows it:
//!
//! ```text
//! send_segments(buf, 100):   |  100  |  100  |  100  | 20 |   one sendmsg(2), UDP_SEGMENT (GSO)
//!                                |       |       |     |
//!                              four datagrams on the network, for any receiver
//!                                |       |       |     |
//! recv_msg(buf):             |  100  |  100  |  100  | 20 |   one recvmsg(2), UDP_GRO
//! ```
//!
//! The sender decides what is sent together; the kernel decides what is received together.
//!
//! A send in segments is one system call, which sends all or nothing. So where the kernel or the
//! network device cannot do it, it returns `Unsupported`, and the caller sends the datagrams one by
//! one. Sending them here would need an outcome for a part of them.
//!
//! Arguments are checked here, because the kernel accepts some that mean something else: it sends
//! one long datagram if the size is 0, or if it does not have `UDP_SEGMENT`.
//!
//! Sources: udp(7), linux/udp.h, `udp_send_skb` and `udp_cmsg_recv` in Linux.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use wakeful::io::Interest;

use super::UdpSocket;
use super::msg::{Outgoing, SendMsg};
use crate::error::{with_context, with_hint};
use crate::sys::message;

/// Segments that Linux sends in one call (`UDP_MAX_SEGMENTS`); 128 since Linux 6.9.
const MAX_SEGMENTS: usize = 64;

/// Bytes of a UDP packet without its headers. An IPv6 packet does not count its own header.
const MAX_BYTES_V4: usize = 65_507;
const MAX_BYTES_V6: usize = 65_527;

impl UdpSocket {
    /// Sets whether the kernel passes several datagrams to one receive (`UDP_GRO`); off by default.
    ///
    /// It merges datagrams of one sender that arrive together and have the same length; only the last
    /// one can be shorter. There can be 128 of them since Linux 6.9, more than
    /// [`send_segments`](Self::send_segments) takes. [`recv_msg`](Self::recv_msg) returns their length as
    /// [`stride`](super::RecvMeta::stride). Give it a buffer of 65,535 bytes: of datagrams that do not
    /// fit the rest is lost, as [`truncated`](super::RecvMeta::truncated) reports. The other receive
    /// methods return merged datagrams as one, without their length, so do not use them with this
    /// option. Datagrams that arrived before are returned one by one.
    ///
    /// # Errors
    ///
    /// `Unsupported` before Linux 5.0. The socket works as before.
    ///
    /// # Examples
    ///
    /// A server that answers what it received at once with one send:
    ///
    /// ```
    /// use wakeful_net::UdpSocket;
    ///
    /// # wakeful::block_on(async {
    /// let server = UdpSocket::bind("127.0.0.1:0").await?;
    /// server.set_gro(true)?;
    /// # let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// # client.send_segments(b"onetwo3", 3, server.local_addr()?, None).await?;
    /// let mut buf = vec![0; 65_535];
    /// let meta = server.recv_msg(&mut buf).await?;
    /// for datagram in meta.segments(&buf) {
    ///     println!("{}: {datagram:?}", meta.peer);
    /// }
    /// # assert_eq!(meta.segments(&buf).collect::<Vec<_>>(), [&b"one"[..], b"two", b"3"]);
    /// let bytes = &buf[..meta.len];
    /// server.send_segments(bytes, meta.stride.max(1), meta.peer, meta.local_ip).await?;
    /// # for datagram in [&b"one"[..], b"two", b"3"] {
    /// #     let len = client.recv(&mut buf).await?;
    /// #     assert_eq!(&buf[..len], datagram);
    /// # }
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        let set = message::set_gro(self.io().get_ref().as_fd(), on);
        set.map_err(|error| explain_option("UDP_GRO", "Linux 5.0", error))
    }

    /// Returns what [`set_gro`](Self::set_gro) set.
    ///
    /// # Errors
    ///
    /// `Unsupported` before Linux 5.0.
    pub fn gro(&self) -> io::Result<bool> {
        let gro = message::gro(self.io().get_ref().as_fd());
        gro.map_err(|error| explain_option("UDP_GRO", "Linux 5.0", error))
    }

    /// Returns how many datagrams [`send_segments`](Self::send_segments) sends at most: 64, or 1
    /// before Linux 4.18.
    #[must_use]
    pub fn max_gso_segments(&self) -> usize {
        let has_segments = message::has_segments(self.io().get_ref().as_fd());
        if has_segments { MAX_SEGMENTS } else { 1 }
    }

    /// Sends `buf` as several datagrams of `segment_size` bytes, the last of which can be shorter
    /// (`UDP_SEGMENT`).
    ///
    /// All are sent with one system call, or none. They go to one address, from the given local one or
    /// from the one that the kernel selects. If `buf` is not longer than `segment_size`, it is sent as
    /// [`send_msg`](Self::send_msg) does, one empty datagram included. Returns the length of `buf`.
    ///
    /// The receiver gets separate datagrams, and needs nothing for it.
    ///
    /// # Errors
    ///
    /// Before anything is sent:
    ///
    /// - `InvalidInput` when `segment_size` is 0, when there would be more than 64 datagrams, or when
    ///   `buf` is longer than 65,507 bytes (IPv4) or 65,527 bytes (IPv6).
    /// - `Unsupported` before Linux 4.18, or when the network device cannot compute checksums (EIO).
    ///   Then send the datagrams one by one.
    /// - EMSGSIZE or EINVAL, by the kernel's version, when a segment does not fit the path's MTU.
    ///   Unlike a single datagram, it is not split into fragments.
    /// - As [`send_msg`](Self::send_msg).
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has sent nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use wakeful_net::UdpSocket;
    /// # wakeful::block_on(async {
    /// # let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let target = client.local_addr()?;
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// // Two datagrams of 1,200 bytes, and one of 100.
    /// assert_eq!(socket.send_segments(&[7; 2500], 1200, target, None).await?, 2500);
    /// # for len in [1200, 1200, 100] {
    /// #     assert_eq!(client.recv(&mut [0; 2048]).await?, len);
    /// # }
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn send_segments<'a>(
        &'a self,
        buf: &'a [u8],
        segment_size: usize,
        target: SocketAddr,
        local_ip: Option<IpAddr>,
    ) -> SendMsg<'a> {
        let readiness = self.io().ready(Interest::WRITABLE);
        SendMsg {
            readiness: readiness.operation("UdpSocket::send_segments"),
            outgoing: Outgoing {
                buf,
                target,
                local_ip,
                segment_size: Some(segment_size),
            },
        }
    }

    /// As [`send_segments`](Self::send_segments), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to have room; otherwise as
    /// [`send_segments`](Self::send_segments).
    #[track_caller]
    pub fn try_send_segments(
        &self,
        buf: &[u8],
        segment_size: usize,
        target: SocketAddr,
        local_ip: Option<IpAddr>,
    ) -> io::Result<usize> {
        let outgoing = Outgoing {
            buf,
            target,
            local_ip,
            segment_size: Some(segment_size),
        };
        outgoing.try_send(self)
    }
}

impl Outgoing<'_> {
    /// Returns the segment size to pass to the kernel, none for a single datagram.
    pub(super) fn kernel_segment_size(self, fd: BorrowedFd<'_>) -> io::Result<Option<u16>> {
        let is_ipv4 = self.target.ip().to_canonical().is_ipv4();
        // The kernel would ignore it.
        if let Some(local) = self.local_ip
            && local.to_canonical().is_ipv4() != is_ipv4
        {
            let cause = format!("the local address {local} has to be one of the same family");
            return Err(self.error(ErrorKind::InvalidInput, &cause));
        }
        let Some(size) = self.segment_size else {
            return Ok(None);
        };
        let len = self.buf.len();
        let longest = if is_ipv4 { MAX_BYTES_V4 } else { MAX_BYTES_V6 };
        if size == 0 {
            let allowed = format!("a segment size of 0; allowed are 1 to {longest} bytes");
            return Err(self.error(ErrorKind::InvalidInput, &allowed));
        }
        if len > longest {
            let allowed = format!("{len} bytes in one call; at most {longest} are allowed");
            return Err(self.error(ErrorKind::InvalidInput, &allowed));
        }
        let count = len.div_ceil(size);
        if count > MAX_SEGMENTS {
            let allowed =
                format!("{count} segments in one call; at most {MAX_SEGMENTS} are allowed");
            return Err(self.error(ErrorKind::InvalidInput, &allowed));
        }
        if count < 2 {
            return Ok(None);
        }
        if !message::has_segments(fd) {
            let cause = "the kernel has no UDP_SEGMENT, which needs Linux 4.18";
            return Err(self.error(ErrorKind::Unsupported, cause));
        }
        // `size` is less than `len`, which fits.
        Ok(u16::try_from(size).ok())
    }

    /// Adds to the kernel's error what it means for a send in segments.
    pub(super) fn explain(self, segment_size: Option<u16>, error: io::Error) -> io::Error {
        if segment_size.is_some() && error.raw_os_error() == Some(libc::EIO) {
            let cause = "the network device cannot send segments (EIO)";
            return self.error(ErrorKind::Unsupported, cause);
        }
        if let Some(size) = segment_size
            && error.raw_os_error() == Some(libc::EMSGSIZE)
        {
            let hint =
                format!("segments of {size} bytes do not fit the path, which takes no fragments");
            return with_hint("send to", self.target, hint, error);
        }
        if segment_size.is_none()
            && matches!(
                error.raw_os_error(),
                Some(libc::EINVAL | libc::EADDRNOTAVAIL)
            )
            && let Some(local) = self.local_ip
        {
            let hint = format!("the local address {local} has to be one of this machine");
            return with_hint("send to", self.target, hint, error);
        }
        error
    }

    #[cold]
    fn error(self, kind: ErrorKind, cause: &str) -> io::Error {
        with_context("send to", self.target, io::Error::new(kind, cause))
    }
}

#[cold]
fn explain_option(option: &str, since: &str, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) => io::Error::new(
            ErrorKind::Unsupported,
            format!("the kernel has no {option}, which needs {since}"),
        ),
        _ => error,
    }
}
