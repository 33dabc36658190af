//! Room `integration`: providers whose scheme is known. What stands here was read in their own
//! documentation, to which each preset points.

mod terms;

use super::scheme::{Algorithm, Challenge, KeyForm, Part, Scheme, TimeForm};
use terms::{field, header, hmac, json, scheme};

/// A provider that is known.
#[derive(Debug, Clone)]
pub struct Preset {
    /// Its name in `preset`.
    pub slug: &'static str,
    /// Whose it is.
    pub title: &'static str,
    /// What the secret is and where it is found.
    pub secret: &'static str,
    /// Where the provider describes it.
    pub reference: &'static str,
    /// How it proves that a request is its own.
    pub scheme: Scheme,
}

fn preset(
    slug: &'static str,
    title: &'static str,
    secret: &'static str,
    reference: &'static str,
    scheme: Scheme,
) -> Preset {
    Preset { slug, title, secret, reference, scheme }
}

/// The preset of this name.
pub fn find(slug: &str) -> Option<Preset> {
    all().into_iter().find(|one| one.slug == slug)
}

/// All presets, by name.
pub fn all() -> Vec<Preset> {
    let mut all = talks_by_body();
    all.extend(works_by_body());
    all.extend(talks_by_time());
    all.extend(works_by_time());
    all.extend(by_key());
    all.extend(by_token());
    all.extend(standard());
    all.sort_by_key(|one| one.slug);
    all
}

/// Those that sign the body and no time: where people talk.
fn talks_by_body() -> Vec<Preset> {
    vec![
        preset(
            "meta",
            "Meta, for all its products",
            "The app secret; and a verify token of your own.",
            "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
            hmac(header("x-hub-signature-256")).after("sha256=").asks(Challenge::Meta),
        ),
        preset(
            "x",
            "X (Twitter)",
            "The app's consumer secret.",
            "https://docs.x.com/x-api/webhooks/introduction",
            hmac(header("x-twitter-webhooks-signature"))
                .after("sha256=")
                .base64()
                .asks(Challenge::X),
        ),
        preset(
            "line",
            "LINE",
            "The channel secret.",
            "https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/",
            hmac(header("x-line-signature")).base64().id(json("/events/0/webhookEventId")),
        ),
        preset(
            "intercom",
            "Intercom",
            "The app's client secret.",
            "https://developers.intercom.com/docs/webhooks/webhook-notifications",
            scheme(Algorithm::HmacSha1, header("x-hub-signature"))
                .after("sha1=")
                .id(json("/id"))
                .says(json("/topic")),
        ),
        preset(
            "twilio",
            "Twilio",
            "The account's auth token.",
            "https://www.twilio.com/docs/usage/security#validating-requests",
            scheme(Algorithm::Twilio, header("x-twilio-signature")),
        ),
    ]
}

/// Those that sign the body and no time: shops, and where people work.
fn works_by_body() -> Vec<Preset> {
    vec![
        preset(
            "github",
            "GitHub",
            "The webhook's secret.",
            "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
            hmac(header("x-hub-signature-256"))
                .after("sha256=")
                .loose_id(header("x-github-delivery"))
                .says(header("x-github-event")),
        ),
        preset(
            "shopify",
            "Shopify",
            "The app's client secret.",
            "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
            hmac(header("x-shopify-hmac-sha256"))
                .base64()
                .loose_id(header("x-shopify-webhook-id"))
                .says(header("x-shopify-topic")),
        ),
        preset(
            "square",
            "Square",
            "The subscription's signature key.",
            "https://developer.squareup.com/docs/webhooks/step3validate",
            hmac(header("x-square-hmacsha256-signature"))
                .base64()
                .over("{url}{body}")
                .id(json("/event_id"))
                .says(json("/type")),
        ),
        preset(
            "dropbox",
            "Dropbox",
            "The app secret.",
            "https://www.dropbox.com/developers/reference/webhooks",
            hmac(header("x-dropbox-signature")).asks(Challenge::Dropbox).never_repeats(),
        ),
        preset(
            "woocommerce",
            "WooCommerce",
            "The webhook's secret.",
            "https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks",
            hmac(header("x-wc-webhook-signature"))
                .base64()
                .loose_id(header("x-wc-webhook-delivery-id"))
                .says(header("x-wc-webhook-topic")),
        ),
    ]
}

