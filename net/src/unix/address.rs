//! Unix socket addresses: a path, an abstract name, or none.
//!
//! Created from the paths that users pass to `bind` and `connect`, and from the addresses that the
//! kernel reports. Paths are checked here, so that errors name the cause. Source: unix(7).

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net;
use std::path::{Path, PathBuf};

use socket2::SockAddr;

use crate::address::{Address, unexpected};

/// Length of the longest path or abstract name. `sun_path` has 108 bytes; one is the NUL after a
/// path or before a name.
const LONGEST: usize = 107;

/// The address of a Unix socket.
///
/// Most clients are unnamed. An unnamed address needs no allocation.
///
/// # Examples
///
/// ```
/// use wakeful_net::unix::SocketAddr;
///
/// let address = SocketAddr::from_pathname("/run/echo")?;
/// assert_eq!(address.as_pathname().unwrap().to_str(), Some("/run/echo"));
///
/// let address = SocketAddr::from_abstract_name("echo")?;
/// assert_eq!(address.to_string(), "@echo");
///
/// let long = "x".repeat(108);
/// let err = SocketAddr::from_pathname(&long).unwrap_err();
/// assert_eq!(err.to_string(), "108 bytes are too long for a Unix socket: 107 at most");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SocketAddr(Name);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Name {
    Unnamed,
    Path(PathBuf),
    Abstract(Vec<u8>),
}

impl SocketAddr {
    /// Creates the address of a file.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the path is empty, contains a NUL byte or has more than 107 bytes.
    pub fn from_pathname<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_bytes();
        check_length(bytes)?;
        if bytes.is_empty() {
            return Err(invalid("the path of a Unix socket is empty".into()));
        }
        if bytes.contains(&0) {
            return Err(invalid(
                "the path of a Unix socket contains a NUL byte that is not its first".into(),
            ));
        }
        Ok(Self(Name::Path(path.into())))
    }

    /// Creates an address in the abstract namespace. The name can contain any bytes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the name has more than 107 bytes.
    pub fn from_abstract_name<N: AsRef<[u8]>>(name: N) -> io::Result<Self> {
        let name = name.as_ref();
        check_length(name)?;
        Ok(Self(Name::Abstract(name.into())))
    }

    /// Parses a user's path: a path, or a NUL byte and an abstract name.
    pub(crate) fn from_user(path: &Path) -> io::Result<Self> {
        match path.as_os_str().as_bytes() {
            [0, name @ ..] => Self::from_abstract_name(name),
            _ => Self::from_pathname(path),
        }
    }

    /// Converts the address to the kernel's format.
    pub(super) fn to_kernel(&self) -> io::Result<SockAddr> {
        match &self.0 {
            Name::Unnamed => Err(invalid(
                "an unnamed Unix address cannot be bound or connected to".into(),
            )),
            Name::Path(path) => SockAddr::unix(path),
            Name::Abstract(name) => {
                SockAddr::unix(OsStr::from_bytes(&[&[0], name.as_slice()].concat()))
            }
        }
    }

    /// Returns whether the socket has neither path nor name, as is usual for clients.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        matches!(self.0, Name::Unnamed)
    }

    /// Returns the path, if the address is one.
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        match &self.0 {
            Name::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the abstract name without its NUL byte, if the address is one.
    #[must_use]
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Name::Abstract(name) => Some(name),
            _ => None,
        }
    }
}

impl Address for SocketAddr {
    /// Converts a reported address. It is unnamed if it has no path, or if nothing was reported.
    fn from_kernel(reported: Option<&SockAddr>) -> io::Result<Self> {
        let Some(address) = reported.filter(|address| address.len() > 0) else {
            return Ok(Self(Name::Unnamed));
        };
        // A path of the full 108 bytes is reported with a length that includes the NUL after it.
        if address.len() as usize > size_of::<libc::sockaddr_un>() + 1 {
            return Err(unexpected("an address of the wrong length"));
        }
        if let Some(path) = address.as_pathname() {
            Ok(Self(Name::Path(path.into())))
        } else if let Some(name) = address.as_abstract_namespace() {
            Ok(Self(Name::Abstract(name.into())))
        } else if address.is_unix() {
            Ok(Self(Name::Unnamed))
        } else {
            Err(unexpected("not a Unix address"))
        }
    }
}

