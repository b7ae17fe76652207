//! JSON objects in which no member comes twice.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// The members of an object. Where one comes twice, readers do not agree on which counts, and what one of them has checked
/// another does not use: so it is an error.
#[derive(Debug)]
pub struct Members(BTreeMap<String, Value>);

impl Members {
    /// Reads an object; `None` if it is none, or has a member twice.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Members> {
        serde_json::from_slice(bytes).ok()
    }

    /// A member; null is as good as none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member comes twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_comes_once() {
        assert!(Members::parse(br#"{"a":1,"b":{"a":2}}"#).is_some());
        assert!(Members::parse(br#"{"a":1,"a":1}"#).is_none());
        assert!(Members::parse(br#"{"a":1,"\u0061":2}"#).is_none());
        for text in ["", "[]", "1", "{", "{}x", "null", "\"{}\""] {
            assert!(Members::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Members::parse(br#"{"a":null}"#).unwrap().get("a").is_none());
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Members::parse(deep.as_bytes()).is_none());
    }
}
