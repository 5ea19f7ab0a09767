//! Values of settings as a person writes them: a distance as a fraction, one number for a list.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{F64Deserializer, I64Deserializer, SeqAccessDeserializer, U64Deserializer};
use serde::de::{Error, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::job::Epsilon;

/// A distance: a number, or a text as `"8/255"`, which is read as flags are.
pub(super) fn distance<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    struct Distance;

    impl Visitor<'_> for Distance {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, or a fraction as in \"8/255\"")
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<f64, E> {
            Ok(number)
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<f64, E> {
            Ok(number as f64)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<f64, E> {
            Ok(number as f64)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
            let epsilon: Epsilon = text.parse().map_err(E::custom)?;
            Ok(epsilon.nearest())
        }
    }

    from.deserialize_any(Distance).map(Some)
}

/// A list, or one number for all of it.
pub(super) fn list<'de, T, D>(from: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number or a list of numbers")
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Vec<T>, E> {
            let from: F64Deserializer<E> = number.into_deserializer();
            T::deserialize(from).map(|one| vec![one])
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<T>, E> {
            let from: I64Deserializer<E> = number.into_deserializer();
            T::deserialize(from).map(|one| vec![one])
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Vec<T>, E> {
            let from: U64Deserializer<E> = number.into_deserializer();
            T::deserialize(from).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, numbers: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(numbers))
        }
    }

    from.deserialize_any(List(PhantomData)).map(Some)
}

/// Two numbers, or one for both.
pub(super) fn pair<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[f64; 2]>, D::Error> {
    let numbers = list::<f64, D>(from)?.unwrap_or_default();
    match numbers[..] {
        [both] => Ok(Some([both; 2])),
        [first, last] => Ok(Some([first, last])),
        _ => Err(D::Error::custom(format!(
            "{} numbers, where one or two are needed",
            numbers.len()
        ))),
    }
}
