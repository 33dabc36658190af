-- How somebody signed in, from where, and when a second factor was last shown.
alter table sessions
    add column method text not null default 'password'
        check (method in ('password', 'link', 'oidc', 'saml', 'exchange')),
    add column address text,
    add column second_factor_at timestamptz;
alter table sessions drop constraint sessions_end_reason_check;
alter table sessions add constraint sessions_end_reason_check check (end_reason in
    ('logout', 'revoked', 'password', 'reuse', 'recovery', 'factor', 'provider'));
