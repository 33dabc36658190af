-- A tenant's list of its own dead letters, in the order of the list: the policy names tenant_id,
-- and an index of another column would not answer it.
create index dead_letters_tenant_id_idx on dead_letters (tenant_id, id);
