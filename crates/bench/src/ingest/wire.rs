//! Room `bench`: a customer's message as the provider delivers it.

use bytes::Bytes;
use misy_core::crypto;
use serde_json::json;

use super::stage::Account;

/// Customers, of all accounts together; each writes to one account only.
pub(super) const CUSTOMERS: u64 = 2_000;

/// A customer's number.
pub(super) fn phone(customer: u64) -> String {
    format!("4915{customer:08}")
}

/// The `number`th message to an account, signed, as the bytes of a whole request: its own id, one
/// of many customers.
pub(super) fn request(host: &str, account: &Account, number: u64) -> Bytes {
    let phone = phone(number % CUSTOMERS);
    let body = json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": account.waba_id, "changes": [{"field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550000", "phone_number_id": account.id},
            "contacts": [{"profile": {"name": "Load"}, "wa_id": phone}],
            "messages": [{
                "from": phone, "id": format!("wamid.bench.{}.{number}", account.id),
                "timestamp": account.now_s.to_string(), "type": "text",
                "text": {"body": "What are your opening hours?"}
            }]
        }}]}]
    });
    let body = body.to_string();
    let tag = crypto::hmac_sha256(account.app_secret.as_bytes(), body.as_bytes());
    let head = format!(
        "POST /hooks/meta HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         x-hub-signature-256: sha256={}\r\ncontent-length: {}\r\n\r\n",
        crypto::to_hex(&tag),
        body.len(),
    );
    Bytes::from(head + &body)
}
