//! UDP: [`UdpSocket`] and the futures of its operations.

mod bind;
mod options;
mod ready;
mod send_to;
mod socket;

pub use crate::datagram::{Recv, RecvFrom, Send, Wait, WaitReady};
pub use bind::{Bind, Connect};
pub use send_to::SendTo;
pub use socket::{PeekSender, UdpSocket};
