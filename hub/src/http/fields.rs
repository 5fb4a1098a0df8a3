//! Sparse documents: only the members that a reader asked for.

use serde::Serialize;
use serde_json::{Map, Value};

use super::device::document;
use super::devices::bad;
use super::problem::Problem;

/// Members that one request may name.
const FIELDS_MAX: usize = 32;
/// Bytes of them all.
const FIELDS_BYTES_MAX: usize = 512;

/// Which members; none stands for all.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Vec<String>>);

impl Fields {
    /// Reads `id,labels.street`: names with commas between them, a dot goes one level down.
    ///
    /// # Errors
    /// A name is empty, or there are too many.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self::default()) };
        let split = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        let fields: Vec<_> = text.split(',').map(|path| split(path.trim())).collect();
        let is_name = |name: &String| name.starts_with(|first: char| first.is_ascii_alphabetic());
        let wrong = !fields.iter().flatten().all(is_name);
        if wrong || fields.len() > FIELDS_MAX || text.len() > FIELDS_BYTES_MAX {
            let detail = format!("takes up to {FIELDS_MAX} names, as in `id,labels.street`");
            return Err(bad(detail).at("fields"));
        }
        Ok(Self(fields))
    }

    /// The members of a document that are wanted. What the document doesn't have is left out.
    pub(super) fn of(&self, shown: &impl Serialize) -> Value {
        let whole = document(shown);
        if self.0.is_empty() {
            return whole;
        }
        let mut sparse = Value::Object(Map::new());
        for path in &self.0 {
            copy(&whole, &mut sparse, path);
        }
        sparse
    }
}

fn copy(from: &Value, to: &mut Value, path: &[String]) {
    let Some((name, rest)) = path.split_first() else { return };
    let (Some(found), Value::Object(to)) = (from.get(name), to) else { return };
    if rest.is_empty() {
        to.insert(name.clone(), found.clone());
    } else if found.is_object() {
        copy(found, to.entry(name.clone()).or_insert_with(|| Value::Object(Map::new())), rest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_named_members_are_left() {
        let whole =
            json!({"id": "lamp-1", "labels": {"street": "Queen St", "feeder": "F1"}, "n": 1});
        for (fields, sparse) in [
            (None, whole.clone()),
            (Some("id"), json!({"id": "lamp-1"})),
            (Some("labels.street, n"), json!({"labels": {"street": "Queen St"}, "n": 1})),
            (Some("labels.no,id.x,what"), json!({"labels": {}})),
        ] {
            assert_eq!(Fields::parse(fields).expect("names").of(&whole), sparse, "{fields:?}");
        }
        assert!(Fields::parse(Some("")).is_err() && Fields::parse(Some("a..b")).is_err());
    }
}
