//! Profiles: a level, and if need be a calendar, for all devices that a selector means.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::selector::{Facts, Selector, Truth};

/// Profiles of one hub.
pub const PROFILES_MAX: usize = 256;
/// Bytes of a profile's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Bytes of a profile as it is stored.
pub const PROFILE_BYTES_MAX: usize = 48 * 1024;

/// What people decide about a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileSettings {
    /// Which devices: labels, `id` and `profile`; what they report can't be asked for. Empty means all.
    #[serde(default)]
    #[schema(max_length = 2048, example = "street='Queen St'")]
    pub selector: String,
    /// Of several that mean a device the highest rules; of equal ones the first by name.
    #[serde(default)]
    #[schema(minimum = -1_000_000, maximum = 1_000_000)]
    pub priority: i32,
    /// %, 100 if not said: the light where no calendar says another.
    #[serde(default = "full")]
    #[schema(minimum = 0, maximum = 100)]
    pub level_pct: u8,
    /// A `lighting.v1.Calendar` as JSON, for devices that have none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub calendar: Option<serde_json::Value>,
    /// Where devices stand that nobody said it of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<ProfilePlace>,
}

/// A place for devices without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePlace {
    /// 1e-7 degrees, WGS 84.
    #[schema(minimum = -900_000_000, maximum = 900_000_000)]
    pub latitude_e7: i32,
    /// 1e-7 degrees, WGS 84.
    #[schema(minimum = -1_800_000_000, maximum = 1_800_000_000)]
    pub longitude_e7: i32,
    /// IANA name; the clock of the meridian if left out.
    #[serde(default)]
    #[schema(max_length = 64, example = "Europe/Berlin")]
    pub time_zone: String,
}

fn full() -> u8 {
    super::LEVEL_PCT_DEFAULT
}

/// A profile as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// Grows with every change.
    pub revision: u64,
    /// What people decided.
    pub settings: ProfileSettings,
}

/// A profile that can be followed.
#[derive(Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// As it is stored.
    pub record: ProfileRecord,
    /// Which devices.
    pub selector: Selector,
    /// Its calendar.
    pub plan: Option<Plan>,
    /// Its time zone.
    pub zone: Option<TimeZone>,
}

/// All profiles, in the order in which they rule.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    by_name: BTreeMap<String, Arc<Profile>>,
    ranked: Arc<[Arc<Profile>]>,
}

/// Whether a text can name a profile: `[a-z0-9][a-z0-9-]{0,63}`.
pub fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().enumerate().all(|(at, byte)| is_letter(byte) || (at > 0 && byte == b'-'))
}

impl Profile {
    /// 1e-7 degrees north and east, for devices without a position.
    pub fn position_e7(&self) -> Option<(i32, i32)> {
        let place = self.record.settings.place.as_ref()?;
        Some((place.latitude_e7, place.longitude_e7))
    }
}

impl Profiles {
    /// The profile of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.by_name.get(name)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.by_name.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Strongest first; costs nothing to take along.
    pub fn ranked(&self) -> Arc<[Arc<Profile>]> {
        self.ranked.clone()
    }

    /// Adds or replaces one.
    pub fn insert(&mut self, profile: Arc<Profile>) {
        self.by_name.insert(profile.name.clone(), profile);
        self.rank();
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
        self.rank();
    }

    fn rank(&mut self) {
        // Stable: those of one priority stay in the order of their names.
        let mut ranked: Vec<_> = self.by_name.values().cloned().collect();
        ranked.sort_by_key(|profile| std::cmp::Reverse(profile.record.settings.priority));
        self.ranked = ranked.into();
    }
}

/// The strongest profile that means a device.
pub fn meant<'p>(ranked: &'p [Arc<Profile>], facts: &dyn Facts) -> Option<&'p Arc<Profile>> {
    ranked.iter().find(|profile| profile.selector.judge(facts) == Truth::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::{Fact, Name, Value};

    struct Street(&'static str);

    impl Facts for Street {
        fn fact(&self, name: &Name) -> Fact<'_> {
            match name {
                Name::Label(label) if &**label == "street" => {
                    Fact::Known(Value::Text(self.0.into()))
                }
                Name::Label(_) | Name::Id | Name::Profile | Name::Online | Name::Reported(_) => {
                    Fact::Missing
                }
            }
        }
    }

    fn profile(name: &str, selector: &str, priority: i32) -> Arc<Profile> {
        let settings = ProfileSettings {
            selector: selector.to_owned(),
            priority,
            level_pct: 80,
            calendar: None,
            place: None,
        };
        let selector = Selector::parse(selector).expect("a selector");
        let record = ProfileRecord { revision: 1, settings };
        Arc::new(Profile { name: name.to_owned(), record, selector, plan: None, zone: None })
    }

    #[test]
    fn the_highest_priority_that_matches_rules_and_ties_go_by_name() {
        let mut profiles = Profiles::default();
        for (name, selector, priority) in [
            ("z-all", "", 0),
            ("queen", "street='Queen St'", 5),
            ("a-all", "", 0),
            ("king", "street='King St'", 9),
        ] {
            profiles.insert(profile(name, selector, priority));
        }
        let ranked = profiles.ranked();
        let named = |street| meant(&ranked, &Street(street)).map(|profile| profile.name.clone());
        assert_eq!(named("Queen St").as_deref(), Some("queen"));
        assert_eq!(named("Elm St").as_deref(), Some("a-all"));
        profiles.remove("a-all");
        profiles.remove("z-all");
        assert!(meant(&profiles.ranked(), &Street("Elm St")).is_none());
    }

    #[test]
    fn names_are_plain() {
        assert!(is_name("main-roads") && is_name("a") && is_name("1"));
        for bad in ["", "-a", "A", "a b", "ä", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
