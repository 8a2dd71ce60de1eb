//! Signatures that services ask for: HMAC-SHA256 in base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

/// The signature of a message under a key.
pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        // Test case 2 of RFC 4231, in base64.
        assert_eq!(
            hmac_sha256(b"Jefe", b"what do ya want for nothing?"),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
    }
}
