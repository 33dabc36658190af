-- Where pg_temp is not named it is looked at first, and a temporary table of the caller would stand
-- in for ours.
alter function misy_account_of(text, uuid) set search_path = pg_catalog, public, pg_temp;
