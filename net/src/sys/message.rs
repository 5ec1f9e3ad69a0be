//! Datagrams with control data: sender, local address and segments.
//!
//! Called by `udp::msg` and `udp::segments`. Not on the path of a stream.
//!
//! ```text
//! control data:  | length | level | kind | data .. | padding | length | ..
//!                |<----- one message, `length` bytes ------->|
//!
//!   IP_PKTINFO, IPV6_PKTINFO   local address     received and sent
//!   UDP_GRO                    segment size      received: the buffer holds several datagrams
//!   UDP_SEGMENT                segment size      sent: the kernel cuts the buffer into datagrams
//! ```
//!
//! Sources: cmsg(3), recvmsg(2), sendmsg(2), ip(7), ipv6(7), udp(7), linux/udp.h.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::{mem, ptr};

use socket2::{SockAddr, SockAddrStorage};
use wakeful::kernel::{self, Verdict};

use super::ask::{self, ask};
use super::transfer::{empty_message, send_to, shortened};
use super::{cvt, retry_on_intr, retrying};

/// A datagram of [`recv_msg`], or several of them.
pub(crate) struct Received {
    pub(crate) bytes: usize,
    pub(crate) peer: SockAddr,
    pub(crate) info: Info,
    pub(crate) truncated: bool,
}

/// What control data says about a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// The address that it was sent to, if that address can be the source of an answer.
    pub(crate) local_ip: Option<IpAddr>,
    /// The length of each datagram but the last, if the kernel has merged several.
    pub(crate) segment_size: Option<usize>,
}

/// Room for control data: the two messages that are evaluated, and those that other options of the
/// socket add. Without room for it, the kernel would leave a segment size out.
const CONTROL_LEN: usize = 512;

/// Receives one datagram, or one batch of merged datagrams, with its sender and its control data.
/// See recvmsg(2).
pub(crate) fn recv_msg(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<Received> {
    let mut buf = buf;
    if kernel::any() {
        match ask(|kernel| kernel.recv_from(fd, buf, false)) {
            Verdict::Is(result) => {
                let (bytes, peer) = result?;
                return Ok(Received {
                    bytes: bytes.min(buf.len()),
                    peer: ask::to_native(peer)?,
                    info: Info::default(),
                    truncated: false,
                });
            }
            Verdict::Short(limit) => {
                let len = shortened(buf.len(), limit);
                buf = &mut buf[..len];
            }
            Verdict::Real => {}
        }
    }
    let mut control = [0; CONTROL_LEN];
    let mut storage = SockAddrStorage::zeroed();
    let mut message = empty_message();
    let mut bufs = [IoSliceMut::new(buf)];
    message.msg_iov = bufs.as_mut_ptr().cast();
    message.msg_iovlen = bufs.len() as _;
    let bytes = retry_on_intr(|| {
        message.msg_name = (&raw mut storage).cast();
        message.msg_namelen = storage.size_of();
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL_LEN as _;
        // SAFETY: `message` points at live buffers that are borrowed exclusively, and says how long
        // they are; the kernel writes only into them and into `message`, and keeps no pointer.
        cvt(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) })
    })?;
    // SAFETY: the kernel has written an address of this length.
    let peer = unsafe { SockAddr::new(storage, message.msg_namelen) };
    Ok(Received {
        bytes,
        peer,
        info: info(&control[..CONTROL_LEN.min(message.msg_controllen as _)]),
        truncated: message.msg_flags & libc::MSG_TRUNC != 0,
    })
}

/// Sends one datagram to an address, or several of `segment_size` bytes each, from a local address
/// if one is given. See sendmsg(2), and sendto(2) without either, which is a little cheaper.
pub(crate) fn send_msg(
    fd: BorrowedFd<'_>,
    buf: &[u8],
    target: &SockAddr,
    local_ip: Option<IpAddr>,
    segment_size: Option<u16>,
) -> io::Result<usize> {
    if local_ip.is_none() && segment_size.is_none() {
        return send_to(fd, buf, target);
    }
    let mut buf = buf;
    if kernel::any() {
        match ask_send(fd, buf, target, segment_size) {
            Verdict::Is(result) => return Ok(result?.min(buf.len())),
            Verdict::Short(limit) => buf = &buf[..shortened(buf.len(), limit)],
            Verdict::Real => {}
        }
    }
    let mut control = Control::default();
    if let Some(local_ip) = local_ip {
        control.push_packet_info(local_ip);
    }
    if let Some(size) = segment_size {
        control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }
    let bufs = [IoSlice::new(buf)];
    let mut message = empty_message();
    message.msg_name = target.as_ptr().cast_mut().cast();
    message.msg_namelen = target.len();
    message.msg_iov = bufs.as_ptr().cast_mut().cast();
    message.msg_iovlen = bufs.len() as _;
    if control.len > 0 {
        message.msg_control = control.bytes.as_ptr().cast_mut().cast();
        message.msg_controllen = control.len as _;
    }
    let (fd, from) = (fd.as_raw_fd(), &raw const message);
    retrying(move || {
        // SAFETY: `message` points at live borrowed buffers and says how long they are; the kernel
        // only reads them and keeps no pointer.
        unsafe { libc::sendmsg(fd, from, libc::MSG_NOSIGNAL) }
    })
}

