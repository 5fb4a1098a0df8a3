//! Merge patches (RFC 7396) of JSON, and of the values of channels.

use proto::ErrorCode;
use serde_json::Value;

use super::Broker;
use crate::codec::Refusal;

/// What the patch makes of `target` (section 2): members replace, `null` takes away. Recursion is as deep
/// as the patch, which is bounded where it is read.
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

impl Broker {
    /// What a patch makes of an encoded message of a type; of none, if `payload` is empty. Fields that the
    /// type doesn't know, which JSON doesn't show, stay.
    ///
    /// # Errors
    /// The channel has no type, the payload is not of it, or the outcome would not be.
    pub fn patched(
        &self,
        type_name: &str,
        payload: &[u8],
        patch: &Value,
    ) -> Result<Vec<u8>, Refusal> {
        let bad = |text: String| Refusal::new(ErrorCode::BadValue, "publish.data", text);
        if type_name.is_empty() {
            let text = "a channel without types has no members to patch; write the whole value";
            return Err(bad(text.to_owned()));
        }
        let shown = self.types.payload_to_json(type_name, payload).map_err(|error| {
            let text = format!(
                "the value is no {type_name}, so it can't be patched: {error}; write it as a whole"
            );
            Refusal::new(ErrorCode::Conflict, "publish.data", text)
        })?;
        let mut edited = serde_json::from_str(&shown).expect("what was written as JSON is JSON");
        merge(&mut edited, patch.clone());
        let encoded = self.types.payload_edited(type_name, payload, &edited);
        encoded.map_err(|error| bad(format!("the patch makes no {type_name}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_rfc_7396_come_out_as_it_says() {
        for (mut document, patch, outcome) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let shown = format!("{document} and {patch}");
            merge(&mut document, patch);
            assert_eq!(document, outcome, "{shown}");
        }
    }
}
