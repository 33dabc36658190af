-- Every process asks several times a second which tenants were changed lately.
create index tenants_updated_at_idx on tenants (updated_at);
