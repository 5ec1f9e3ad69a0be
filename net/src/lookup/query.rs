//! The query of a lookup: parsing of hosts, and results that need no resolver.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wakeful::task::JoinHandle;

use super::SocketAddrs;

/// State of a lookup; see the diagram in [`super`].
#[derive(Debug)]
pub enum Query {
    Known(SocketAddrs),
    Name {
        host: String,
        port: u16,
    },
    Running {
        text: String,
        handle: JoinHandle<io::Result<Vec<SocketAddr>>>,
    },
    Refused {
        text: String,
        reason: &'static str,
    },
    Done,
}

impl Query {
    /// Parses `host:port`.
    fn text(text: &str) -> Self {
        let refused = |reason| Self::Refused {
            text: text.into(),
            reason,
        };
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Self::Known(SocketAddrs::one(address));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return refused("expected host:port");
        };
        match port.parse::<u16>() {
            Ok(port) => Self::host(host, port),
            Err(_) => refused("the port must be a number from 0 to 65535"),
        }
    }

    /// Parses a host without its port.
    fn host(host: &str, port: u16) -> Self {
        let refused = |reason| Self::Refused {
            text: format!("{host}:{port}"),
            reason,
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            Self::Known(SocketAddrs::one((ip, port)))
        } else if host.is_empty() {
            refused("the host is missing")
        } else if host.contains('\0') {
            refused("a host name cannot contain a NUL character")
        } else {
            Self::Name {
                host: host.into(),
                port,
            }
        }
    }
}

/// The implementation of [`ToSocketAddrs`](super::ToSocketAddrs).
pub trait Resolve {
    /// Converts the value without calling a resolver.
    fn resolve(&self) -> Query;
}

impl<T: Resolve + ?Sized> Resolve for &T {
    fn resolve(&self) -> Query {
        (**self).resolve()
    }
}

impl Resolve for str {
    fn resolve(&self) -> Query {
        Query::text(self)
    }
}

impl Resolve for String {
    fn resolve(&self) -> Query {
        Query::text(self)
    }
}

impl Resolve for (&str, u16) {
    fn resolve(&self) -> Query {
        Query::host(self.0, self.1)
    }
}

impl Resolve for (String, u16) {
    fn resolve(&self) -> Query {
        Query::host(&self.0, self.1)
    }
}

macro_rules! impl_resolve_known {
    ($($address:ty),+) => {
        $(
            impl Resolve for $address {
                fn resolve(&self) -> Query {
                    Query::Known(SocketAddrs::one(*self))
                }
            }
        )+
    };
}

impl_resolve_known!((IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));
impl_resolve_known!(SocketAddr, SocketAddrV4, SocketAddrV6);

impl Resolve for [SocketAddr] {
    fn resolve(&self) -> Query {
        Query::Known(SocketAddrs::many(self.to_vec()))
    }
}

impl<const N: usize> Resolve for [SocketAddr; N] {
    fn resolve(&self) -> Query {
        self.as_slice().resolve()
    }
}

impl Resolve for Vec<SocketAddr> {
    fn resolve(&self) -> Query {
        self.as_slice().resolve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(host: impl Resolve) -> Option<Vec<String>> {
        match host.resolve() {
            Query::Known(addresses) => Some(addresses.map(|a| a.to_string()).collect()),
            _ => None,
        }
    }

    fn refusal(text: &str) -> Option<&'static str> {
        match text.resolve() {
            Query::Refused { reason, .. } => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn an_ip_address_needs_no_resolver() {
        let one = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(known("127.0.0.1:80"), one("127.0.0.1:80"));
        assert_eq!(known("[::1]:80"), one("[::1]:80"));
        assert_eq!(known("::1:80"), one("[::1]:80"));
        assert_eq!(known(("::1", 80)), one("[::1]:80"));
        assert_eq!(known(("10.0.0.1".to_owned(), 80)), one("10.0.0.1:80"));
        assert_eq!(known((Ipv4Addr::LOCALHOST, 80)), one("127.0.0.1:80"));
        let several: Vec<SocketAddr> = vec![([1, 1, 1, 1], 1).into(), ([2, 2, 2, 2], 2).into()];
        assert_eq!(known(&several[..]).map(|a| a.len()), Some(2));
        assert_eq!(known(several).map(|a| a.len()), Some(2));
    }

    #[test]
    fn a_name_is_left_to_the_resolver() {
        let query = "localhost:80".resolve();
        assert!(matches!(query, Query::Name { host, port: 80 } if host == "localhost"));
        let query = String::from("localhost:80").resolve();
        assert!(matches!(query, Query::Name { .. }));
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_reason() {
        assert_eq!(refusal("localhost"), Some("expected host:port"));
        assert_eq!(refusal(""), Some("expected host:port"));
        assert_eq!(refusal(":80"), Some("the host is missing"));
        for port in ["65536", "-1", "x", ""] {
            let text = format!("localhost:{port}");
            assert_eq!(
                refusal(&text),
                Some("the port must be a number from 0 to 65535")
            );
        }
        assert_eq!(
            refusal("a\0b:1"),
            Some("a host name cannot contain a NUL character")
        );
    }
}
