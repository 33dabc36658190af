//! Room `saml`: what is believed and what is not: responses made here, forged in every way that is
//! known, and files of other projects.

mod corpora;
mod forged;
mod genuine;
mod logout;
mod provider;
mod requests;
