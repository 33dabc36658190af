-- A tenant begins with a web chat, which needs no account anywhere. Plans of an operator's own say for
-- themselves what they give.
update plans set starter = starter || '{"channels": [{"kind": "webchat", "name": "Web chat"}]}'
    where id in ('trial', 'standard', 'unlimited') and not starter ? 'channels';
