//! Point 47. Addresses from the kernel keep port, IP and scope. The conversion itself, including
//! wrong lengths, is tested in `address.rs` of `wakeful-net`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wakeful_net::{TcpListener, TcpSocket, TcpStream};
use wakeful_tests::net_support::run;

#[test]
fn every_address_method_agrees_with_std() {
    run(async {
        for ip in [
            IpAddr::V4(Ipv4Addr::new(127, 1, 2, 3)),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ] {
            // Without IPv6 on this machine there is nothing to test.
            let Ok(listener) = TcpListener::bind((ip, 0)).await else {
                continue;
            };
            let address = listener.local_addr().unwrap();
            assert_eq!(address.ip(), ip);
            let client = TcpStream::connect(address).await.unwrap();
            let (server, peer) = listener.accept().await.unwrap();
            assert_eq!(server.peer_addr().unwrap(), peer);
            let (local, remote) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
            assert_eq!((local, remote), (peer, address));
            let std = client.into_std().unwrap();
            assert_eq!(
                (std.local_addr().unwrap(), std.peer_addr().unwrap()),
                (local, remote)
            );
        }
    });
}

#[test]
fn an_ipv4_client_of_a_dual_stack_listener_has_a_mapped_address() {
    run(async {
        let Ok(listener) = TcpListener::bind("[::]:0").await else {
            return;
        };
        let address = (Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port());
        let client = match TcpStream::connect(address).await {
            Ok(client) => client,
            // `net.ipv6.bindv6only` is set on this machine.
            Err(_) => return,
        };
        let (_server, peer) = listener.accept().await.unwrap();
        let SocketAddr::V6(peer) = peer else {
            panic!("{peer} is not IPv6")
        };
        assert_eq!(peer.ip().to_ipv4_mapped(), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(peer.port(), client.local_addr().unwrap().port());
    });
}

#[test]
fn a_bound_but_unconnected_socket_has_a_local_address_only() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        assert_eq!(socket.local_addr().unwrap(), "0.0.0.0:0".parse().unwrap());
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(socket.local_addr().unwrap().port(), 0);
    });
}
