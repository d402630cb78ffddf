//! The values that a session can store.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enum of strings that keeps the strings it does not know.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A value that a newer server knows and this version does not.
            Other(Box<str>),
        }

        impl $name {
            /// Every value that this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the value as it is written in JSON.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text.into()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|text| Self::from(text.as_str()))
            }
        }
    };
}

wire_enum! {
    /// A blockchain. Without a default, the server uses Solana.
    Chain {
        /// `solana`
        Solana = "solana",
        /// `ethereum`
        Ethereum = "ethereum",
        /// `polygon`
        Polygon = "polygon",
        /// `arbitrum`
        Arbitrum = "arbitrum",
        /// `optimism`
        Optimism = "optimism",
        /// `base`
        Base = "base",
        /// `near`
        Near = "near",
        /// `aptos`
        Aptos = "aptos",
        /// `sui`
        Sui = "sui",
        /// `cosmos`
        Cosmos = "cosmos",
        /// `osmosis`
        Osmosis = "osmosis",
        /// `injective`
        Injective = "injective",
        /// `celestia`
        Celestia = "celestia",
        /// `sei`
        Sei = "sei",
        /// `dydx`
        Dydx = "dydx",
        /// `bitcoin`
        Bitcoin = "bitcoin",
        /// `zcash`
        Zcash = "zcash",
    }
}

wire_enum! {
    /// How much of a payment is hidden.
    PrivacyLevel {
        /// `standard`
        Standard = "standard",
        /// `shielded`
        Shielded = "shielded",
        /// `maximum`
        Maximum = "maximum",
    }
}

wire_enum! {
    /// The provider of access to the chain.
    RpcProvider {
        /// `helius`
        Helius = "helius",
        /// `quicknode`
        Quicknode = "quicknode",
        /// `triton`
        Triton = "triton",
        /// `generic`
        Generic = "generic",
    }
}

wire_enum! {
    /// The privacy backend.
    Backend {
        /// `sip-native`
        SipNative = "sip-native",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_value_is_read_and_written_as_the_server_writes_it() {
        assert_eq!(Chain::KNOWN.len(), 17);
        assert_eq!(PrivacyLevel::KNOWN.len(), 3);
        assert_eq!(RpcProvider::KNOWN.len(), 4);
        assert_eq!(Backend::KNOWN.len(), 1);
        for chain in Chain::KNOWN {
            let json = serde_json::to_string(chain).unwrap();
            assert_eq!(json, format!("\"{chain}\""));
            assert_eq!(serde_json::from_str::<Chain>(&json).unwrap(), *chain);
        }
        assert_eq!(Chain::from("zcash"), Chain::Zcash);
    }

    #[test]
    fn a_value_of_a_newer_server_is_kept() {
        let chain: Chain = serde_json::from_str("\"dogecoin\"").unwrap();
        assert_eq!(chain, Chain::Other("dogecoin".into()));
        assert_eq!(serde_json::to_string(&chain).unwrap(), "\"dogecoin\"");
    }
}
