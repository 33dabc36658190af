-- Where else the password of a sign-in leads, until its second factor was shown.
alter table sign_in_challenges
    add column reach_tenants uuid[] not null default '{}',
    add column reach_proofs bytea[] not null default '{}';

-- Whether the provider says that it saw a second factor.
alter table sso_logins add column second_factor boolean not null default false;
