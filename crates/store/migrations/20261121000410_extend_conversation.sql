-- When a person of the business took a conversation over from the responder; null while nobody has.
alter table conversations add column taken_over_at timestamptz;
alter table conversations add foreign key (tenant_id, assignee_id) references users (tenant_id, id)
    on delete set null (assignee_id);
create index conversations_assignee_id_idx on conversations (tenant_id, assignee_id)
    where assignee_id is not null;

-- Which message of the customer an answer belongs to, and which part of the answer it is: however
-- often the responder runs, a message is answered once.
alter table messages add column answers uuid;
alter table messages add column part smallint not null default 0;
create unique index messages_answers_idx on messages (tenant_id, answers, part)
    where answers is not null;

-- At most one try of a message may be without an end, whoever begins it.
create unique index message_attempts_open_idx on message_attempts (tenant_id, message_id)
    where state in ('sending', 'unknown');

-- Statuses that nobody claims are swept by age; ids are time-ordered.
create index early_statuses_channel_id_idx on early_statuses (tenant_id, channel_id, id);
