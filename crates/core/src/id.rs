//! Identifiers. Each kind is its own type, so that one can't be passed for another.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chance::{Entropy, random_id};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Mints a new random identifier.
            pub fn mint(entropy: &dyn Entropy) -> Self {
                Self(random_id(entropy, $prefix, $bytes))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

id!(
    /// One action: `act_` and 16 hexadecimal digits.
    ActionId, "act_", 8
);
id!(
    /// One call of an executor: `att_` and 24 hexadecimal digits. Never reused, not even by a retry.
    AttemptId, "att_", 12
);
id!(
    /// What ties together the work of several services for one request: `req_` and 12 hexadecimal
    /// digits, or whatever the caller sent in `X-Correlation-ID`.
    CorrelationId, "req_", 6
);
id!(
    /// A supervisor's approval token: `ctk_` and 16 hexadecimal digits.
    TokenId, "ctk_", 8
);
