//! Room `egress`: to which part of the address space an address belongs, by the IANA
//! special-purpose registries (<https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! its IPv6 sister).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A part of the address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Reachable from everywhere.
    Public,
    /// Loopback, private use, carrier-grade NAT, unique local: allowed where the operator says so.
    Private,
    /// No service of a customer can be here: unspecified, link-local, metadata services, multicast,
    /// reserved, documentation, and every form that hides an IPv4 address inside IPv6.
    Never,
}

/// Metadata services of clouds inside ranges that are otherwise private.
const METADATA_V4: [Ipv4Addr; 1] = [Ipv4Addr::new(100, 100, 100, 200)];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x0ce, 0, 0, 0, 0, 0, 0x0254),
];

const PRIVATE_V4: [(Ipv4Addr, u32); 5] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

const NEVER_V4: [(Ipv4Addr, u32); 9] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Inside `2000::/3`, the only block of public IPv6 addresses.
const NEVER_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// The part of the address space an address belongs to.
pub fn place_of(address: IpAddr) -> Place {
    match address {
        IpAddr::V4(address) => place_of_v4(address),
        IpAddr::V6(address) => place_of_v6(address),
    }
}

fn place_of_v4(address: Ipv4Addr) -> Place {
    let within =
        |(base, bits): &(Ipv4Addr, u32)| (address.to_bits() ^ base.to_bits()) >> (32 - bits) == 0;
    if METADATA_V4.contains(&address) || NEVER_V4.iter().any(within) {
        return Place::Never;
    }
    if PRIVATE_V4.iter().any(within) { Place::Private } else { Place::Public }
}

fn place_of_v6(address: Ipv6Addr) -> Place {
    let within =
        |base: Ipv6Addr, bits: u32| (address.to_bits() ^ base.to_bits()) >> (128 - bits) == 0;
    if METADATA_V6.contains(&address) {
        return Place::Never;
    }
    if address.is_loopback() || address.is_unique_local() {
        return Place::Private;
    }
    let global = within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
    let special = NEVER_V6.iter().any(|(base, bits)| within(*base, *bits));
    if global && !special { Place::Public } else { Place::Never }
}
