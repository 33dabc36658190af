//! Room `adapters`: a message that is stored is on its way: the visitor's page fetches it.

use misy_channel::capability::Capability;
use misy_channel::fit;
use misy_channel::front::VISITOR;
use misy_channel::outbound::{FailureKind, Outbound, SendError, Sent};

/// Lets a message go, if the page can show it and the contact has one. Our own id is the provider's
/// as well.
pub(crate) fn send(message: &Outbound, capability: &Capability) -> Result<Sent, SendError> {
    fit::check(&message.content, capability)
        .map_err(|misfit| SendError::new(FailureKind::Payload, "misfit", misfit.to_string()))?;
    if !message.to.0.iter().any(|claim| claim.namespace == VISITOR) {
        let why = "the contact has never visited a page";
        return Err(SendError::new(FailureKind::Recipient, "no_visitor", why));
    }
    Ok(Sent { external_id: message.id.to_string() })
}
