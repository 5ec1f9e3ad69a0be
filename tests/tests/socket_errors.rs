//! Errors of sockets: each names the operation, the value and what is allowed. Conversions refuse what is not a
//! socket of their family, and options refuse values that the kernel would change silently.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use wakeful_net::{
    SocketError, TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener,
    UnixStream,
};
use wakeful_tests::trace::runtime;

/// Asserts that a result is an error that begins and ends so.
#[track_caller]
fn refused<T: Debug>(result: io::Result<T>, kind: ErrorKind, begin: &str, end: &str) {
    let err = result.unwrap_err();
    let text = err.to_string();
    assert_eq!(err.kind(), kind, "{text}");
    assert!(text.starts_with(begin) && text.ends_with(end), "{text}");
    assert!(SocketError::downcast_ref(&err).is_some(), "{text}");
}

// --- conversions ------------------------------------------------------------------------------------

/// Every kind of socket that a conversion can get, with its name in an error.
fn every_kind() -> Vec<(Domain, Type, &'static str)> {
    vec![
        (Domain::IPV4, Type::STREAM, "a stream socket of IPv4"),
        (Domain::IPV6, Type::STREAM, "a stream socket of IPv6"),
        (Domain::IPV4, Type::DGRAM, "a datagram socket of IPv4"),
        (Domain::IPV6, Type::DGRAM, "a datagram socket of IPv6"),
        (Domain::UNIX, Type::STREAM, "a stream socket of Unix"),
        (Domain::UNIX, Type::DGRAM, "a datagram socket of Unix"),
        (
            Domain::UNIX,
            Type::SEQPACKET,
            "a sequenced packet socket of Unix",
        ),
    ]
}

/// Passes a socket of each kind, and a file, to a conversion, which has to accept those of `kind` and `domains`.
fn convert<T: Debug>(
    name: &str,
    (kind, domains): (Type, &[Domain]),
    conversion: impl Fn(OwnedFd) -> io::Result<T>,
) {
    let operation = format!("convert a descriptor into {name}: ");
    for (domain, is, text) in every_kind() {
        let converted = conversion(Socket::new(domain, is, None).unwrap().into());
        if is == kind && domains.contains(&domain) {
            converted.unwrap();
        } else {
            let begin = format!("{operation}it is {text}; it has to be a ");
            refused(converted, ErrorKind::InvalidInput, &begin, "");
        }
    }
    let file: OwnedFd = File::open("/dev/null").unwrap().into();
    let err = conversion(file).unwrap_err().to_string();
    assert!(
        err.starts_with(&format!("{operation}it has to be a ")),
        "{err}"
    );
    assert!(err.ends_with("(os error 88)"), "{err}");
}

#[test]
fn a_conversion_refuses_every_other_kind_of_socket_and_names_it() {
    runtime().block_on(async {
        let ip: &[Domain] = &[Domain::IPV4, Domain::IPV6];
        let tcp = (Type::STREAM, ip);
        convert("a TCP socket", tcp, |fd| TcpStream::from_std(fd.into()));
        convert("a TCP socket", tcp, |fd| TcpListener::from_std(fd.into()));
        convert("a TCP socket", tcp, |fd| {
            TcpSocket::from_std_stream(fd.into())
        });
        convert("a TCP socket", tcp, |fd| {
            TcpStream::try_from(std::net::TcpStream::from(fd))
        });
        convert("a UDP socket", (Type::DGRAM, ip), |fd| {
            UdpSocket::from_std(fd.into())
        });
        let unix: &[Domain] = &[Domain::UNIX];
        let stream = (Type::STREAM, unix);
        convert("a Unix stream socket", stream, |fd| {
            UnixStream::from_std(fd.into())
        });
        convert("a Unix stream socket", stream, |fd| {
            UnixListener::from_std(fd.into())
        });
        convert("a Unix datagram socket", (Type::DGRAM, unix), |fd| {
            UnixDatagram::from_std(fd.into())
        });
        assert_eq!(wakeful::metrics().sources, 0);
    });
}

// --- options ----------------------------------------------------------------------------------------

