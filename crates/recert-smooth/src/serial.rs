//! Serialization of types of other crates: a hash as hexadecimal text, alpha and a radius as
//! numbers, a noise stream as its number.

use recert_ledger::{hex, parse_hex};
use recert_noise::Stream;
use recert_num::{Alpha, Radius};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) mod sha256 {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        hex(hash).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        parse_hex(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a SHA-256")))
    }
}

pub(crate) mod alpha {
    use super::*;

    // serde hands over a reference.
    #[expect(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn serialize<S: Serializer>(alpha: &Alpha, to: S) -> Result<S::Ok, S::Error> {
        alpha.get().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Alpha, D::Error> {
        Alpha::new(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

pub(crate) mod radius {
    use super::*;

    // serde hands over a reference.
    #[expect(clippy::ref_option)]
    pub(crate) fn serialize<S: Serializer>(
        radius: &Option<Radius>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        radius.map(Radius::get).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Radius>, D::Error> {
        let radius = Option::<f64>::deserialize(from)?;
        radius
            .map(Radius::new)
            .transpose()
            .map_err(D::Error::custom)
    }
}

pub(crate) mod stream {
    use super::*;

    // serde hands over a reference.
    #[expect(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn serialize<S: Serializer>(stream: &Stream, to: S) -> Result<S::Ok, S::Error> {
        stream.tag().serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Stream, D::Error> {
        let tag = u32::deserialize(from)?;
        Stream::from_tag(tag)
            .ok_or_else(|| D::Error::custom(format!("noise stream {tag} is unknown")))
    }
}
