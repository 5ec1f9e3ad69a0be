//! Conversions between the sockets of this package, descriptors and the types of std.

/// Implements `AsFd`, `AsRawFd`, `IntoRawFd`, `Into<OwnedFd>` and, for a registered type,
/// `TryFrom` its counterpart in std.
///
/// `registered` is for types with a field `io: Io`. Borrowing their descriptor marks it as shared,
/// see [`mark_shared`](crate::socket::mark_shared). `plain` is for types with a field
/// `socket: Descriptor`.
macro_rules! impl_fd_traits {
    (registered $type:ident, $std:ty) => {
        impl ::std::os::fd::AsFd for $type {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                $crate::socket::mark_shared(&self.io)
            }
        }

        impl From<$type> for ::std::os::fd::OwnedFd {
            fn from(socket: $type) -> Self {
                socket.io.into_inner().into_fd()
            }
        }

        impl TryFrom<$std> for $type {
            type Error = ::std::io::Error;

            #[doc = concat!("As [`", stringify!($type), "::from_std`].")]
            fn try_from(socket: $std) -> ::std::io::Result<Self> {
                Self::from_std(socket)
            }
        }

        $crate::fd::impl_fd_traits!(raw $type);
    };
    (plain $type:ident) => {
        impl ::std::os::fd::AsFd for $type {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl From<$type> for ::std::os::fd::OwnedFd {
            fn from(socket: $type) -> Self {
                socket.socket.into_fd()
            }
        }

        $crate::fd::impl_fd_traits!(raw $type);
    };
    (raw $type:ident) => {
        impl ::std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                ::std::os::fd::AsFd::as_fd(self).as_raw_fd()
            }
        }

        impl ::std::os::fd::IntoRawFd for $type {
            fn into_raw_fd(self) -> ::std::os::fd::RawFd {
                ::std::os::fd::OwnedFd::from(self).into_raw_fd()
            }
        }
    };
}

pub(crate) use impl_fd_traits;
