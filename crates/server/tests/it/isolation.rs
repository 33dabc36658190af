//! Room `server`: proof that tenants are apart at the program's own doors: every operation of the
//! reference, asked by everybody about what is theirs, another tenant's and nobody's, with a canary
//! in all that the other tenant has.

mod asks;
mod canaries;
mod echo;
mod estate;
mod matrix;
mod names;
mod operations;
mod removal;
mod stage;
