-- A payload that was taken in is kept as a document; here stays what tells a second delivery of it.
alter table inbox drop constraint inbox_state_check;
alter table inbox add constraint inbox_state_check
    check (state in ('pending', 'done', 'failed', 'archived'));
create index inbox_done_idx on inbox (tenant_id, channel_id, id) where state = 'done';
