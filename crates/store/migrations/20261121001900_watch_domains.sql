-- The proof of a domain is looked for again every day: since when it was not there, and when to look
-- next. A domain that was proved before this counts as never looked at again, so that comes soon.
alter table domains add column missing_since timestamptz;
alter table domain_routes add column look_at timestamptz not null default '-infinity';
create index domain_routes_look_at_idx on domain_routes (look_at);
