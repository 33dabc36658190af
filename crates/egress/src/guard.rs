//! Room `egress`: the guard against requests to inner networks (SSRF).
//!
//! It looks at the URL before anything happens and at the addresses that the connector really uses:
//! the client resolves names only through [`Resolver`], so a name that changes its address between
//! check and use gains nothing. Redirects are not followed, and the environment's proxies not used.

mod address;
mod net;
mod resolver;

use std::net::IpAddr;

use url::{Host, Url};

use crate::Error;

pub use address::{Place, place_of};
pub use net::{Net, NoNet};
pub use resolver::{LookUp, Looking, OfMachine, Refusal, Resolver};

/// How far a call may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses by `https`.
    Public,
    /// Private and loopback addresses as well, and `http`.
    Private,
}

impl Reach {
    /// The reach of a call for which private hosts are allowed, or not.
    pub const fn of(private_hosts_allowed: bool) -> Self {
        if private_hosts_allowed { Self::Private } else { Self::Public }
    }

    /// Whether an address may be called.
    pub fn permits(self, address: IpAddr) -> bool {
        match place_of(address) {
            Place::Public => true,
            Place::Private => self == Self::Private,
            Place::Never => false,
        }
    }
}

/// Checks scheme, credentials and literal address of a URL; gives back the host. Names are judged
/// when they are resolved.
pub fn check_url(url: &Url, reach: Reach) -> Result<&str, Error> {
    let refuse = |why: &str| Err(Error::Refused(why.to_owned()));
    match (url.scheme(), reach) {
        ("https", _) | ("http", Reach::Private) => {}
        ("http", Reach::Public) => return refuse("plain http is only for private hosts"),
        _ => return refuse("only http and https are spoken"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("a URL must not hold credentials");
    }
    let literal = match url.host() {
        None => return refuse("the URL has no host"),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
    };
    if literal.is_some_and(|address| !reach.permits(address)) {
        return refuse("private, loopback and special addresses are refused");
    }
    url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| Error::Refused("no host".into()))
}

#[cfg(test)]
mod tests;
