//! A short text for defaults, for log lines.

use crate::{
    api::{Backend, Chain, PrivacyLevel, RpcProvider, SessionDefaults, scrub},
    secret::ViewingKey,
};

/// Returns a short text for defaults. The chain comes first, because it tells most of them apart. Defaults that this
/// version does not know may be secret, so they are only counted.
pub(super) fn short(defaults: &SessionDefaults) -> String {
    let SessionDefaults {
        chain,
        privacy_level,
        rpc_provider,
        backend,
        default_viewing_key,
        other,
    } = defaults;
    let named = [
        ("chain", chain.as_ref().map(Chain::as_str)),
        ("backend", backend.as_ref().map(Backend::as_str)),
        ("privacy", privacy_level.as_ref().map(PrivacyLevel::as_str)),
        ("rpc", rpc_provider.as_ref().map(RpcProvider::as_str)),
    ];
    let named = named.into_iter();
    let mut all: Vec<_> = named
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
        .collect();
    all.extend(default_viewing_key.as_ref().map(|_| "viewing key".into()));
    all.extend((!other.is_empty()).then(|| format!("{} more", other.len())));
    if all.is_empty() {
        return "none".into();
    }
    let viewing_key = default_viewing_key.as_ref().map_or("", ViewingKey::expose);
    scrub::text(&all.join(", "), &[viewing_key])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_named_in_one_line_chain_first_and_without_secrets() {
        let defaults = SessionDefaults::new()
            .privacy_level(PrivacyLevel::Shielded)
            .default_viewing_key("0xfeedbeef")
            .chain(Chain::Near)
            .other("spendingKey", "0xfeed");
        let text = "chain near, privacy shielded, viewing key, 1 more";
        assert_eq!(short(&defaults), text);
        assert_eq!(short(&SessionDefaults::new()), "none");
        let defaults = defaults.chain("0xfeedbeef".into());
        assert!(!short(&defaults).contains("feed"), "{}", short(&defaults));
    }
}
