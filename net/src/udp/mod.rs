//! UDP: [`UdpSocket`] and the futures of its operations.

mod bind;
mod msg;
mod options;
mod ready;
mod segments;
mod send_to;
mod socket;

pub use crate::datagram::{Readable, ReadyFuture, Recv, RecvFrom, Send, Writable};
pub use bind::{Bind, Connect};
pub use msg::{RecvMeta, RecvMsg, SendMsg};
pub use send_to::SendTo;
pub use socket::{PeekSender, UdpSocket};
