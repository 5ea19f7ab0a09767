//! Walks protobuf's wire format before decoding: counts messages, and finds
//! content that the known schema has no place for.
//!
//! `prost` drops unknown fields silently, so a decoded and encoded network
//! could mean something else than the file. And a few bytes of nested empty
//! messages decode to a hundred times their size in memory. One pass over the
//! tags answers both before anything is allocated.

use prost::encoding::{WireType, decode_key, decode_varint};

use super::Message;
use super::fields::{MESSAGES, MODEL};
use crate::error::{Error, ErrorKind, Result};

/// More nested messages than any network of two gigabytes has; a network has a
/// few per operator and attribute.
const MAX_MESSAGES: usize = 1 << 20;

/// `prost` stops at the same depth.
const MAX_DEPTH: usize = 100;

/// What the walk over a network found.
pub(crate) struct Survey {
    /// The first field that the schema does not know, in words, if any.
    pub(crate) unknown: Option<String>,
}

/// Walks over an encoded `ModelProto`.
///
/// # Errors
///
/// [`ErrorKind::NotOnnx`] where the bytes break the wire format or hold an
/// absurd number of messages.
pub(crate) fn survey(bytes: &[u8]) -> Result<Survey> {
    let mut walk = Walk {
        messages: 0,
        unknown: None,
    };
    walk.message(bytes, MODEL, 0)?;
    Ok(Survey {
        unknown: walk.unknown,
    })
}

struct Walk {
    messages: usize,
    unknown: Option<String>,
}

fn broken(why: &str) -> Error {
    Error::new(
        ErrorKind::NotOnnx,
        format!("not an ONNX network, or a truncated one: {why}; fetch or export the file again"),
    )
}

impl Walk {
    fn message(&mut self, mut bytes: &[u8], kind: usize, depth: usize) -> Result<()> {
        self.messages += 1;
        if self.messages > MAX_MESSAGES || depth > MAX_DEPTH {
            return Err(broken(
                "it nests or repeats more messages than a network has",
            ));
        }
        let Message { name, fields } = &MESSAGES[kind];
        while !bytes.is_empty() {
            let (number, wire) = decode_key(&mut bytes)
                .map_err(|error| broken("a field has no valid key").with_source(error))?;
            let field = fields.iter().find(|(known, _)| *known == number);
            if field.is_none() && self.unknown.is_none() {
                self.unknown = Some(format!("field {number} of {name}"));
            }
            let content = Self::content(&mut bytes, wire)?;
            if let (Some((_, Some(inner))), WireType::LengthDelimited) = (field, wire) {
                self.message(content, *inner, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Takes one field's content off the front of `bytes`.
    fn content<'a>(bytes: &mut &'a [u8], wire: WireType) -> Result<&'a [u8]> {
        let length = match wire {
            WireType::Varint => {
                decode_varint(bytes)
                    .map_err(|error| broken("a number does not end").with_source(error))?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => decode_varint(bytes)
                .map_err(|error| broken("a length does not end").with_source(error))?,
            WireType::StartGroup | WireType::EndGroup => {
                return Err(broken("it uses protobuf groups, which ONNX has none of"));
            }
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= bytes.len());
        let length = length.ok_or_else(|| broken("a field is longer than the file"))?;
        let (content, rest) = bytes.split_at(length);
        *bytes = rest;
        Ok(content)
    }
}
