//! B35. The first four bytes of an address
//!
//! From: F. Stage: 11.
//! Input: the host 127.0.0.1.
//! Bug: listens on 0.0.0.0
//! Fix: listens on 127.0.0.1
//!
//! The parsed address has 16 bytes: IPv4 is at the end, after zeros. The first four are 0.0.0.0, so the server is
//! reachable from everywhere, whatever the host. Use the type of the address, and refuse what cannot be parsed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod bug {
    use super::*;

    pub fn address(host: &str) -> Result<IpAddr, String> {
        let bytes: [u8; 16] = parse_ip(host).octets();
        let first: [u8; 4] = bytes[0..4].try_into().unwrap();
        Ok(Ipv4Addr::from(first).into())
    }
}

mod fix {
    use super::*;

    pub fn address(host: &str) -> Result<IpAddr, String> {
        host.parse().map_err(|_| format!("`{host}` is no address, such as 127.0.0.1 or ::1"))
    }
}

/// Parses an address into 16 bytes, as Go's `ParseIP` does.
fn parse_ip(host: &str) -> Ipv6Addr {
    match host.parse().unwrap() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn input(address: fn(&str) -> Result<IpAddr, String>) -> String {
    format!("listens on {}", address("127.0.0.1").unwrap())
}

fn main() {
    card::run(&|| input(bug::address), &|| input(fix::address));
}
