//! Room `egress`: the resolver that the connectors use; it gives out no address outside the reach.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Net, Reach};

/// Every address of a name lies outside the reach. Kept inside the client's error, so that the
/// caller can tell it from a name that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name leads to private, loopback or special addresses only")]
pub struct Refusal;

/// Addresses on their way; their ports mean nothing.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Who is asked for the addresses of a name. What it says is not believed: every answer goes
/// through [`Resolver`], each time a connection is made.
pub trait LookUp: Send + Sync {
    /// Every address of a name.
    fn look_up(&self, name: String) -> Looking;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy)]
pub struct OfMachine;

impl LookUp for OfMachine {
    fn look_up(&self, name: String) -> Looking {
        Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
    }
}

impl<F: Fn(String) -> Looking + Send + Sync> LookUp for F {
    fn look_up(&self, name: String) -> Looking {
        self(name)
    }
}

/// Looks names up and filters what comes back.
pub struct Resolver {
    reach: Reach,
    /// The only networks that may be reached; empty is all.
    nets: Vec<Net>,
    asked: Arc<dyn LookUp>,
}

impl Resolver {
    /// Gives out what `asked` says, as far as it lies within the reach.
    pub fn new(reach: Reach, asked: Arc<dyn LookUp>) -> Self {
        Self { reach, nets: Vec::new(), asked }
    }

    /// Gives out addresses of these networks only.
    #[must_use]
    pub fn within(mut self, nets: Vec<Net>) -> Self {
        self.nets = nets;
        self
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.asked.look_up(name.as_str().to_owned());
        let (reach, nets) = (self.reach, self.nets.clone());
        Box::pin(async move { Ok(permitted(looking.await?, reach, &nets)?) })
    }
}

fn permitted(mut found: Vec<SocketAddr>, reach: Reach, nets: &[Net]) -> Result<Addrs, Refusal> {
    found.retain(|address| reach.permits(address.ip()) && Net::admit(nets, address.ip()));
    if found.is_empty() { Err(Refusal) } else { Ok(Box::new(found.into_iter())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(reach: Reach, look_up: fn(String) -> Looking) -> Resolver {
        Resolver::new(reach, Arc::new(look_up))
    }

    fn mixed(_: String) -> Looking {
        let found = ["169.254.169.254:0", "10.0.0.1:0", "93.184.215.14:0", "[::1]:0"];
        Box::pin(async move { Ok(found.iter().filter_map(|text| text.parse().ok()).collect()) })
    }

    fn inner(_: String) -> Looking {
        Box::pin(async { Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]) })
    }

    async fn ask(resolver: Resolver) -> Result<Vec<String>, String> {
        let name = "rebind.example".parse().expect("a name");
        match resolver.resolve(name).await {
            Ok(found) => Ok(found.map(|address| address.ip().to_string()).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[tokio::test]
    async fn a_name_with_mixed_addresses_keeps_the_permitted_ones() {
        let public = ask(resolver(Reach::Public, mixed)).await;
        assert_eq!(public, Ok(vec!["93.184.215.14".to_owned()]));
        let private = ask(resolver(Reach::Private, mixed)).await.expect("three are permitted");
        assert_eq!(private, ["10.0.0.1", "93.184.215.14", "::1"]);
    }

    #[tokio::test]
    async fn a_name_that_leads_out_of_the_allowed_networks_is_refused() {
        let nets = |text: &str| vec![text.parse().expect("a network")];
        let allowed = resolver(Reach::Public, mixed).within(nets("93.184.0.0/16"));
        assert_eq!(ask(allowed).await, Ok(vec!["93.184.215.14".to_owned()]));
        let refused = resolver(Reach::Public, mixed).within(nets("192.0.2.0/24"));
        assert_eq!(ask(refused).await, Err(Refusal.to_string()));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_only_is_refused() {
        let refused = ask(resolver(Reach::Public, inner)).await;
        assert_eq!(refused, Err(Refusal.to_string()));
    }
}
