-- Mails that carry a link, and the notes that carry none. The link's secret is no column: it is
-- computed from nonce and a key of the installation when the mail is sent and when the link comes back.
-- account_id is null where an address was given that nobody has.
create table letters (
    id uuid primary key,
    tenant_id uuid,
    account_id uuid references accounts (id) on delete cascade,
    user_id uuid,
    kind text not null check (kind in (
        'invitation', 'recovery', 'verification', 'password_changed', 'factor_added',
        'factor_removed', 'recovery_code_used')),
    nonce bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    sent_at timestamptz,
    used_at timestamptz,
    check (kind <> 'invitation' or (tenant_id is not null and user_id is not null)));
create index letters_tenant_id_idx on letters (tenant_id, id) where tenant_id is not null;
create index letters_account_id_idx on letters (account_id);
create index letters_expires_at_idx on letters (expires_at);
select misy_protect_directory('letters', 'tenant_id');

-- When the person showed that the address is theirs and the password of their own choosing, by a link
-- that was sent there. A password that an administrator has set is not proved.
alter table credentials add column proved_at timestamptz;
