-- How often a key of a tenant changed. Whoever looked a key up before asks only this, for all tenants
-- at once, and looks again when it has grown.
alter table access_notices add column keys bigint not null default 0;
