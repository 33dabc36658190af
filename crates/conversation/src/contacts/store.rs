//! Room `conversation`: rows of `contacts` and `contact_identities`.

use std::collections::HashMap;

use misy_channel::IdentityClaim;
use misy_core::id::TypedId;
use misy_core::{ContactId, Cursor, IdentityId, Limit, Personal};
use misy_store::{Error, Row, TenantTx, ToSql};
use uuid::Uuid;

use super::model::{Contact, Holder, Identity, Plan};

const FIND_HOLDERS: &str = "
    select new.place, identity.contact_id, contact.display_name is not null as named
    from unnest($2::text[], $3::text[]) with ordinality as new (namespace, value, place)
    join contact_identities as identity on identity.tenant_id = $1
        and identity.namespace = new.namespace and identity.value = new.value
    join contacts as contact on contact.tenant_id = $1 and contact.id = identity.contact_id";

/// Foreign keys are checked at the end of the statement, so one statement writes both tables.
const WRITE: &str = "
    with made as (
        insert into contacts (tenant_id, id, created_at, updated_at, display_name)
        select $1, new.id, $2, $2, named.name
        from unnest($3::uuid[]) as new (id)
        left join unnest($4::uuid[], $5::text[]) as named (id, name) on named.id = new.id),
    named as (
        update contacts set display_name = new.name, updated_at = $2, version = version + 1
        from unnest($4::uuid[], $5::text[]) as new (id, name)
        where tenant_id = $1 and contacts.id = new.id and display_name is null)
    insert into contact_identities (tenant_id, id, contact_id, namespace, value, created_at)
    select $1, new.id, new.contact_id, new.namespace, new.value, $2
    from unnest($6::uuid[], $7::uuid[], $8::text[], $9::text[])
        as new (id, contact_id, namespace, value)
    on conflict (tenant_id, namespace, value) do nothing
    returning id";

const DELETE_WITHOUT_IDENTITY: &str = "
    delete from contacts
    where tenant_id = $1 and id = any($2) and not exists (
        select from contact_identities as identity
        where identity.tenant_id = $1 and identity.contact_id = contacts.id)";

const DELETE_REPLACED: &str = "
    delete from contact_identities
    where tenant_id = $1 and contact_id = $2 and namespace = any($3)
        and (namespace, value) not in (select * from unnest($3::text[], $4::text[]))
        and exists (
            select from contact_identities as newer
            join unnest($3::text[], $4::text[]) as given (namespace, value)
                on newer.namespace = given.namespace and newer.value = given.value
            where newer.tenant_id = $1 and newer.contact_id = $2)";

const LEARN_LANGUAGE: &str = "
    update contacts set language = $3, updated_at = $4, version = version + 1
    where tenant_id = $1 and id = $2 and language is null";

/// A row for each identity, and one for a contact without any; so does the list.
const FIND: &str = "
    select contact.*, identity.id as identity_id, identity.namespace, identity.value,
        identity.created_at as known_since
    from contacts as contact
    left join contact_identities as identity
        on identity.tenant_id = $1 and identity.contact_id = contact.id
    where contact.tenant_id = $1 and contact.id = $2
    order by identity.id";

/// Identities are looked up one contact after another: the planner, who does not know how long a
/// page is, would read them all.
const LIST: &str = "
    select page.*, identity.id as identity_id, identity.namespace, identity.value,
        identity.created_at as known_since
    from (
        select * from contacts as contact
        where contact.tenant_id = $1 and contact.id < $2
            and ($3::text is null or contact.id = (
                select contact_id from contact_identities as wanted
                where wanted.tenant_id = $1 and wanted.namespace = $3 and wanted.value = $4))
        order by contact.id desc limit $5) as page
    left join lateral (
        select * from contact_identities as one
        where one.tenant_id = $1 and one.contact_id = page.id offset 0) as identity on true
    order by page.id desc, identity.id";

const UPDATE: &str = "
    update contacts set display_name = $4, language = $5, version = version + 1, updated_at = $6
    where tenant_id = $1 and id = $2 and version = $3
    returning version, updated_at";

fn columns<'a>(
    claims: impl IntoIterator<Item = &'a IdentityClaim>,
) -> (Vec<&'static str>, Vec<String>) {
    let column = |claim: &IdentityClaim| (claim.namespace, crate::storable_id(&claim.value.0));
    claims.into_iter().map(column).unzip()
}

/// Who holds which of the identities.
pub(crate) async fn find_holders<'a>(
    tx: &mut TenantTx,
    claims: &[&'a IdentityClaim],
) -> Result<HashMap<&'a IdentityClaim, Holder>, Error> {
    let (namespaces, values) = columns(claims.iter().copied());
    let rows = tx.query(FIND_HOLDERS, &[&tx.tenant(), &namespaces, &values]).await?;
    let holder = |row: &Row| {
        let place = usize::try_from(row.get::<_, i64>("place") - 1).ok()?;
        let contact = ContactId::from_uuid(row.get("contact_id"));
        Some((*claims.get(place)?, Holder { contact, named: row.get("named") }))
    };
    Ok(rows.iter().filter_map(holder).collect())
}

