//! Asking whether a descriptor is readable, without waiting.
//!
//! Called by `Socket::accept`. Sources: poll(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use wakeful::kernel;

use super::{cvt, retry_on_intr};

/// Returns whether a read or an accept would not block, because it succeeds or fails. With an installed
/// kernel, which is not asked this, `true`.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    if kernel::any() && kernel::current().is_some() {
        return Ok(true);
    }
    let mut asked = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let ready = retry_on_intr(|| {
        // SAFETY: `asked` is one live entry, as the second argument says. The kernel writes only to it.
        cvt(unsafe { libc::poll(&raw mut asked, 1, 0) } as isize)
    })?;
    Ok(ready > 0)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_listener_is_readable_while_a_connection_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_readable(listener.as_fd()).unwrap());
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(is_readable(listener.as_fd()).unwrap());
        drop(listener.accept().unwrap());
        assert!(!is_readable(listener.as_fd()).unwrap());
    }
}
