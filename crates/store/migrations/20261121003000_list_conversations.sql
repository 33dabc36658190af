-- Conversations of a contact, of a person or in a state are read page by page, newest first, without
-- reading those of others in between.
drop index conversations_contact_id_idx;
create index conversations_contact_id_idx on conversations (tenant_id, contact_id, id);
drop index conversations_assignee_id_idx;
create index conversations_assignee_id_idx on conversations (tenant_id, assignee_id, id)
    where assignee_id is not null;
create index conversations_status_idx on conversations (tenant_id, status, id);