#[test]
fn an_option_refuses_values_outside_of_its_range_and_names_the_range() {
    runtime().block_on(async {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let udp6 = UdpSocket::bind("[::1]:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (v4, v6) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v6().unwrap());
        type Set<'a> = Box<dyn Fn(u32) -> io::Result<()> + 'a>;
        let options: [(&str, u32, Set<'_>); 8] = [
            ("IP_TTL", 1, Box::new(|ttl| udp.set_ttl(ttl))),
            ("IP_TTL", 1, Box::new(|ttl| listener.set_ttl(ttl))),
            ("IP_TTL", 1, Box::new(|ttl| stream.set_ttl(ttl))),
            (
                "IP_MULTICAST_TTL",
                0,
                Box::new(|ttl| udp.set_multicast_ttl_v4(ttl)),
            ),
            ("IP_TOS", 0, Box::new(|tos| udp.set_tos_v4(tos))),
            ("IP_TOS", 0, Box::new(|tos| v4.set_tos_v4(tos))),
            (
                "IPV6_TCLASS",
                0,
                Box::new(|class| udp6.set_tclass_v6(class)),
            ),
            ("IPV6_TCLASS", 0, Box::new(|class| v6.set_tclass_v6(class))),
        ];
        for (name, least, set) in options {
            set(least).unwrap();
            set(255).unwrap();
            for value in [least.wrapping_sub(1), 256, 300, 70_000, 1 << 31, u32::MAX] {
                let begin = format!("set {name} to {value}: ");
                let allowed = format!("allowed are {least} to 255");
                refused(set(value), ErrorKind::InvalidInput, &begin, &allowed);
            }
        }
        let begin = "set IPV6_TCLASS to 5: ";
        assert!(
            udp.set_tclass_v6(5)
                .unwrap_err()
                .to_string()
                .starts_with(begin)
        );
        assert!(
            v4.set_tclass_v6(5)
                .unwrap_err()
                .to_string()
                .starts_with(begin)
        );
        let begin = "set IPV6_MULTICAST_LOOP to true: ";
        let err = udp.set_multicast_loop_v6(true).unwrap_err().to_string();
        assert!(err.starts_with(begin), "{err}");
    });
}

#[test]
fn the_name_of_an_interface_is_not_cut() {
    runtime().block_on(async {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for name in ["", "an-interface-of-16", "lo\0"] {
            let begin = format!(
                "set SO_BINDTODEVICE to {}: ",
                name.as_bytes().escape_ascii()
            );
            let end = "a name has 1 to 15 bytes, none of which is zero";
            let set = udp.bind_device(Some(name.as_bytes()));
            refused(set, ErrorKind::InvalidInput, &begin, end);
        }
        let err = udp.bind_device(Some(b"no-such-device")).unwrap_err();
        let text = err.to_string();
        assert!(
            text.starts_with("set SO_BINDTODEVICE to no-such-device: "),
            "{text}"
        );
    });
}

#[test]
fn a_long_linger_is_the_longest_of_the_kernel_and_not_zero() {
    let longest = Some(Duration::from_secs(i32::MAX as u64));
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // The second one is zero in 32 bits.
        for long in [Duration::MAX, Duration::from_secs(1 << 32)] {
            stream.set_linger(Some(long)).unwrap();
            assert_eq!(stream.linger().unwrap(), longest);
            socket.set_linger(Some(long)).unwrap();
            assert_eq!(socket.linger().unwrap(), longest);
        }
        // Otherwise the drops below would block.
        stream.set_linger(None).unwrap();
        socket.set_linger(None).unwrap();
    });
}

