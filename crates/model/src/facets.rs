//! The facets of a secret for hypervisors: description, usage, private, ephemeral, and the rendering of its bytes.
//!
//! The REST door shows these as user metadata, the libvirt door as XML. The rules that hold at both are here.

/// The kind of thing that a hypervisor uses the secret for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum UsageType {
    /// An encrypted volume, named by its path or id.
    Volume,
    /// A Ceph client.
    Ceph,
    /// An iSCSI target.
    Iscsi,
    /// A TLS key.
    Tls,
    /// A virtual TPM.
    Vtpm,
}

impl UsageType {
    /// Every type, in libvirt's numbering from 1.
    pub const ALL: [Self; 5] = [Self::Volume, Self::Ceph, Self::Iscsi, Self::Tls, Self::Vtpm];

    /// libvirt's name of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Ceph => "ceph",
            Self::Iscsi => "iscsi",
            Self::Tls => "tls",
            Self::Vtpm => "vtpm",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// libvirt's number of it, from 1: 0 is no usage.
    pub const fn number(self) -> i32 {
        match self {
            Self::Volume => 1,
            Self::Ceph => 2,
            Self::Iscsi => 3,
            Self::Tls => 4,
            Self::Vtpm => 5,
        }
    }

    /// The inverse of [`Self::number`].
    pub fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.number() == number)
    }
}

/// A complete usage. It is unique in its project.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Usage {
    /// The type of the usage.
    pub usage_type: UsageType,
    /// The id of the volume, client, target, key or TPM.
    pub id: String,
}

/// How the libvirt door renders the payload.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// The bytes as they are.
    #[default]
    Raw,
    /// Lower-case hexadecimal: what Nova and Cinder make of a Barbican key for LUKS.
    Hex,
    /// Base64 with padding.
    Base64,
}

impl Encoding {
    /// The name in metadata and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    /// The inverse of [`Self::as_str`], exact.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Raw, Self::Hex, Self::Base64].into_iter().find(|known| known.as_str() == text)
    }
}

/// Everything a hypervisor knows about a secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facets {
    /// A text for people.
    pub description: Option<String>,
    /// One half of the usage.
    pub usage_type: Option<UsageType>,
    /// The other half. Only both halves together are a usage.
    pub usage_id: Option<String>,
    /// No ordinary client gets the value.
    pub private: bool,
    /// Never written to disk; gone when the daemon ends.
    pub ephemeral: bool,
    /// How the libvirt door renders the payload.
    pub encoding: Encoding,
}

/// One change of one facet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Facet {
    /// Sets or clears the description.
    Description(Option<String>),
    /// Sets or clears the type of usage.
    UsageType(Option<UsageType>),
    /// Sets or clears the id of usage.
    UsageId(Option<String>),
    /// Makes the secret private.
    Private(bool),
    /// Makes the secret ephemeral.
    Ephemeral(bool),
    /// Chooses how the libvirt door renders the payload.
    Encoding(Encoding),
}

/// The condition on a facet under which a change of it is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// At its default.
    Default,
    /// Not at its default.
    Set,
    /// Anything.
    Any,
}

/// Why a facet cannot be changed in this way.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FacetError {
    /// Private is for good.
    #[error("a private secret stays private")]
    StaysPrivate,
    /// The definition of a secret decides where it is kept; a later change cannot.
    #[error("whether a secret is ephemeral is chosen at the libvirt door, where it is defined")]
    KeptElsewhere,
    /// A secret keeps its usage.
    #[error("the secret is for use with {}, and with nothing else", .0.as_deref().unwrap_or("nothing"))]
    UsageStays(Option<String>),
}

impl Facets {
    /// The usage, if both halves are there.
    pub fn usage(&self) -> Option<Usage> {
        Some(Usage { usage_type: self.usage_type?, id: self.usage_id.clone()? })
    }

    /// Whether the facet that `change` would change differs from its default now.
    pub fn is_set(&self, change: &Facet) -> bool {
        match change {
            Facet::Description(_) => self.description.is_some(),
            Facet::UsageType(_) => self.usage_type.is_some(),
            Facet::UsageId(_) => self.usage_id.is_some(),
            Facet::Private(_) => self.private,
            Facet::Ephemeral(_) => self.ephemeral,
            Facet::Encoding(_) => self.encoding != Encoding::default(),
        }
    }

