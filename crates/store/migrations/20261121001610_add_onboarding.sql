-- Onboarding: what a new tenant does before its customers come. Workflows are data; each change is
-- another version, and a tenant keeps the steps that it began with.
create table onboarding_workflows (
    id uuid not null,
    version bigint not null,
    slug text not null,
    title text not null,
    steps jsonb not null,
    created_at timestamptz not null,
    retired_at timestamptz,
    primary key (id, version));
create unique index onboarding_workflows_slug_idx on onboarding_workflows (slug, version)
    where retired_at is null;
grant select, insert, update on onboarding_workflows to misy_platform;

insert into onboarding_workflows (id, version, slug, title, steps, created_at) values
    ('00000000-0000-7000-8000-000000000001', 1, 'default', 'Default', '[
      {"key": "business_profile", "title": "Say who you are", "check": "business_profile",
       "schema": {"type": "object", "required": ["legal_name", "country"],
         "properties": {
           "legal_name": {"type": "string", "minLength": 1, "maxLength": 200},
           "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
           "website": {"type": "string", "maxLength": 2000, "pattern": "^https?://"},
           "industry": {"type": "string", "maxLength": 100}}}},
      {"key": "team", "title": "Invite a colleague", "check": "team", "may_skip": true},
      {"key": "first_channel", "title": "Connect a channel", "check": "channel"},
      {"key": "knowledge", "title": "Write down what customers ask", "check": "knowledge",
       "min_count": 3, "may_skip": true},
      {"key": "opening_hours", "title": "Say when you are there", "check": "opening_hours",
       "may_skip": true},
      {"key": "test_conversation", "title": "Write to yourself", "check": "test_conversation",
       "needs": ["first_channel"]},
      {"key": "go_live", "title": "Go live", "check": "go_live",
       "needs": ["business_profile", "team", "knowledge", "opening_hours", "test_conversation"]}
    ]', now());

-- When a tenant is there for its customers, and since when it serves them in earnest.
alter table tenants add column opening_hours jsonb, add column live_at timestamptz;
grant update (opening_hours, live_at) on tenants to misy_tenant;

create table onboardings (
    tenant_id uuid primary key,
    workflow_id uuid not null,
    workflow_version bigint not null,
    title text not null,
    steps jsonb not null,
    began_at timestamptz not null,
    completed_at timestamptz,
    version bigint not null default 1);
select misy_protect_tenant_table('onboardings');

-- What became of each step; one of which nothing is here is open.
create table onboarding_steps (
    tenant_id uuid not null,
    key text not null,
    state text not null check (state in ('open', 'done', 'skipped')),
    data jsonb,
    reason text,
    settled_at timestamptz,
    primary key (tenant_id, key));
select misy_protect_tenant_table('onboarding_steps');
