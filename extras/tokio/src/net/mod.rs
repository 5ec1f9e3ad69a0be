//! Sockets of Wakeful, with tokio's signatures.

mod datagram;
mod listener;
mod pipes;
mod socket;

pub use datagram::{UdpSocket, UnixDatagram};
pub use listener::{TcpListener, UnixListener};
pub use socket::{TcpSocket, UnixSocket};
pub use wakeful_net::{TcpStream, ToSocketAddrs, UnixStream, lookup_host, tcp, udp};

/// Parts of the Unix streams, their addresses and credentials, and pipes.
pub mod unix {
    pub use wakeful_net::unix::*;

    /// Pipes and FIFO files.
    pub mod pipe {
        pub use crate::net::pipes::{OpenOptions, Receiver, Sender, pipe};
    }

    /// A user id.
    #[expect(non_camel_case_types, reason = "tokio's name")]
    pub type uid_t = u32;
    /// A group id.
    #[expect(non_camel_case_types, reason = "tokio's name")]
    pub type gid_t = u32;
    /// A process id.
    #[expect(non_camel_case_types, reason = "tokio's name")]
    pub type pid_t = i32;
}