/// Writes what the plan says. `false` if another transaction took one of the identities meanwhile.
pub(crate) async fn write(tx: &mut TenantTx, plan: &Plan<'_>) -> Result<bool, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let new: Vec<Uuid> = plan.new.iter().map(|id| id.uuid()).collect();
    let (named, names): (Vec<Uuid>, Vec<String>) =
        plan.names.iter().map(|(id, name)| (id.uuid(), crate::storable(name))).unzip();
    let ids: Vec<Uuid> = plan.identities.iter().map(|_| tx.ambient().uuid()).collect();
    let contacts: Vec<Uuid> = plan.identities.iter().map(|(id, _)| id.uuid()).collect();
    let (namespaces, values) = columns(plan.identities.iter().map(|(_, claim)| *claim));
    let params: [&(dyn ToSql + Sync); 9] =
        [&tenant, &now, &new, &named, &names, &ids, &contacts, &namespaces, &values];
    Ok(tx.query(WRITE, &params).await?.len() == ids.len())
}

/// Takes back contacts that were made for nobody.
pub(crate) async fn delete_without_identity(
    tx: &mut TenantTx,
    contacts: &[ContactId],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = contacts.iter().map(|id| id.uuid()).collect();
    tx.execute(DELETE_WITHOUT_IDENTITY, &[&tx.tenant(), &ids]).await.map(drop)
}

/// Takes identities away that newer ones of the same namespace replace, if the contact has one of
/// those.
pub(crate) async fn delete_replaced(
    tx: &mut TenantTx,
    contact: ContactId,
    newer: &[IdentityClaim],
) -> Result<(), Error> {
    let (namespaces, values) = columns(newer);
    let params: [&(dyn ToSql + Sync); 4] = [&tx.tenant(), &contact.uuid(), &namespaces, &values];
    tx.execute(DELETE_REPLACED, &params).await.map(drop)
}

/// Notes the language of a contact that had none.
pub(crate) async fn learn_language(
    tx: &mut TenantTx,
    contact: ContactId,
    language: &str,
) -> Result<(), Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    tx.execute(LEARN_LANGUAGE, &[&tenant, &contact.uuid(), &language, &now]).await.map(drop)
}

pub(crate) async fn find(tx: &mut TenantTx, id: ContactId) -> Result<Option<Contact>, Error> {
    let rows = tx.query(FIND, &[&tx.tenant(), &id.uuid()]).await?;
    Ok(contacts(&rows).pop())
}

/// Newest first; all, or the one that holds an identity (namespace, value).
pub(crate) async fn list(
    tx: &mut TenantTx,
    identity: Option<(&str, &str)>,
    cursor: Option<Cursor>,
    limit: Limit,
) -> Result<Vec<Contact>, Error> {
    let (namespace, value) = identity.unzip();
    let before = Cursor::before(cursor);
    let rows = tx.query(LIST, &[&tx.tenant(), &before, &namespace, &value, &limit.fetch()]).await?;
    Ok(contacts(&rows))
}

/// Writes a changed contact if nobody else has changed it meanwhile.
pub(crate) async fn update(tx: &mut TenantTx, new: Contact) -> Result<Option<Contact>, Error> {
    let (tenant, now) = (tx.tenant(), tx.ambient().now());
    let name = new.display_name.as_ref().map(|name| name.0.as_str());
    let params: [&(dyn ToSql + Sync); 6] =
        [&tenant, &new.id.uuid(), &new.version, &name, &new.language, &now];
    let row = tx.query_opt(UPDATE, &params).await?;
    Ok(row.map(|row| Contact {
        version: row.get("version"),
        updated_at: row.get("updated_at"),
        ..new
    }))
}

/// Rows of one contact come one after another.
fn contacts(rows: &[Row]) -> Vec<Contact> {
    let id = |row: &Row| row.get::<_, Uuid>("id");
    rows.chunk_by(|one, next| id(one) == id(next)).filter_map(contact).collect()
}

fn contact(rows: &[Row]) -> Option<Contact> {
    let row = rows.first()?;
    Some(Contact {
        id: ContactId::from_uuid(row.get("id")),
        display_name: row.get::<_, Option<String>>("display_name").map(Personal),
        language: row.get("language"),
        identities: rows.iter().filter_map(identity).collect(),
        version: row.get("version"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    })
}

fn identity(row: &Row) -> Option<Identity> {
    let id: Option<Uuid> = row.get("identity_id");
    Some(Identity {
        id: IdentityId::from_uuid(id?),
        namespace: row.get("namespace"),
        value: Personal(row.get("value")),
        created_at: row.get("known_since"),
    })
}