/// Those that sign a time as well, with a secret that both sides have: where people talk.
fn talks_by_time() -> Vec<Preset> {
    use TimeForm::Seconds;
    vec![
        preset(
            "slack",
            "Slack",
            "The app's signing secret.",
            "https://api.slack.com/authentication/verifying-requests-from-slack",
            hmac(header("x-slack-signature"))
                .after("v0=")
                .over("v0:{timestamp}:{body}")
                .at(header("x-slack-request-timestamp"), Seconds, 300)
                .id(json("/event_id"))
                .says(json("/event/type"))
                .asks(Challenge::Slack),
        ),
        preset(
            "zoom",
            "Zoom",
            "The app's secret token.",
            "https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events",
            hmac(header("x-zm-signature"))
                .after("v0=")
                .over("v0:{timestamp}:{body}")
                .at(header("x-zm-request-timestamp"), Seconds, 300)
                .says(json("/event"))
                .asks(Challenge::Zoom),
        ),
        preset(
            "mailgun",
            "Mailgun",
            "The HTTP webhook signing key. It signs a token and a time, not what is said.",
            "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
            hmac(json("/signature/signature"))
                .over("{timestamp}{json:/signature/token}")
                .at(json("/signature/timestamp"), Seconds, 300)
                .id(json("/signature/token"))
                .says(json("/event-data/event")),
        ),
    ]
}

/// The same: shops, and where people work.
fn works_by_time() -> Vec<Preset> {
    use TimeForm::{Milliseconds, Seconds};
    vec![
        preset(
            "stripe",
            "Stripe",
            "The endpoint's signing secret, whsec_...",
            "https://docs.stripe.com/webhooks#verify-manually",
            hmac(field("stripe-signature", "v1"))
                .over("{timestamp}.{body}")
                .at(field("stripe-signature", "t"), Seconds, 300)
                .id(json("/id"))
                .says(json("/type")),
        ),
        preset(
            "paddle",
            "Paddle Billing",
            "The notification destination's secret key.",
            "https://developer.paddle.com/webhooks/signature-verification",
            hmac(field("paddle-signature", "h1"))
                .over("{timestamp}:{body}")
                .at(field("paddle-signature", "ts"), Seconds, 300)
                .id(json("/event_id"))
                .says(json("/event_type")),
        ),
        preset(
            "linear",
            "Linear",
            "The webhook's signing secret.",
            "https://linear.app/developers/webhooks#securing-webhooks",
            hmac(header("linear-signature"))
                .at(json("/webhookTimestamp"), Milliseconds, 60)
                .loose_id(header("linear-delivery"))
                .says(json("/type")),
        ),
        preset(
            "hubspot",
            "HubSpot (v3)",
            "The app's client secret.",
            "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
            hmac(header("x-hubspot-signature-v3"))
                .base64()
                .over("{method}{loose_url}{body}{timestamp}")
                .at(header("x-hubspot-request-timestamp"), Milliseconds, 300),
        ),
        preset(
            "calendly",
            "Calendly",
            "The subscription's signing key.",
            "https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures",
            hmac(field("calendly-webhook-signature", "v1"))
                .over("{timestamp}.{body}")
                .at(field("calendly-webhook-signature", "t"), Seconds, 180)
                .says(json("/event")),
        ),
    ]
}

