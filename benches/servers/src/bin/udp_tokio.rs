//! The echo of datagrams on tokio's current-thread runtime, with its own `UdpSocket`.

use std::error::Error;

use bench_servers::{LONGEST_DATAGRAM, bind_udp};
use tokio::net::UdpSocket;

fn main() -> Result<(), Box<dyn Error>> {
    let socket = bind_udp()?;
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = UdpSocket::from_std(socket)?;
        let mut buffer = vec![0; LONGEST_DATAGRAM];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await?;
            socket.send_to(&buffer[..length], peer).await?;
        }
    })
}
