//! Room `egress`: a network as an address and the number of bits that count (RFC 4632).

use std::net::IpAddr;
use std::str::FromStr;

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Net {
    base: IpAddr,
    bits: u32,
}

/// A text that is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network, for example 192.0.2.0/24")]
pub struct NoNet;

impl FromStr for Net {
    type Err = NoNet;

    fn from_str(text: &str) -> Result<Self, NoNet> {
        let (base, bits) = text.split_once('/').unwrap_or((text, ""));
        let base: IpAddr = base.parse().map_err(|_| NoNet)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = if text.contains('/') { bits.parse().map_err(|_| NoNet)? } else { most };
        if bits > most { Err(NoNet) } else { Ok(Self { base, bits }) }
    }
}

impl Net {
    /// Whether the address lies in it.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let apart = u64::from(base.to_bits() ^ address.to_bits());
                apart >> (32 - self.bits) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let apart = base.to_bits() ^ address.to_bits();
                apart.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether one of the networks holds the address; no networks hold all.
    pub fn admit(nets: &[Self], address: IpAddr) -> bool {
        nets.is_empty() || nets.iter().any(|net| net.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(net: &str, address: &str) -> bool {
        let net: Net = net.parse().expect("a network");
        net.contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        assert!(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("::/0", "::1") && holds("192.0.2.7", "192.0.2.7"));
        assert!(!holds("192.0.2.7", "192.0.2.8"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "example.org", "192.0.2.0/33", "192.0.2.0/", "::/129", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Net>(), Err(NoNet), "{text}");
        }
    }
}
