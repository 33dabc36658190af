-- A payload that could not be taken in waits here for its next attempt; those behind it do not.
alter table inbox add column due_at timestamptz;
