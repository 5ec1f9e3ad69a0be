//! Calls on the sockets of a world.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use wakeful::kernel::Verdict;

use super::{World, dead};
use crate::net::{Net, SocketId};

impl World {
    /// Makes a call on a socket of this world.
    pub(super) fn call<T>(
        &self,
        fd: BorrowedFd<'_>,
        what: &'static str,
        call: impl FnOnce(&mut Net, SocketId) -> Result<T, i32>,
    ) -> Verdict<T> {
        let Some(mut net) = self.live() else {
            return dead();
        };
        let Some(id) = net.fds.get(&fd.as_raw_fd()).copied() else {
            return self.call_outside(what);
        };
        let result = call(&mut net, id);
        net.arrive_at_once();
        let value = result.as_ref().err().map_or(0, |errno| -i64::from(*errno));
        net.note(what, id, value);
        Verdict::Is(result.map_err(io::Error::from_raw_os_error))
    }

    /// Makes a transfer, which can fail by a fault.
    pub(super) fn transfer(
        &self,
        fd: BorrowedFd<'_>,
        what: &'static str,
        transfer: impl FnOnce(&mut Net, SocketId) -> Result<usize, i32>,
    ) -> Verdict<usize> {
        let Some(mut net) = self.live() else {
            return dead();
        };
        let Some(id) = net.fds.get(&fd.as_raw_fd()).copied() else {
            return self.call_outside(what);
        };
        let net = &mut *net;
        // A stream of their own: without the error the transfer makes its choices at the same places.
        let stream = match what {
            "send" => ("errno send", id).into(),
            "recv" => ("errno recv", id).into(),
            _ => ("errno", id).into(),
        };
        let result = match net.faults.errno(&mut net.choices, stream) {
            Some(errno) => {
                if errno == libc::EAGAIN {
                    net.again(id);
                }
                Err(errno)
            }
            None => transfer(net, id),
        };
        net.arrive_at_once();
        let value = match &result {
            Ok(count) => *count as i64,
            Err(errno) => -i64::from(*errno),
        };
        net.note(what, id, value);
        Verdict::Is(result.map_err(io::Error::from_raw_os_error))
    }
}
