//! Room `identity`: signatures and claims of providers, without a provider.
