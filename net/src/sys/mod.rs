//! The system calls of this package: the only module that contains `unsafe`.
//!
//! Every system call on a socket is made here, except for options, which `socket2` reads and sets:
//!
//! ```text
//!   descriptor   the owner of a descriptor: create, connect two, accept, duplicate
//!   endpoint     the two ends: bind, listen, connect, shut down, addresses, errors, credentials
//!   transfer     bytes and datagrams: receive and send
//!   message      datagrams with control data
//!   splice       bytes from socket to socket, through a pipe
//!   poll         whether a listener has a connection
//!   hyper        receive into hyper's buffer
//!   ask          what an installed kernel says about a call: wakeful::kernel
//! ```
//!
//! This module keeps three rules:
//!
//! - A call that a signal interrupted is made again ([`retrying`], and [`retry_on_intr`] for calls
//!   of `socket2`), so `EINTR` never leaves this package.
//! - A result of -1 becomes an [`io::Error`] from errno.
//! - No call raises `SIGPIPE`: each send passes `MSG_NOSIGNAL`.
//!
//! `socket2` makes the calls that need no `unsafe` in this package.

mod ask;
mod descriptor;
mod endpoint;
#[cfg(feature = "hyper")]
pub(crate) mod hyper;
pub(crate) mod message;
pub(crate) mod poll;
pub(crate) mod splice;
mod transfer;

use std::io;

use socket2::SockAddr;

pub(crate) use descriptor::{Descriptor, accept};
pub(crate) use endpoint::{
    bind, connect, listen, local_addr, peer_addr, peer_cred, shutdown, take_error,
};
pub(crate) use transfer::{peek, recv, recv_from, recv_vectored, send, send_to, send_vectored};

/// Repeats a call while a signal interrupts it.
#[inline]
pub(crate) fn retry_on_intr<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(err) if err.raw_os_error() == Some(libc::EINTR) => {}
            result => return result,
        }
    }
}

/// Makes a system call that returns a count or a descriptor, again while a signal interrupts it.
/// -1 becomes the error in errno.
#[inline]
fn retrying(call: impl Fn() -> isize + Copy) -> io::Result<usize> {
    match usize::try_from(call()) {
        Ok(result) => Ok(result),
        Err(_negative) => retry_failed(call),
    }
}

/// Repeats a call that has failed while a signal interrupts it.
// Not inlined, because a loop around the usual call would need registers to be saved (docs/TRIED.md).
#[cold]
#[inline(never)]
fn retry_failed(call: impl Fn() -> isize) -> io::Result<usize> {
    loop {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
        if let Ok(result) = usize::try_from(call()) {
            return Ok(result);
        }
    }
}

/// Converts the result of a system call; -1 becomes the error in errno.
fn cvt(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_negative| io::Error::last_os_error())
}

/// Makes a system call that reports an address.
///
/// # Safety
///
/// `call` makes a system call that writes at most as many bytes to its first argument as its second
/// says, stores the address's length in the second, and keeps no pointer.
unsafe fn with_address(
    call: impl Fn(*mut libc::sockaddr, *mut libc::socklen_t) -> isize,
) -> io::Result<(usize, SockAddr)> {
    retry_on_intr(|| {
        // SAFETY: the caller vouches for `call`. The kernel writes complete addresses only, and no
        // address is longer than the storage.
        unsafe { SockAddr::try_init(|storage, len| cvt(call(storage.cast(), len))) }
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{Ipv6Addr, SocketAddr};

    use super::*;
    use crate::address::Address;
    use crate::unix;

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut results = vec![Ok(7), Err(libc::EINTR), Err(libc::EINTR)];
        let result = retry_on_intr(|| {
            let result = results.pop().expect("called too often");
            result.map_err(io::Error::from_raw_os_error)
        });
        assert_eq!(result.unwrap(), 7);
        assert!(results.is_empty());
    }

    #[test]
    fn other_errors_are_returned_at_once() {
        let mut calls = 0;
        let result: io::Result<()> = retry_on_intr(|| {
            calls += 1;
            Err(io::Error::from_raw_os_error(libc::EAGAIN))
        });
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        assert_eq!(calls, 1);
    }

    #[test]
    fn a_system_call_is_made_again_while_a_signal_interrupts_it() {
        let results = [libc::EINTR, libc::EINTR, 0, libc::EAGAIN];
        let calls = Cell::new(0);
        let call = || {
            let errno = results[calls.replace(calls.get() + 1)];
            // SAFETY: the call returns the address of `errno` of this thread.
            let location = unsafe { libc::__errno_location() };
            // SAFETY: `errno` is thread-local memory that is always valid.
            unsafe { *location = errno };
            if errno == 0 { 7 } else { -1 }
        };
        assert_eq!(retrying(call).unwrap(), 7);
        assert_eq!(calls.get(), 3);
        let error = retrying(call).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
    }

    #[test]
    fn minus_one_becomes_the_error_of_the_call() {
        assert_eq!(cvt(7).unwrap(), 7);
        // SAFETY: the call reads no memory; the descriptor is invalid.
        let error = cvt(unsafe { libc::close(-1) } as isize).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    fn an_address_of_the_wrong_length_is_refused() {
        let with_length = |mut address: SockAddr, len| {
            // SAFETY: the storage has 128 bytes, all initialized.
            unsafe { address.set_length(len) };
            address
        };
        let v4: SocketAddr = ([1, 2, 3, 4], 80).into();
        let v6: SocketAddr = (Ipv6Addr::LOCALHOST, 80).into();
        for (address, full) in [(v4, 16), (v6, 28)] {
            for len in [0, 1, 2, 8, full - 1, full, full + 1, 128] {
                let reported = with_length(address.into(), len);
                let read = SocketAddr::from_kernel(Some(&reported));
                assert_eq!(read.ok(), (len == full).then_some(address), "{len}");
            }
        }
        let unix = with_length(SockAddr::unix("/x").unwrap(), 112);
        assert!(unix::SocketAddr::from_kernel(Some(&unix)).is_err());
    }
}
