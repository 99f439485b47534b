//! The parameters of paths: which step is read as which type, and the 404 for a step that names nothing.

use model::{ConsumerId, ContainerId, OrderId, SecretId, TransportKeyId};

/// The steps of a path that are parameters, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parameters<'p> {
    steps: [&'p str; PARAMETERS_MAX],
    count: usize,
}

/// No template has more parameters.
const PARAMETERS_MAX: usize = 2;

impl<'p> Parameters<'p> {
    /// Adds one.
    pub(crate) fn push(&mut self, step: &'p str) {
        if let Some(place) = self.steps.get_mut(self.count) {
            *place = step;
        }
        self.count += 1;
    }

    /// All of them, and empty texts in unused places.
    pub(crate) fn steps(self) -> std::array::IntoIter<&'p str, PARAMETERS_MAX> {
        self.steps.into_iter()
    }
}

/// A type that a step of a path is read as.
pub(crate) trait Parameter<'p>: Copy {
    /// Reads it.
    fn read(step: &'p str) -> Result<Self, BadParameter>;

    /// The secret, container or order it names, if that must be there before anything else about the request is looked at.
    fn owner(&self) -> Option<Owner> {
        None
    }
}

/// A parameter that can name nothing. The texts are Barbican's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadParameter {
    /// A 404 before anything else.
    Refused(&'static str),
    /// A 404 too, but whether the resource before it is there comes first.
    Behind(&'static str),
}

/// The owner of the resources behind it in a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Owner {
    Secret(SecretId),
    Container(ContainerId),
    Order(OrderId),
}

impl<'p> Parameter<'p> for &'p str {
    fn read(step: &'p str) -> Result<Self, BadParameter> {
        Ok(step)
    }
}

impl Parameter<'_> for SecretId {
    fn read(step: &str) -> Result<Self, BadParameter> {
        parse_any_id(step).ok_or(BadParameter::Refused("Not Found. Provided secret id is invalid."))
    }

    fn owner(&self) -> Option<Owner> {
        Some(Owner::Secret(*self))
    }
}

impl Parameter<'_> for ContainerId {
    fn read(step: &str) -> Result<Self, BadParameter> {
        let id = parse_id(step).map(|id| Self::from_bytes(*id.as_bytes()));
        id.ok_or(BadParameter::Refused("Not Found. Provided container id is invalid."))
    }

    fn owner(&self) -> Option<Owner> {
        Some(Owner::Container(*self))
    }
}

impl Parameter<'_> for OrderId {
    fn read(step: &str) -> Result<Self, BadParameter> {
        let id = parse_any_id(step).map(|id| Self::from_bytes(*id.as_bytes()));
        id.ok_or(BadParameter::Refused("Order not found."))
    }

    fn owner(&self) -> Option<Owner> {
        Some(Owner::Order(*self))
    }
}

impl Parameter<'_> for ConsumerId {
    fn read(step: &str) -> Result<Self, BadParameter> {
        let id = parse_id(step).map(|id| Self::from_bytes(*id.as_bytes()));
        id.ok_or(BadParameter::Behind("Not Found. Provided consumer id is invalid."))
    }
}

impl Parameter<'_> for TransportKeyId {
    fn read(step: &str) -> Result<Self, BadParameter> {
        let id = parse_id(step).map(|id| Self::from_bytes(*id.as_bytes()));
        id.ok_or(BadParameter::Refused("Not Found. Provided transport key id is invalid."))
    }
}

/// A version 4 UUID, the only kind that Barbican knows.
pub(crate) fn parse_id(text: &str) -> Option<SecretId> {
    parse_any_id(text).filter(SecretId::is_v4)
}

/// A UUID in exactly the form in which it is handed out: Barbican compares texts. A secret that was defined at the libvirt
/// door has whatever id its client chose.
pub(crate) fn parse_any_id(text: &str) -> Option<SecretId> {
    let dashes_where_they_belong = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23));
    let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if !dashes_where_they_belong || !lower {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6ba7b810-9dad-41d1-80b4-00c04fd430c8";

    #[test]
    fn only_the_form_handed_out_is_an_id() {
        for text in [
            "6BA7B810-9DAD-41D1-80B4-00C04FD430C8",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6ba7b8109dad41d180b400c04fd430c8",
            "{6ba7b810-9dad-41d1-80b4-00c04fd430c8}",
            "6ba7b810-9dad-41d1-c0b4-00c04fd430c8",
        ] {
            assert_eq!(parse_id(text), None, "{text}");
        }
        assert!(parse_any_id("6ba7b810-9dad-11d1-80b4-00c04fd430c8").is_some());
        assert!(parse_any_id("6BA7B810-9DAD-41D1-80B4-00C04FD430C8").is_none());
        assert!(parse_id(ID).is_some() && parse_id("00000000-0000-4000-8000-000000000000").is_some());
    }
}
