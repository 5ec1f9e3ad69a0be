//! Questions to the kernel that is installed on this thread, before a system call is made.
//!
//! Called by the other files of this folder if [`any`](kernel::any) says that there is something to
//! ask. See [`wakeful::kernel`].

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::Path;

use socket2::SockAddr;
use wakeful::kernel::{self, Address, Kernel, Verdict};

/// Returns the kernel's verdict about a call, which is made if no kernel is installed. An interrupted
/// call is asked for again.
pub(super) fn ask<T>(mut call: impl FnMut(&dyn Kernel) -> Verdict<T>) -> Verdict<T> {
    let Some(kernel) = kernel::current() else {
        return Verdict::Real;
    };
    loop {
        match call(&*kernel) {
            Verdict::Is(Err(error)) if error.raw_os_error() == Some(libc::EINTR) => {}
            verdict => return verdict,
        }
    }
}

/// Makes a call that moves no bytes, unless an installed kernel answers it.
pub(super) fn ask_or<T>(
    call: impl FnMut(&dyn Kernel) -> Verdict<T>,
    real: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    if kernel::any()
        && let Verdict::Is(result) = ask(call)
    {
        return result;
    }
    real()
}

/// Reports something to the installed kernel.
pub(super) fn tell(event: impl FnOnce(&dyn Kernel)) {
    if kernel::any()
        && let Some(kernel) = kernel::current()
    {
        event(&*kernel);
    }
}

/// Returns a verdict about an address that is not one of TCP, UDP or Unix: the call is made.
pub(super) fn with_address<T>(
    address: &SockAddr,
    mut call: impl FnMut(&Address) -> Verdict<T>,
) -> Verdict<T> {
    match from_native(address) {
        Some(address) => call(&address),
        None => Verdict::Real,
    }
}

fn from_native(address: &SockAddr) -> Option<Address> {
    if let Some(ip) = address.as_socket() {
        return Some(Address::Ip(ip));
    }
    let unix = if address.is_unnamed() {
        UnixAddr::from_pathname("").ok()
    } else if let Some(name) = address.as_abstract_namespace() {
        UnixAddr::from_abstract_name(name).ok()
    } else {
        address.as_unix()
    };
    unix.map(Address::Unix)
}

/// Converts an address that a kernel has answered with.
///
/// # Errors
///
/// `InvalidInput` for a path that is too long, which std's type does not allow.
pub(super) fn to_native(address: Address) -> io::Result<SockAddr> {
    match address {
        Address::Ip(address) => Ok(address.into()),
        Address::Unix(address) => {
            let path = match (address.as_pathname(), address.as_abstract_name()) {
                (Some(path), _) => path.to_owned(),
                (None, Some(name)) => {
                    let bytes = [b"\0", name].concat();
                    Path::new(OsStr::from_bytes(&bytes)).to_owned()
                }
                (None, None) => Path::new("").to_owned(),
            };
            SockAddr::unix(path)
        }
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_after_both_conversions() {
        let unix = [
            UnixAddr::from_pathname("/run/socket"),
            UnixAddr::from_abstract_name(b"name\0more"),
            UnixAddr::from_pathname(""),
        ];
        let unix = unix.map(|address| Address::Unix(address.unwrap()));
        let ip = ["1.2.3.4:5", "[fe80::1%3]:1"].map(|text| Address::Ip(text.parse().unwrap()));
        for address in ip.into_iter().chain(unix) {
            let native = to_native(address.clone()).unwrap();
            let back = from_native(&native).unwrap();
            assert_eq!(format!("{back:?}"), format!("{address:?}"));
        }
    }
}
