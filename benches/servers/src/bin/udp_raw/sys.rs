//! The system calls of the floor through libc, one function each.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Several datagrams of one sender.
pub(crate) struct Received {
    pub(crate) length: usize,
    /// Length of each but the last; 0 if there is only one.
    size: u16,
    sender: libc::sockaddr_in,
}

/// Control data with room for one message: header and data.
#[repr(C, align(8))]
struct Control<T> {
    header: libc::cmsghdr,
    data: T,
}

pub(crate) fn set_gro(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let (from, len) = ((&raw const on).cast(), size_of_val(&on) as u32);
    let (level, name) = (libc::SOL_UDP, libc::UDP_GRO);
    // SAFETY: `from` points to `len` bytes that live until the call returns.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, from, len) };
    length(result as isize)?;
    Ok(())
}

pub(crate) fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    // SAFETY: integers and pointers, for which zero is valid.
    let (mut message, mut control, mut sender) = unsafe {
        let sender: libc::sockaddr_in = mem::zeroed();
        let control: Control<libc::c_int> = mem::zeroed();
        (mem::zeroed::<libc::msghdr>(), control, sender)
    };
    let mut bytes = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    message.msg_name = (&raw mut sender).cast();
    message.msg_namelen = size_of_val(&sender) as u32;
    message.msg_iov = &raw mut bytes;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: `message` points to live memory and says how long it is.
    let length = length(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) })?;
    let merged = message.msg_controllen > 0 && control.header.cmsg_type == libc::UDP_GRO;
    Ok(Received {
        length,
        size: if merged { control.data as u16 } else { 0 },
        sender,
    })
}

pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], to: &Received) -> io::Result<()> {
    let control = Control {
        header: libc::cmsghdr {
            cmsg_len: size_of::<libc::cmsghdr>() + size_of::<u16>(),
            cmsg_level: libc::SOL_UDP,
            cmsg_type: libc::UDP_SEGMENT,
        },
        data: to.size,
    };
    let bytes = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let message = libc::msghdr {
        msg_name: (&raw const to.sender).cast_mut().cast(),
        msg_namelen: size_of_val(&to.sender) as u32,
        msg_iov: (&raw const bytes).cast_mut(),
        msg_iovlen: 1,
        msg_control: match to.size {
            0 => ptr::null_mut(),
            _ => (&raw const control).cast_mut().cast(),
        },
        msg_controllen: if to.size == 0 {
            0
        } else {
            size_of_val(&control)
        },
        msg_flags: 0,
    };
    // SAFETY: `message` points to live memory and says how long it is; the kernel only reads it.
    length(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) })?;
    Ok(())
}

/// Converts the result of a call that returns a count, or 0.
fn length(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_negative| io::Error::last_os_error())
}
