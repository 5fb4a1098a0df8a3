//! JSON into documents, where an object is an object: what the libraries make of a list, they don't get.
//!
//! A derived document also takes a list, as its members in their order. Nobody who sends one means that,
//! and the description says otherwise.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// A JSON value, and all that is in it.
#[derive(Debug)]
pub(super) struct Strict(pub Value);

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, Self(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Self));
                let value = visitor.visit_seq(&mut items)?;
                items.end().map(|()| value)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Place {
        #[serde(default)]
        level: u32,
        #[serde(default)]
        share: f64,
        name: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        place: Option<Place>,
        #[serde(default)]
        places: Vec<Place>,
        #[serde(default)]
        free: Value,
    }

    #[test]
    fn a_list_is_no_object_wherever_it_stands() {
        for wrong in [
            json!([]),
            json!({"place": []}),
            json!({"place": [1, 2.0, "a"]}),
            json!({"places": [{}, []]}),
        ] {
            let error = Document::deserialize(Strict(wrong.clone())).expect_err("a list");
            assert!(error.to_string().contains("expected an object"), "{wrong}: {error}");
        }
    }

    #[test]
    fn all_else_is_as_the_library_has_it() {
        for right in [
            json!({}),
            json!({"place": null, "free": [[1], {"a": [2]}]}),
            json!({"place": {"level": 3, "share": 4, "name": "é"}, "places": [{}, {"level": 7}]}),
        ] {
            let strict = Document::deserialize(Strict(right.clone())).expect("right");
            assert_eq!(strict, serde_json::from_value(right).expect("right"));
        }
        for wrong in [json!({"place": {"level": -1}}), json!({"place": {"more": 1}}), json!(1)] {
            Document::deserialize(Strict(wrong.clone())).expect_err("wrong");
            serde_json::from_value::<Document>(wrong).expect_err("wrong");
        }
    }
}
