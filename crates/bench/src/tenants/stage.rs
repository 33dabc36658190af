//! Room `bench`: what tenants are given before anybody reads among them: keys and contacts.

use misy_core::crypto::sha256;
use misy_core::id::TypedId;
use misy_core::{ApiKeyId, Secret};
use uuid::Uuid;

use super::Settings;
use crate::{Failure, sql};

/// Who can ask.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) tenant: Uuid,
    /// An API key of theirs.
    pub(super) key: Secret,
}

/// All tenants.
#[derive(Debug)]
pub(super) struct People {
    /// Twenty contacts each.
    pub(super) small: Vec<Asker>,
    /// As many contacts as all others.
    pub(super) large: Asker,
}

/// In no order, as people come: the rows of a tenant lie scattered among those of others. The
/// lowest twenty of the large tenant's are there so that twenty follow wherever a read begins.
const CONTACTS: &str = "
    with people (tenant, contact) as (
        select id, gen_random_uuid() from tenants, generate_series(1, 20)
        union all
        select $1::uuid, gen_random_uuid() from tenants, generate_series(1, 20)
        union all
        select $1, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid
        from generate_series(1, 20) n)
    insert into contacts (tenant_id, id, display_name)
    select tenant, contact, 'somebody' from people order by random()";

/// How each of them can be reached.
const IDENTITIES: &str = "
    insert into contact_identities (tenant_id, id, contact_id, namespace, value)
    select tenant_id, gen_random_uuid(), id, 'email', id || '@customer.example'
    from contacts order by random()";

const KEYS: &str = "
    insert into api_key_routes (key_id, tenant_id, secret_hash, role)
    select unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::bytea[]), 'viewer'";

/// Whoever remembers tenants looks for those that were changed in the last minutes, twice a second:
/// ten thousand at once are no daily business, and no part of a read.
const AGE: &str = "update tenants set updated_at = updated_at - interval '1 day'";

const IDS: &str = "select id from tenants order by id";

/// Gives every tenant a key and contacts; the last one gets as many as all together.
pub(super) async fn furnish(settings: &Settings) -> Result<People, Failure> {
    let ids = sql::with(&settings.server, async |client| {
        let rows = client.query(IDS, &[]).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
        client.execute(CONTACTS, &[ids.last().ok_or("no tenant")?]).await?;
        client.execute(IDENTITIES, &[]).await?;
        client.execute(AGE, &[]).await?;
        let hashes: Vec<Vec<u8>> = ids.iter().map(|id| sha256(&secret(*id)).to_vec()).collect();
        client.execute(KEYS, &[&ids, &ids, &hashes]).await?;
        Ok(ids)
    });
    let ids = ids.await?;
    for table in ["tenants", "contacts", "contact_identities", "api_key_routes"] {
        sql::run(&settings.server, &format!("vacuum (analyze) {table}")).await?;
    }
    let asker = |tenant: Uuid| {
        let key = (settings.key_text)(ApiKeyId::from_uuid(tenant), secret(tenant));
        Asker { tenant, key }
    };
    let mut small: Vec<Asker> = ids.into_iter().map(asker).collect();
    let large = small.pop().ok_or("no tenant")?;
    Ok(People { small, large })
}

/// What their key's secret is; its id is theirs.
fn secret(tenant: Uuid) -> [u8; 32] {
    sha256(tenant.as_bytes())
}
