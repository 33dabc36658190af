-- A note about something that happened says what: which endpoint, where it is, why it is off. Nothing of
-- it is secret or personal.
alter table letters add column detail jsonb;
alter table letters drop constraint letters_kind_check;
alter table letters add constraint letters_kind_check check (kind in (
    'invitation', 'recovery', 'verification', 'password_changed', 'factor_added',
    'factor_removed', 'recovery_code_used', 'endpoint_disabled'));
