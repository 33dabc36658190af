//! Room `egress`: calls against a peer that misbehaves on purpose.

mod calls;
mod limits;
mod mails;
mod peer;
mod strangers;