#[test]
fn joining_and_leaving_a_group_name_the_group_and_the_reason() {
    runtime().block_on(async {
        let udp = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let udp6 = UdpSocket::bind("[::1]:0").await.unwrap();
        let (lo, any) = (Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
        for change in [UdpSocket::join_multicast_v4, UdpSocket::leave_multicast_v4] {
            let changed = change(&udp, [10, 0, 0, 1].into(), any);
            let err = changed.unwrap_err();
            assert_eq!(err.kind(), ErrorKind::InvalidInput);
            let text = err.to_string();
            assert!(
                text.contains(" 10.0.0.1 on interface 0.0.0.0: not a multicast"),
                "{text}"
            );
            assert!(
                text.ends_with("allowed are 224.0.0.0 to 239.255.255.255"),
                "{text}"
            );
        }
        for change in [UdpSocket::join_multicast_v6, UdpSocket::leave_multicast_v6] {
            let text = change(&udp6, &Ipv6Addr::LOCALHOST, 1)
                .unwrap_err()
                .to_string();
            assert!(
                text.contains(" ::1 on interface 1: not a multicast address"),
                "{text}"
            );
        }
        let group = [239, 1, 2, 3].into();
        let begin = "leave 239.1.2.3 on interface 127.0.0.1: the socket is not in the group: ";
        refused(
            udp.leave_multicast_v4(group, lo),
            ErrorKind::AddrNotAvailable,
            begin,
            ")",
        );
        udp.join_multicast_v4(group, lo).unwrap();
        let begin = "join 239.1.2.3 on interface 127.0.0.1: the socket is in the group already: ";
        refused(
            udp.join_multicast_v4(group, lo),
            ErrorKind::AddrInUse,
            begin,
            ")",
        );
        let no_interface = udp.join_multicast_v4(group, [203, 0, 113, 1].into());
        let text = no_interface.unwrap_err().to_string();
        assert!(text.contains("there is no such interface"), "{text}");
        let text = udp
            .join_multicast_v6(&Ipv6Addr::from([0xff; 16]), 0)
            .unwrap_err();
        assert!(text.to_string().starts_with("join ffff:"), "{text}");
    });
}

// --- addresses and datagrams ------------------------------------------------------------------------

#[test]
fn an_address_of_another_family_is_named_with_that_of_the_socket() {
    const V4_ONLY: &str = "the socket is for IPv4 addresses only: ";
    const V6_ONLY: &str = "the socket is for IPv6 addresses only: ";
    #[track_caller]
    fn is_about<T: Debug>(result: io::Result<T>, begin: &str, family: &str) {
        let err = result.unwrap_err();
        let text = err.to_string();
        assert!(text.starts_with(&format!("{begin}{family}")), "{text}");
        let details = SocketError::downcast_ref(&err).unwrap();
        assert!(details.io_error().raw_os_error().is_some(), "{text}");
    }
    runtime().block_on(async {
        let (v4, v6): (SocketAddr, SocketAddr) =
            ("127.0.0.1:9".parse().unwrap(), "[::1]:9".parse().unwrap());
        let tcp4 = || TcpSocket::new_v4().unwrap();
        let tcp6 = || TcpSocket::new_v6().unwrap();
        is_about(tcp4().bind(v6), "bind [::1]:9: ", V4_ONLY);
        is_about(tcp6().bind(v4), "bind 127.0.0.1:9: ", V6_ONLY);
        is_about(tcp4().connect(v6).await, "connect [::1]:9: ", V4_ONLY);
        is_about(tcp6().connect(v4).await, "connect 127.0.0.1:9: ", V6_ONLY);
        let udp4 = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let only6 = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
        only6.set_only_v6(true).unwrap();
        let udp6 = UdpSocket::from_std(only6.into()).unwrap();
        is_about(udp4.connect(v6).await, "connect [::1]:9: ", V4_ONLY);
        is_about(udp6.connect(v4).await, "connect 127.0.0.1:9: ", V6_ONLY);
        for (socket, target, family) in [(udp4, v6, V4_ONLY), (udp6, v4, V6_ONLY)] {
            let begin = format!("send to {target}: ");
            is_about(socket.send_to(b"x", target).await, &begin, family);
            is_about(socket.try_send_to(b"x", target), &begin, family);
            is_about(socket.send_msg(b"x", target, None).await, &begin, family);
        }
    });
}

#[test]
fn a_datagram_that_is_too_long_is_named_with_its_length_and_the_limit() {
    #[track_caller]
    fn is_too_long(result: io::Result<usize>, begin: &str) {
        let err = result.unwrap_err();
        let text = err.to_string();
        assert!(text.starts_with(begin), "{text}");
        assert!(text.ends_with("(os error 90)"), "{text}");
        let details = SocketError::downcast_ref(&err).unwrap();
        assert_eq!(details.io_error().raw_os_error(), Some(libc::EMSGSIZE));
    }
    let long = vec![0; 1 << 20];
    runtime().block_on(async {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = udp.local_addr().unwrap();
        let (data, local) = (&long[..65_508], Some(target.ip()));
        let begin = format!(
            "send to {target}: a datagram of 65508 bytes is too long; at most 65507 are allowed over IPv4"
        );
        is_too_long(udp.send_to(data, target).await, &begin);
        is_too_long(udp.try_send_to(data, target), &begin);
        is_too_long(udp.send_msg(data, target, local).await, &begin);
        udp.connect(target).await.unwrap();
        is_too_long(udp.send(data).await, &begin);
        is_too_long(udp.try_send(data), &begin);
        let other = Some(Ipv6Addr::LOCALHOST.into());
        let from_other = udp.send_msg(b"x", target, other).await;
        let end = "the local address ::1 has to be one of the same family";
        refused(from_other, ErrorKind::InvalidInput, &format!("send to {target}: "), end);

        let (near, _far) = UnixDatagram::pair().unwrap();
        let begin = "send to (unnamed): a datagram of 1048576 bytes is too long; the buffer";
        is_too_long(near.send(&long).await, begin);
    });
}
