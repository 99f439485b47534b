//! Content types and the size of payloads.

/// The longest payload accepted, in bytes as sent (base64 text counts as text): Barbican's default
/// `max_allowed_secret_in_bytes`.
pub const PAYLOAD_BYTES_MAX: usize = 20_000;

/// The content types a payload is stored under. Barbican normalises every accepted spelling to one of these.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ContentType {
    /// `text/plain`, UTF-8.
    Text,
    /// `application/octet-stream`.
    OctetStream,
    /// `application/pkcs8`.
    Pkcs8,
}

impl ContentType {
    /// The media type as both Barbican's answers and the store spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text/plain",
            Self::OctetStream => "application/octet-stream",
            Self::Pkcs8 => "application/pkcs8",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Text, Self::OctetStream, Self::Pkcs8].into_iter().find(|known| known.as_str() == text)
    }
}
