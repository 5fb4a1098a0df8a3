//! Registers the fleet at the hub, and takes the token of every lamp.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::city::{City, Registration};
use crate::hub::{Hub, HubError};

/// Devices of one request; the hub takes no more.
const DEVICES_PER_REQUEST: usize = 1000;

/// Registers lamps `first` to `first + count - 1`, and returns their tokens in that order. A lamp that
/// the hub knows gets a new token and keeps its past.
///
/// # Errors
/// The hub can't be reached, or refuses.
pub async fn provision(
    hub: &Hub,
    city: &City,
    first: u32,
    count: u32,
) -> Result<Vec<Arc<str>>, HubError> {
    let numbers: Vec<u32> = (first..first + count).collect();
    let mut tokens = Vec::with_capacity(numbers.len());
    for chunk in numbers.chunks(DEVICES_PER_REQUEST) {
        let ids: Vec<String> = chunk.iter().map(|number| city.id(*number)).collect();
        let body: Vec<Value> =
            chunk.iter().map(|number| as_json(&city.registration(*number))).collect();
        let answer = register(hub, &Value::Array(body)).await?;
        tokens.extend(tokens_of(&answer, &ids)?);
    }
    Ok(tokens)
}

/// Registers devices and takes the hub's answer.
///
/// # Errors
/// The hub can't be reached, or refuses.
pub async fn register(hub: &Hub, devices: &Value) -> Result<Value, HubError> {
    hub.post("/v1/devices?existing=new-token", devices).await
}

/// The tokens of these ids, in their order.
///
/// # Errors
/// One is missing.
pub fn tokens_of(answer: &Value, ids: &[String]) -> Result<Vec<Arc<str>>, HubError> {
    let unreadable = || HubError::Answer("POST /v1/devices".to_owned());
    let devices = answer["devices"].as_array().ok_or_else(unreadable)?;
    let by_id: std::collections::HashMap<&str, &str> = devices
        .iter()
        .filter_map(|device| Some((device["id"].as_str()?, device["token"].as_str()?)))
        .collect();
    ids.iter()
        .map(|id| by_id.get(id.as_str()).map(|token| Arc::from(*token)).ok_or_else(unreadable))
        .collect()
}

fn as_json(registration: &Registration) -> Value {
    json!({
        "id": registration.id,
        "labels": registration.labels,
        "profile": registration.profile,
        "latitude_e7": registration.latitude_e7,
        "longitude_e7": registration.longitude_e7,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_in_the_order_of_the_lamps_whatever_the_hub_answers_in() {
        let answer = json!({"devices": [{"id": "b", "token": "2"}, {"id": "a", "token": "1"}]});
        let ids = ["a".to_owned(), "b".to_owned()];
        let tokens = tokens_of(&answer, &ids).expect("both are there");
        assert_eq!(tokens, [Arc::from("1"), Arc::from("2")]);
        assert!(tokens_of(&answer, &["c".to_owned()]).is_err());
    }
}