/// Asks an installed kernel for a send.
#[cold]
#[inline(never)]
fn ask_send(
    fd: BorrowedFd<'_>,
    buf: &[u8],
    target: &SockAddr,
    segment_size: Option<u16>,
) -> Verdict<usize> {
    ask(|kernel| {
        ask::with_address(target, |target| match segment_size {
            None => kernel.send_to(fd, buf, target),
            Some(size) => kernel.send_segments(fd, buf, size.into(), target),
        })
    })
}

/// Requests the local address of each datagram. See `IP_PKTINFO` in ip(7), `IPV6_RECVPKTINFO` in
/// ipv6(7).
pub(crate) fn set_recv_local_addr(fd: BorrowedFd<'_>, ipv4: bool, on: bool) -> io::Result<()> {
    if ipv4 {
        set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, on.into())
    } else {
        set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, on.into())
    }
}

/// Sets whether the kernel merges datagrams. See `UDP_GRO` in udp(7).
pub(crate) fn set_gro(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_option(fd, libc::SOL_UDP, libc::UDP_GRO, on.into())
}

/// Returns whether the kernel merges datagrams.
pub(crate) fn gro(fd: BorrowedFd<'_>) -> io::Result<bool> {
    option(fd, libc::SOL_UDP, libc::UDP_GRO).map(|on| on != 0)
}

/// Returns whether the kernel has `UDP_SEGMENT`. It ignores control data of levels that it does not
/// have, so without it all segments would leave as one datagram.
///
/// Asks once per process, because the answer is the same for each socket.
pub(crate) fn has_segments(fd: BorrowedFd<'_>) -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| option(fd, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok())
}

/// Sets an option that is an integer. See setsockopt(2).
fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    let (from, len) = (ptr::from_ref(&value).cast(), mem::size_of_val(&value) as _);
    // SAFETY: `from` points at an integer of `len` bytes; the kernel only reads it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, from, len) };
    cvt(result as isize).map(drop)
}

/// Returns the value of an option that is an integer. See getsockopt(2).
fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0;
    let mut len = mem::size_of_val(&value) as libc::socklen_t;
    let to = (&raw mut value).cast();
    // SAFETY: `to` points at an integer, and `len` says how large it is; the kernel writes at most
    // that many bytes and keeps no pointer.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, to, &raw mut len) };
    cvt(result as isize).map(|_| value)
}

/// Length of a `cmsghdr`, and the alignment of what follows it. See cmsg(3).
const HEADER_LEN: usize = mem::size_of::<libc::cmsghdr>();
const ALIGNMENT: usize = mem::size_of::<usize>();

/// Reads received control data, up to the first message that is incomplete.
fn info(mut control: &[u8]) -> Info {
    let mut info = Info::default();
    while let Some((level, kind, data, rest)) = split_message(control) {
        match (level, kind) {
            // `in_pktinfo`: interface, local address, destination.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                info.local_ip = bytes_at::<4>(data, 4).map(|ip| Ipv4Addr::from(ip).into());
            }
            // `in6_pktinfo`: destination, interface. A multicast group cannot be a source.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let ip = bytes_at::<16>(data, 0).map(Ipv6Addr::from);
                info.local_ip = ip.filter(|ip| !ip.is_multicast()).map(IpAddr::V6);
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = bytes_at::<4>(data, 0).map(i32::from_ne_bytes);
                info.segment_size = size.and_then(|size| usize::try_from(size).ok());
            }
            _ => {}
        }
        control = rest;
    }
    info
}

