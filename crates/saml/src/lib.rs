//! Room `saml`: what a service provider of SAML 2.0 says and believes. Pure.
