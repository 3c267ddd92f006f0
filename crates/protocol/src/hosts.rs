//! Where a server listens.

use std::net::IpAddr;

/// The hosts that a server listens on: one name or address, or several. The empty name means all
/// interfaces, both IPv4 and IPv6.
///
/// ```
/// use asyncio_protocol::Hosts;
/// use std::net::Ipv4Addr;
///
/// let _: Hosts = "localhost".into();
/// let _: Hosts = Ipv4Addr::LOCALHOST.into();
/// let _: Hosts = ["127.0.0.1", "::1"].into();
/// assert_eq!(Hosts::from(""), Hosts::all_interfaces());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(pub(crate) Vec<String>);

impl Hosts {
    /// Every interface, IPv4 and IPv6.
    pub fn all_interfaces() -> Self {
        Self(vec![String::new()])
    }
}

impl From<&str> for Hosts {
    fn from(host: &str) -> Self {
        Self(vec![host.to_owned()])
    }
}

impl From<String> for Hosts {
    fn from(host: String) -> Self {
        Self(vec![host])
    }
}

impl From<&String> for Hosts {
    fn from(host: &String) -> Self {
        Self(vec![host.clone()])
    }
}

impl From<IpAddr> for Hosts {
    fn from(addr: IpAddr) -> Self {
        Self(vec![addr.to_string()])
    }
}

impl From<std::net::Ipv4Addr> for Hosts {
    fn from(addr: std::net::Ipv4Addr) -> Self {
        IpAddr::V4(addr).into()
    }
}

impl From<std::net::Ipv6Addr> for Hosts {
    fn from(addr: std::net::Ipv6Addr) -> Self {
        IpAddr::V6(addr).into()
    }
}

impl<S: Into<String>> From<Vec<S>> for Hosts {
    fn from(hosts: Vec<S>) -> Self {
        hosts.into_iter().collect()
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Hosts {
    fn from(hosts: [S; N]) -> Self {
        hosts.into_iter().collect()
    }
}

impl<S: Into<String>> FromIterator<S> for Hosts {
    fn from_iter<I: IntoIterator<Item = S>>(hosts: I) -> Self {
        Self(hosts.into_iter().map(Into::into).collect())
    }
}