fn check_length(bytes: &[u8]) -> io::Result<()> {
    if bytes.len() <= LONGEST {
        return Ok(());
    }
    let length = bytes.len();
    Err(invalid(format!(
        "{length} bytes are too long for a Unix socket: {LONGEST} at most"
    )))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// The path, `@name` with unprintable bytes escaped, or `(unnamed)`.
impl fmt::Display for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Unnamed => f.write_str("(unnamed)"),
            Name::Path(path) => fmt::Display::fmt(&path.display(), f),
            Name::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

impl fmt::Debug for SocketAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Unnamed => f.write_str("(unnamed)"),
            Name::Path(path) => write!(f, "{path:?} (pathname)"),
            Name::Abstract(name) => write!(f, "\"{}\" (abstract)", name.escape_ascii()),
        }
    }
}

impl From<net::SocketAddr> for SocketAddr {
    fn from(address: net::SocketAddr) -> Self {
        if let Some(path) = address.as_pathname() {
            Self(Name::Path(path.into()))
        } else if let Some(name) = address.as_abstract_name() {
            Self(Name::Abstract(name.into()))
        } else {
            Self(Name::Unnamed)
        }
    }
}

impl TryFrom<SocketAddr> for net::SocketAddr {
    type Error = io::Error;

    /// Fails for a path of 108 bytes, which the kernel can report but std cannot express.
    fn try_from(address: SocketAddr) -> io::Result<Self> {
        match &address.0 {
            // Returns std's error.
            Name::Unnamed => Self::from_pathname(""),
            Name::Path(path) => Self::from_pathname(path),
            Name::Abstract(name) => Self::from_abstract_name(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_107_bytes_fits_and_one_of_108_is_refused_with_the_limit() {
        let longest = SocketAddr::from_pathname("p".repeat(107)).unwrap();
        assert_eq!(longest.to_kernel().unwrap().len(), 110);
        let err = SocketAddr::from_pathname("p".repeat(108)).unwrap_err();
        assert_eq!(err.kind(), io::ErrorKind::InvalidInput);
        assert!(err.to_string().contains("107 at most"), "{err}");
    }

    #[test]
    fn an_abstract_name_can_be_as_long_as_a_path() {
        let longest = SocketAddr::from_abstract_name([7; 107]).unwrap();
        assert_eq!(longest.to_kernel().unwrap().len(), 110);
        assert!(SocketAddr::from_abstract_name([7; 108]).is_err());
        let short = SocketAddr::from_abstract_name(b"a\0b").unwrap();
        assert_eq!(
            short.to_kernel().unwrap().as_abstract_namespace(),
            Some(&b"a\0b"[..])
        );
    }

    #[test]
    fn a_nul_inside_a_path_is_refused_and_a_leading_one_means_abstract() {
        assert!(SocketAddr::from_user(Path::new("/tmp/a\0b")).is_err());
        let address = SocketAddr::from_user(Path::new("\0a\0b")).unwrap();
        assert_eq!(address.as_abstract_name(), Some(&b"a\0b"[..]));
    }

    #[test]
    fn an_empty_path_and_an_unnamed_address_cannot_be_used() {
        assert!(SocketAddr::from_user(Path::new("")).is_err());
        assert!(SocketAddr(Name::Unnamed).to_kernel().is_err());
    }

    #[test]
    fn an_address_from_the_kernel_keeps_every_byte() {
        let read = |path| SocketAddr::from_kernel(Some(&SockAddr::unix(path).unwrap())).unwrap();
        assert!(SocketAddr::from_kernel(None).unwrap().is_unnamed());
        assert!(read("").is_unnamed());
        assert_eq!(read("/run/x").as_pathname(), Some(Path::new("/run/x")));
        assert_eq!(read("\0a\0b\0").as_abstract_name(), Some(&b"a\0b\0"[..]));
        let inet = std::net::SocketAddr::from(([127, 0, 0, 1], 80)).into();
        assert!(SocketAddr::from_kernel(Some(&inet)).is_err());
    }

    #[test]
    fn std_addresses_convert_both_ways() {
        let all = [
            SocketAddr(Name::Unnamed),
            SocketAddr::from_pathname("/run/x").unwrap(),
            SocketAddr::from_abstract_name(b"\xff\0").unwrap(),
        ];
        for address in all {
            let std = net::SocketAddr::try_from(address.clone()).unwrap();
            assert_eq!(SocketAddr::from(std), address);
        }
    }
}
