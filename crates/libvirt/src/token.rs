//! The system token: 32 hexadecimal digits that only libvirt's daemons on this machine can read.
//!
//! A client that shows it is one of them and gets the values of private secrets. The daemon decides where it is kept.

use zeroize::Zeroizing;

/// Bytes of a token: 16 random ones in hexadecimal.
pub const TOKEN_BYTES: usize = 32;

/// The text is not a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a system token: {TOKEN_BYTES} hexadecimal digits")]
pub struct NotAToken;

/// The token by which libvirt's daemons prove themselves.
pub struct SystemToken(Zeroizing<Vec<u8>>);

impl SystemToken {
    /// Whether a client showed this token. A wrong one of the same length takes as long as the right one.
    pub(crate) fn matches(&self, presented: &[u8]) -> bool {
        let differs = self.0.iter().zip(presented).fold(0, |so_far, (a, b)| so_far | (a ^ b));
        presented.len() == self.0.len() && std::hint::black_box(differs) == 0
    }
}

impl TryFrom<Zeroizing<Vec<u8>>> for SystemToken {
    type Error = NotAToken;

    fn try_from(text: Zeroizing<Vec<u8>>) -> Result<Self, NotAToken> {
        let is_token = text.len() == TOKEN_BYTES && text.iter().all(u8::is_ascii_hexdigit);
        if is_token { Ok(Self(text)) } else { Err(NotAToken) }
    }
}

impl std::fmt::Debug for SystemToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SystemToken([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_matches_itself_and_is_not_printed() {
        let text = "0123456789abcdef0123456789abcdef";
        let token = SystemToken::try_from(Zeroizing::new(text.as_bytes().to_vec())).unwrap();
        assert!(token.matches(text.as_bytes()));
        for other in ["", &text[..31], "0123456789abcdef0123456789abcdeF", &format!("{text}0")] {
            assert!(!token.matches(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "SystemToken([redacted])");
        let short = SystemToken::try_from(Zeroizing::new(b"abc".to_vec()));
        assert!(short.is_err());
    }
}