/// Returns level, kind and data of the first message in control data, and what follows it.
fn split_message(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(bytes_at(control, 0)?);
    let int = |at| bytes_at(control, at).map(i32::from_ne_bytes);
    let (level, kind) = (int(HEADER_LEN - 8)?, int(HEADER_LEN - 4)?);
    let data = control.get(HEADER_LEN..len)?;
    let rest = control.get(len.next_multiple_of(ALIGNMENT)..);
    Some((level, kind, data, rest.unwrap_or_default()))
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Control data to send: room for a local address and a segment size.
#[derive(Default)]
struct Control {
    bytes: [[u8; 32]; 2],
    /// A multiple of [`ALIGNMENT`].
    len: usize,
}

impl Control {
    /// Appends a message that sets the source of a datagram.
    fn push_packet_info(&mut self, local_ip: IpAddr) {
        match local_ip {
            IpAddr::V4(ip) => {
                let mut data = [0; 12];
                data[4..8].copy_from_slice(&ip.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
            }
            IpAddr::V6(ip) => {
                let mut data = [0; 20];
                data[..16].copy_from_slice(&ip.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data);
            }
        }
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let bytes = self.bytes.as_flattened_mut();
        let (header, room) = bytes[self.len..].split_at_mut(HEADER_LEN);
        let len = HEADER_LEN + data.len();
        header[..ALIGNMENT].copy_from_slice(&len.to_ne_bytes());
        header[HEADER_LEN - 8..HEADER_LEN - 4].copy_from_slice(&level.to_ne_bytes());
        header[HEADER_LEN - 4..].copy_from_slice(&kind.to_ne_bytes());
        room[..data.len()].copy_from_slice(data);
        self.len += len.next_multiple_of(ALIGNMENT);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::{Arc, Mutex};

    use wakeful::kernel::{Address, Kernel};

    use super::*;

    /// A kernel that takes datagrams of any length but 13, and is asked for segments one by one.
    #[derive(Default)]
    struct Lengths(Mutex<Vec<usize>>);

    impl Kernel for Lengths {
        fn send_to(&self, _fd: BorrowedFd<'_>, buf: &[u8], _to: &Address) -> Verdict<usize> {
            if buf.len() == 13 {
                return Verdict::Is(Err(io::ErrorKind::WouldBlock.into()));
            }
            self.0.lock().unwrap().push(buf.len());
            Verdict::Is(Ok(buf.len()))
        }
    }

    #[test]
    fn a_kernel_that_takes_the_first_segment_has_sent_all_of_them() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap().into();
        let kernel = Arc::new(Lengths::default());
        let _installed = kernel::install(kernel.clone());
        let send = |len, size| send_msg(socket.as_fd(), &vec![7; len], &to, None, size);
        assert_eq!(send(2500, Some(1000)).unwrap(), 2500);
        assert_eq!(send(0, None).unwrap(), 0);
        // The last one is lost.
        assert_eq!(send(2013, Some(1000)).unwrap(), 2013);
        assert!(send(26, Some(13)).is_err());
        let lengths = kernel.0.lock().unwrap().clone();
        assert_eq!(lengths, [1000, 1000, 500, 0, 1000, 1000]);
    }

    fn packet_info(ip: IpAddr) -> Vec<u8> {
        let mut control = Control::default();
        control.push_packet_info(ip);
        control.bytes.as_flattened()[..control.len].to_vec()
    }

    fn other(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut control = Control::default();
        control.push(level, kind, data);
        control.bytes.as_flattened()[..control.len].to_vec()
    }

    #[test]
    fn every_message_in_control_data_is_evaluated() {
        let ip = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]);
        let unknown = other(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &[7; 5]);
        let size = other(libc::SOL_UDP, libc::UDP_GRO, &1200_i32.to_ne_bytes());
        let control = [&unknown[..], &size, &unknown, &packet_info(ip)].concat();
        let expected = Info {
            local_ip: Some(ip),
            segment_size: Some(1200),
        };
        assert_eq!(info(&control), expected);
        // The kernel does not pad the last message.
        assert_eq!(info(&control[..control.len() - 4]), expected);
    }

    #[test]
    fn control_data_that_ends_in_a_message_or_has_an_impossible_length_is_read_up_to_there() {
        let control = packet_info([127, 0, 0, 1].into());
        for len in 0..HEADER_LEN + 12 {
            assert_eq!(info(&control[..len]), Info::default(), "{len}");
        }
        for len in [0, 1, HEADER_LEN - 1, 1 << 40, usize::MAX - 7] {
            let mut broken = control.clone();
            broken[..8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(info(&broken), Info::default(), "{len}");
        }
        let multicast = packet_info("ff02::1".parse().unwrap());
        assert_eq!(info(&multicast), Info::default());
    }

    #[test]
    fn there_is_room_for_the_control_data_of_all_options_at_once() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let fd = socket.as_fd();
        let timestamping = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
        for (level, name, value) in [
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1),
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPING, timestamping as i32),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1),
            (libc::IPPROTO_IP, libc::IP_RECVTTL, 1),
            (libc::IPPROTO_IP, libc::IP_RECVTOS, 1),
            (libc::IPPROTO_IP, libc::IP_RECVOPTS, 1),
            (libc::IPPROTO_IP, libc::IP_RETOPTS, 1),
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR, 1),
            (libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
            (libc::SOL_UDP, libc::UDP_GRO, 1),
        ] {
            set_option(fd, level, name, value).unwrap();
        }
        let to = socket.local_addr().unwrap();
        let local_ip = Some(to.ip());
        send_msg(fd, &[7; 2500], &to.into(), local_ip, Some(1000)).unwrap();
        let received = recv_msg(fd, &mut [0; 4096]).unwrap();
        let expected = Info {
            local_ip,
            segment_size: Some(1000),
        };
        assert_eq!((received.bytes, received.info), (2500, expected));
    }
}