/// Those that sign with a key of which the public part is known.
fn by_key() -> Vec<Preset> {
    let discord_time = header("x-signature-timestamp");
    let sendgrid_time = header("x-twilio-email-event-webhook-timestamp");
    vec![
        preset(
            "discord",
            "Discord",
            "The application's public key, in hexadecimal digits.",
            "https://discord.com/developers/docs/interactions/overview#setting-up-an-endpoint",
            scheme(Algorithm::Ed25519, header("x-signature-ed25519"))
                .keyed(KeyForm::Hex)
                .over("{timestamp}{body}")
                .at(discord_time, TimeForm::Seconds, 300)
                .id(json("/id"))
                .asks(Challenge::Discord),
        ),
        preset(
            "sendgrid",
            "SendGrid (event webhook)",
            "The verification key, base64 as shown.",
            "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/\
             getting-started-event-webhook-security-features",
            scheme(Algorithm::EcdsaP256, header("x-twilio-email-event-webhook-signature"))
                .keyed(KeyForm::Base64)
                .base64()
                .over("{timestamp}{body}")
                .at(sendgrid_time, TimeForm::Seconds, 300),
        ),
        preset(
            "paypal",
            "PayPal",
            "The webhook's id.",
            "https://developer.paypal.com/api/rest/webhooks/rest/",
            scheme(Algorithm::Paypal, header("paypal-transmission-sig"))
                .at(header("paypal-transmission-time"), TimeForm::Rfc3339, 300)
                .id(json("/id"))
                .says(json("/event_type")),
        ),
        preset(
            "fusionauth",
            "FusionAuth (JWT)",
            "The key's secret (HMAC), or its public key as PEM.",
            "https://fusionauth.io/docs/extend/events-and-webhooks/signing",
            scheme(Algorithm::Jwt, header("x-fusionauth-signature-jwt"))
                .id(json("/event/id"))
                .says(json("/event/type")),
        ),
    ]
}

/// Those that send the secret along.
fn by_token() -> Vec<Preset> {
    let token = |part| scheme(Algorithm::Token, part);
    let basic = || scheme(Algorithm::Basic, header("authorization"));
    let graph = Part::Each { list: "/value".to_owned(), pointer: "/clientState".to_owned() };
    vec![
        preset(
            "gitlab",
            "GitLab",
            "The webhook's secret token.",
            "https://docs.gitlab.com/user/project/integrations/webhooks/",
            token(header("x-gitlab-token"))
                .id(header("idempotency-key"))
                .says(header("x-gitlab-event")),
        ),
        preset(
            "telegram",
            "Telegram",
            "The secret_token that was given to setWebhook.",
            "https://core.telegram.org/bots/api#setwebhook",
            token(header("x-telegram-bot-api-secret-token")).id(json("/update_id")),
        ),
        preset(
            "microsoft_graph",
            "Microsoft Graph",
            "The subscription's clientState.",
            "https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
            token(graph).asks(Challenge::Graph).never_repeats(),
        ),
        preset(
            "postmark",
            "Postmark",
            "user:password, as in the webhook's address.",
            "https://postmarkapp.com/developer/webhooks/webhooks-overview",
            basic().says(json("/RecordType")),
        ),
        preset(
            "chargebee",
            "Chargebee",
            "user:password, as set for the webhook.",
            "https://www.chargebee.com/docs/billing/2.0/site-configuration/webhook_settings",
            basic().id(json("/id")).says(json("/event_type")),
        ),
    ]
}

/// Those that keep to Standard Webhooks.
fn standard() -> Vec<Preset> {
    let follows = |slug, title, reference| {
        let secret = "whsec_... (v1,whsec_... as well), or whpk_... for v1a.";
        let scheme = scheme(Algorithm::Standard, header("webhook-signature")).says(json("/type"));
        preset(slug, title, secret, reference, scheme)
    };
    vec![
        follows(
            "standard_webhooks",
            "Standard Webhooks",
            "https://github.com/standard-webhooks/standard-webhooks",
        ),
        follows("svix", "Svix", "https://docs.svix.com/receiving/verifying-payloads/how-manual"),
        follows("clerk", "Clerk", "https://clerk.com/docs/webhooks/overview"),
        follows("resend", "Resend", "https://resend.com/docs/dashboard/webhooks/introduction"),
        follows("openai", "OpenAI", "https://platform.openai.com/docs/guides/webhooks"),
        follows("replicate", "Replicate", "https://replicate.com/docs/topics/webhooks"),
        follows("supabase", "Supabase", "https://supabase.com/docs/guides/auth/auth-hooks"),
    ]
}