    /// These facets with one changed.
    pub fn with(mut self, change: Facet) -> Result<Self, FacetError> {
        match change {
            Facet::Description(text) => self.description = text,
            Facet::UsageType(usage_type) => self.usage_type = usage_type,
            Facet::UsageId(id) => self.usage_id = id,
            Facet::Private(false) if self.private => return Err(FacetError::StaysPrivate),
            Facet::Private(private) => self.private = private,
            Facet::Ephemeral(ephemeral) if ephemeral != self.ephemeral => {
                return Err(FacetError::KeptElsewhere);
            }
            Facet::Ephemeral(_) => {}
            Facet::Encoding(encoding) => self.encoding = encoding,
        }
        Ok(self)
    }

    /// These facets after a new definition, by libvirt's rules: the usage and the private flag stay, and `new` decides the
    /// rest. The rendering of the value is not part of a definition.
    pub fn redefined(&self, new: Self) -> Result<Self, FacetError> {
        if self.usage().map(|usage| usage.id) != new.usage().map(|usage| usage.id) {
            return Err(FacetError::UsageStays(self.usage().map(|usage| usage.id)));
        }
        if self.private && !new.private {
            return Err(FacetError::StaysPrivate);
        }
        Ok(Self { encoding: self.encoding, ..new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_is_for_good() {
        let private = Facets::default().with(Facet::Private(true)).unwrap();
        assert_eq!(private.clone().with(Facet::Private(false)), Err(FacetError::StaysPrivate));
        assert!(private.with(Facet::Private(true)).unwrap().private);
    }

    #[test]
    fn half_a_usage_is_none() {
        let half = Facets::default().with(Facet::UsageType(Some(UsageType::Ceph))).unwrap();
        assert_eq!(half.usage(), None);
        let whole = half.with(Facet::UsageId(Some("client.x".into()))).unwrap();
        assert_eq!(whole.usage(), Some(Usage { usage_type: UsageType::Ceph, id: "client.x".into() }));
    }

    #[test]
    fn a_secret_on_disk_stays_on_disk() {
        assert_eq!(Facets::default().with(Facet::Ephemeral(true)), Err(FacetError::KeptElsewhere));
        assert!(Facets::default().with(Facet::Ephemeral(false)).is_ok());
    }

    #[test]
    fn numbers_are_those_of_libvirt() {
        for (place, usage_type) in UsageType::ALL.into_iter().enumerate() {
            assert_eq!(UsageType::of_number(usage_type.number()), Some(usage_type));
            assert_eq!(usage_type.number() as usize, place + 1);
        }
        assert_eq!(UsageType::of_number(0), None);
    }

    /// The cases `redefine: …` of what libvirtd 12.8.0 answered.
    #[test]
    fn a_definition_keeps_the_usage_and_the_private_flag() {
        let facets = |usage: &str, private| {
            let (usage_type, usage_id) = usage.split_once(' ').unzip();
            Facets {
                usage_type: usage_type.and_then(UsageType::parse),
                usage_id: usage_id.map(str::to_owned),
                private,
                ..Facets::default()
            }
        };
        let stays = |id: Option<&str>| Err(FacetError::UsageStays(id.map(str::to_owned)));
        for (old, new, expect) in [
            (("ceph c", false), ("ceph c", false), Ok(())),
            (("ceph c", false), ("iscsi c", false), Ok(())),
            (("ceph c", false), ("ceph d", false), stays(Some("c"))),
            (("ceph c", false), ("", false), stays(Some("c"))),
            (("", false), ("ceph c", false), stays(None)),
            (("", false), ("", true), Ok(())),
            (("", true), ("", false), Err(FacetError::StaysPrivate)),
            (("ceph c", true), ("ceph d", false), stays(Some("c"))),
        ] {
            let redefined = facets(old.0, old.1).redefined(facets(new.0, new.1));
            assert_eq!(redefined.map(drop), expect, "{old:?} {new:?}");
        }
    }
}
