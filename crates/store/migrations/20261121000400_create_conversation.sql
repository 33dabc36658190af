-- Channel accounts. Credentials are sealed under the tenant's key.
create table channels (
    tenant_id uuid not null,
    id uuid not null,
    kind text not null,
    name text not null,
    external_id text not null,
    status text not null default 'active' check (status in ('active', 'disabled', 'deleted')),
    settings jsonb not null,
    credentials bytea not null,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id));
create unique index channels_kind_external_id_idx on channels (tenant_id, kind, external_id)
    where status <> 'deleted';
select misy_protect_tenant_table('channels');

-- Routing directory: from what a provider's payload names to the account, before any tenant is known.
-- Control data: ids only. One account of a provider belongs to one tenant, so the key is global on
-- purpose; a tenant writes its own rows in the transaction that writes the account.
create table channel_routes (
    kind text not null,
    external_id text not null,
    tenant_id uuid not null,
    channel_id uuid not null,
    handshake_digest bytea,
    primary key (kind, external_id));
create index channel_routes_channel_id_idx on channel_routes (channel_id);
create index channel_routes_handshake_digest_idx on channel_routes (kind, handshake_digest);
alter table channel_routes enable row level security;
alter table channel_routes force row level security;
create policy tenant_writes on channel_routes for all to misy_tenant
    using (tenant_id = (select current_setting('misy.tenant')::uuid))
    with check (tenant_id = (select current_setting('misy.tenant')::uuid));
create policy platform_reads on channel_routes for select to misy_platform using (true);
grant select, insert, update, delete on channel_routes to misy_tenant;
grant select on channel_routes to misy_platform;

-- Raw payloads, stored before they are acknowledged.
create table inbox (
    tenant_id uuid not null,
    id uuid not null,
    channel_id uuid not null,
    digest bytea not null,
    body bytea not null,
    state text not null default 'pending' check (state in ('pending', 'done', 'failed')),
    attempts smallint not null default 0,
    events integer,
    error text,
    received_at timestamptz not null default now(),
    processed_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, channel_id) references channels (tenant_id, id) on delete cascade);
create unique index inbox_digest_idx on inbox (tenant_id, channel_id, digest);
create index inbox_pending_idx on inbox (tenant_id, channel_id, id) where state = 'pending';
select misy_protect_tenant_table('inbox');

create table contacts (
    tenant_id uuid not null,
    id uuid not null,
    display_name text,
    language text,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id));
select misy_protect_tenant_table('contacts');

create table contact_identities (
    tenant_id uuid not null,
    id uuid not null,
    contact_id uuid not null,
    namespace text not null,
    value text not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, contact_id) references contacts (tenant_id, id) on delete cascade);
create unique index contact_identities_value_idx on contact_identities (tenant_id, namespace, value);
create index contact_identities_contact_id_idx on contact_identities (tenant_id, contact_id);
select misy_protect_tenant_table('contact_identities');

-- One open conversation a contact, whatever channels it runs over.
create table conversations (
    tenant_id uuid not null,
    id uuid not null,
    contact_id uuid not null,
    channel_id uuid not null,
    status text not null default 'open' check (status in ('open', 'waiting', 'closed')),
    assignee_id uuid,
    handed_over_at timestamptz,
    last_inbound_at timestamptz,
    last_message_at timestamptz not null default now(),
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, contact_id) references contacts (tenant_id, id) on delete cascade,
    foreign key (tenant_id, channel_id) references channels (tenant_id, id));
create unique index conversations_open_contact_idx on conversations (tenant_id, contact_id)
    where status <> 'closed';
create index conversations_contact_id_idx on conversations (tenant_id, contact_id);
create index conversations_channel_id_idx on conversations (tenant_id, channel_id);
select misy_protect_tenant_table('conversations');

create table messages (
    tenant_id uuid not null,
    id uuid not null,
    conversation_id uuid not null,
    channel_id uuid not null,
    direction text not null check (direction in ('inbound', 'outbound')),
    author_kind text not null check (author_kind in ('contact', 'user', 'agent', 'system')),
    author_id text,
    content jsonb not null,
    extra jsonb not null default '{}',
    reply_to uuid,
    external_reply_to text,
    external_id text,
    status text not null check (status in ('queued', 'sent', 'delivered', 'read', 'failed')),
    status_at jsonb not null default '{}',
    failure jsonb,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, conversation_id) references conversations (tenant_id, id)
        on delete cascade,
    foreign key (tenant_id, channel_id) references channels (tenant_id, id));
create unique index messages_external_id_idx on messages (tenant_id, channel_id, external_id)
    where external_id is not null;
create index messages_conversation_id_idx on messages (tenant_id, conversation_id, id);
select misy_protect_tenant_table('messages');

-- Each try to hand a message to its provider. A row in state 'sending' without an end is a try whose
-- outcome is unknown.
create table message_attempts (
    tenant_id uuid not null,
    id uuid not null,
    message_id uuid not null,
    state text not null check (state in ('sending', 'sent', 'retry', 'failed', 'unknown')),
    failure jsonb,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, message_id) references messages (tenant_id, id) on delete cascade);
create index message_attempts_message_id_idx on message_attempts (tenant_id, message_id, id);
select misy_protect_tenant_table('message_attempts');

-- Statuses of messages that are not known by their provider's id yet.
create table early_statuses (
    tenant_id uuid not null,
    id uuid not null,
    channel_id uuid not null,
    external_id text not null,
    status text not null,
    at timestamptz not null,
    failure jsonb,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, channel_id) references channels (tenant_id, id) on delete cascade);
create index early_statuses_external_id_idx on early_statuses (tenant_id, channel_id, external_id);
select misy_protect_tenant_table('early_statuses');

-- What a provider told us that has no place of its own yet; kept whole, counted by name.
create table channel_events (
    tenant_id uuid not null,
    id uuid not null,
    channel_id uuid not null,
    inbox_id uuid not null,
    name text not null,
    raw jsonb not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, id),
    foreign key (tenant_id, channel_id) references channels (tenant_id, id) on delete cascade);
create index channel_events_name_idx on channel_events (tenant_id, channel_id, name, id);
select misy_protect_tenant_table('channel_events');

-- PostgreSQL's text search configuration of a language; words of an unknown one are matched as written.
create function misy_text_config(language text) returns regconfig
    language sql immutable parallel safe as $$
    select case split_part(language, '-', 1)
        when 'ar' then 'arabic' when 'da' then 'danish' when 'de' then 'german'
        when 'en' then 'english' when 'es' then 'spanish' when 'fi' then 'finnish'
        when 'fr' then 'french' when 'hu' then 'hungarian' when 'it' then 'italian'
        when 'nl' then 'dutch' when 'no' then 'norwegian' when 'pt' then 'portuguese'
        when 'ro' then 'romanian' when 'ru' then 'russian' when 'sv' then 'swedish'
        when 'tr' then 'turkish' else 'simple' end::regconfig $$;

create table knowledge_entries (
    tenant_id uuid not null,
    id uuid not null,
    question text not null,
    answer text not null,
    language text not null,
    tags text[] not null default '{}',
    question_words tsvector not null
        generated always as (to_tsvector(misy_text_config(language), question)) stored,
    answer_words tsvector not null
        generated always as (to_tsvector(misy_text_config(language), answer)) stored,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (tenant_id, id));
create index knowledge_entries_language_idx on knowledge_entries (tenant_id, language);
select misy_protect_tenant_table('knowledge_entries');
