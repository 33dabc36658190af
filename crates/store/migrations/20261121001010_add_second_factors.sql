-- A person's one-time password generator for one realm, as passwords are. The seed is sealed under a
-- key of the installation; last_step is the newest step whose code was taken (RFC 6238 section 5.2). Wrong codes in a row make the next one wait until
-- retry_at, on every node.
create table second_factors (
    account_id uuid not null references accounts (id) on delete cascade,
    realm uuid not null,
    id uuid not null,
    sealed_seed bytea not null,
    last_step bigint not null default 0,
    failures int not null default 0,
    retry_at timestamptz,
    confirmed_at timestamptz,
    created_at timestamptz not null,
    primary key (account_id, realm));
create index second_factors_realm_idx on second_factors (realm);
select misy_protect_directory('second_factors', 'realm');

-- Codes for whoever lost the generator, by their hash: 120 random bits need no slow one.
create table recovery_codes (
    account_id uuid not null,
    realm uuid not null,
    hash bytea not null,
    primary key (account_id, realm, hash),
    foreign key (account_id, realm) references second_factors (account_id, realm) on delete cascade);
create index recovery_codes_realm_idx on recovery_codes (realm);
select misy_protect_directory('recovery_codes', 'realm');

-- Which roles of a tenant need a second factor.
create table second_factor_rules (
    tenant_id uuid not null,
    role text not null,
    primary key (tenant_id, role));
select misy_protect_directory('second_factor_rules', 'tenant_id');

-- Sign-ins whose password was right and whose second factor is awaited.
create table sign_in_challenges (
    hash bytea primary key,
    account_id uuid not null references accounts (id) on delete cascade,
    realm uuid not null,
    device text,
    address text,
    tries int not null default 0,
    expires_at timestamptz not null);
create index sign_in_challenges_account_id_idx on sign_in_challenges (account_id);
create index sign_in_challenges_expires_at_idx on sign_in_challenges (expires_at);
grant select, insert, update, delete on sign_in_challenges to misy_platform;
