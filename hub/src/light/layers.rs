//! The layers of one device, and what comes out of them.

use proto::messages::lighting::v1::ControlReason;

use super::local::Local;
use super::place::Place;
use super::plan::Plan;

/// How far the next change is looked for.
const HORIZON_MS: u64 = 48 * 3_600_000;
/// Stretches of one level that are passed on the way; two nights have fewer.
const STRETCHES_MAX: usize = 160;

/// A layer, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A level for all devices that a selector means.
    Profile,
    /// The program of the night.
    Calendar,
    /// A level with an end.
    Override,
    /// A switch in the street.
    Local,
}

impl Layer {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Calendar => "calendar",
            Self::Override => "override",
            Self::Local => "local",
        }
    }
}

/// A level that comes before the program, for a time. Also its record in the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Override {
    /// %, 0 to 100.
    pub level_pct: u8,
    /// ms since 1970: it begins.
    pub from_unix_ms: u64,
    /// ms since 1970: it ends.
    pub until_unix_ms: u64,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// Who set it.
    pub by: String,
    /// The command that brought it to the device; empty if it was set here.
    #[serde(default)]
    pub command: String,
    /// Grows with every change.
    pub revision: u64,
}

/// A calendar with its origin.
#[derive(Debug, Clone, Copy)]
pub struct Calendar<'l> {
    /// What can be followed; else why not.
    pub plan: Result<&'l Plan, &'l str>,
    /// Whose it is, if it is a profile's.
    pub of_profile: Option<&'l str>,
}

/// All that is known of a device.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'l> {
    /// What it says of a switch in the street.
    pub local: Option<Local>,
    /// What an operator set, begun or not, ended or not.
    pub overridden: Option<&'l Override>,
    /// Its calendar.
    pub calendar: Option<Calendar<'l>>,
    /// The profile that means it, with its level in %.
    pub profile: Option<(&'l str, u8)>,
    /// Where it stands.
    pub place: &'l Place,
    /// %: inside active periods, before the first switch point.
    pub default_pct: u8,
}

/// What one layer says at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// Which layer.
    pub layer: Layer,
    /// %, 0 to 100; `None` if it says nothing.
    pub level_pct: Option<u8>,
    /// As telemetry would say it.
    pub reason: ControlReason,
    /// In words; where it says nothing, why.
    pub source: String,
    /// ms since 1970: it says so at least until then; `None` without an end.
    pub until_unix_ms: Option<u64>,
}

/// What comes out of all layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Light {
    /// %, 0 to 100; `None` if no layer says anything now.
    pub level_pct: Option<u8>,
    /// As telemetry would say it.
    pub reason: ControlReason,
    /// In words.
    pub source: String,
    /// ms since 1970: the next change of level or reason; `None` if there is none within two days.
    pub until_unix_ms: Option<u64>,
    /// %: the level after that.
    pub then_level_pct: Option<u8>,
    /// Its reason.
    pub then_reason: ControlReason,
    /// What the weaker layers say, strongest first.
    pub under: Vec<Voice>,
}

impl Override {
    /// Whether it is over.
    pub fn is_over(&self, unix_ms: u64) -> bool {
        self.until_unix_ms <= unix_ms
    }

    fn voice(&self, unix_ms: u64) -> Option<Voice> {
        if self.is_over(unix_ms) {
            return None;
        }
        let has_begun = self.from_unix_ms <= unix_ms;
        let mut source = format!("override by {}", self.by);
        if !self.command.is_empty() {
            source.push_str(&format!(", command {}", self.command));
        }
        if !self.reason.is_empty() {
            source.push_str(&format!(": {}", self.reason));
        }
        if !has_begun {
            source.push_str(", not begun");
        }
        Some(Voice {
            layer: Layer::Override,
            level_pct: has_begun.then_some(self.level_pct),
            reason: ControlReason::Override,
            source,
            until_unix_ms: Some(if has_begun { self.until_unix_ms } else { self.from_unix_ms }),
        })
    }
}

impl Calendar<'_> {
    fn voice(&self, layers: &Layers<'_>, unix_ms: u64) -> Voice {
        let said = self.plan.map(|plan| (plan, plan.at(layers.place, layers.default_pct, unix_ms)));
        let (level_pct, what, until_unix_ms) = match said {
            Ok((plan, word)) => {
                let (level_pct, what) = match word.level {
                    Ok((level_pct, program)) => (Some(level_pct), format!("program {program}")),
                    Err(why) => (None, why),
                };
                (level_pct, format!("{}, {what}", plan.id), Some(word.until_unix_ms))
            }
            Err(why) => (None, format!("that can't be followed: {why}"), None),
        };
        let of = self.of_profile.map(|name| format!(" of profile {name}")).unwrap_or_default();
        let source = format!("calendar{of} {what}");
        Voice {
            layer: Layer::Calendar,
            level_pct,
            reason: ControlReason::Program,
            source,
            until_unix_ms,
        }
    }
}

impl Layers<'_> {
    /// Whether the hub has any say in the device's light.
    pub fn has_any(&self, unix_ms: u64) -> bool {
        self.profile.is_some()
            || self.calendar.is_some()
            || self.overridden.is_some_and(|set| !set.is_over(unix_ms))
    }

    /// What each layer says, strongest first.
    pub fn voices(&self, unix_ms: u64) -> Vec<Voice> {
        let local = self.local.map(|local| Voice {
            layer: Layer::Local,
            level_pct: Some(local.level_pct),
            reason: ControlReason::LocalOverride,
            source: "switched by hand at the lamp".to_owned(),
            until_unix_ms: None,
        });
        let overridden = self.overridden.and_then(|set| set.voice(unix_ms));
        let calendar = self.calendar.map(|calendar| calendar.voice(self, unix_ms));
        let profile = self.profile.map(|(name, level_pct)| Voice {
            layer: Layer::Profile,
            level_pct: Some(level_pct),
            reason: ControlReason::Default,
            source: format!("profile {name}"),
            until_unix_ms: None,
        });
        [local, overridden, calendar, profile].into_iter().flatten().collect()
    }

    /// What comes out; `None` if there is no layer. A report from the street alone is none: it tells the
    /// hub what the device knows.
    pub fn light(&self, now_unix_ms: u64) -> Option<Light> {
        if !self.has_any(now_unix_ms) {
            return None;
        }
        let mut voices = self.voices(now_unix_ms);
        let (level_pct, reason, source) = match voices.iter().position(|v| v.level_pct.is_some()) {
            Some(first) => {
                let strongest = voices.remove(first);
                (strongest.level_pct, strongest.reason, strongest.source)
            }
            None => (None, ControlReason::Unspecified, "no layer says anything now".to_owned()),
        };
        let mut light = Light {
            level_pct,
            reason,
            source,
            until_unix_ms: None,
            then_level_pct: None,
            then_reason: ControlReason::Unspecified,
            under: voices,
        };
        if let Some((at, then_level_pct, then_reason)) = self.next_change(now_unix_ms, &light) {
            light.until_unix_ms = Some(at);
            (light.then_level_pct, light.then_reason) = (then_level_pct, then_reason);
        }
        Some(light)
    }

    /// The first moment at which another level or reason counts, and which.
    fn next_change(&self, now: u64, light: &Light) -> Option<(u64, Option<u8>, ControlReason)> {
        let mut at = now;
        for _ in 0..STRETCHES_MAX {
            at = self.stretch_ends(at)?;
            if at > now.saturating_add(HORIZON_MS) {
                return None;
            }
            let voices = self.voices(at);
            let strongest = voices.iter().find(|voice| voice.level_pct.is_some());
            let level_pct = strongest.and_then(|voice| voice.level_pct);
            let reason = strongest.map_or(ControlReason::Unspecified, |voice| voice.reason);
            if (level_pct, reason) != (light.level_pct, light.reason) {
                return Some((at, level_pct, reason));
            }
        }
        None
    }

    /// When the strongest layer, or a silent one above it, may say something else.
    fn stretch_ends(&self, unix_ms: u64) -> Option<u64> {
        let mut ends = None::<u64>;
        for voice in self.voices(unix_ms) {
            ends = match (ends, voice.until_unix_ms) {
                (Some(ends), Some(until)) => Some(ends.min(until)),
                (ends, until) => ends.or(until),
            };
            if voice.level_pct.is_some() {
                break;
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::super::night::tests::{berlin, residential, unix_ms};
    use super::*;

    fn overridden(level_pct: u8, from: &str, until: &str) -> Override {
        Override {
            level_pct,
            from_unix_ms: unix_ms(from),
            until_unix_ms: unix_ms(until),
            reason: "accident".to_owned(),
            by: "operator ann".to_owned(),
            command: String::new(),
            revision: 1,
        }
    }

    #[track_caller]
    fn check(layers: &Layers<'_>, at: &str, wanted: (u8, ControlReason, Option<&str>, Option<u8>)) {
        let light = layers.light(unix_ms(at)).expect("there are layers");
        let (level, reason, until, then) = wanted;
        assert_eq!((light.level_pct, light.reason), (Some(level), reason), "{at}: {light:?}");
        assert_eq!(light.until_unix_ms, until.map(unix_ms), "{at}: {light:?}");
        assert_eq!(light.then_level_pct, then, "{at}: {light:?}");
    }

    #[test]
    fn the_strongest_layer_counts_and_the_next_one_comes_after_it() {
        use ControlReason::{Default, LocalOverride, Override as Overridden, Program};
        let place = berlin();
        let plan = Plan::new(&residential()).expect("a calendar");
        let set = overridden(30, "2025-11-21T20:30:00Z", "2025-11-21T21:30:00Z");
        let empty = Layers {
            local: None,
            overridden: None,
            calendar: None,
            profile: None,
            place: &place,
            default_pct: 100,
        };
        assert_eq!(empty.light(unix_ms("2025-11-21T20:00:00Z")), None);

        let profile = Layers { profile: Some(("main-roads", 80)), ..empty };
        check(&profile, "2025-11-21T20:00:00Z", (80, Default, None, None));

        let calendar = Calendar { plan: Ok(&plan), of_profile: Some("main-roads") };
        let night = Layers { calendar: Some(calendar), ..profile };
        check(
            &night,
            "2025-11-21T20:00:00Z",
            (100, Program, Some("2025-11-21T21:00:00Z"), Some(70)),
        );

        let all = Layers { overridden: Some(&set), ..night };
        check(&all, "2025-11-21T20:00:00Z", (100, Program, Some("2025-11-21T20:30:00Z"), Some(30)));
        let at = "2025-11-21T20:30:00Z";
        check(&all, at, (30, Overridden, Some("2025-11-21T21:30:00Z"), Some(70)));
        let light = all.light(unix_ms(at)).expect("light");
        assert_eq!(light.source, "override by operator ann: accident");
        let under: Vec<_> =
            light.under.iter().map(|voice| (voice.layer, voice.level_pct)).collect();
        assert_eq!(under, [(Layer::Calendar, Some(100)), (Layer::Profile, Some(80))]);
        check(&all, "2025-11-21T21:30:00Z", (70, Program, Some("2025-11-21T23:00:00Z"), Some(50)));

        let by_hand = Layers { local: Some(Local { level_pct: 0 }), ..all };
        check(&by_hand, at, (0, LocalOverride, None, None));
    }

    #[test]
    fn a_calendar_that_can_not_be_followed_gives_way_to_the_profile_and_says_why() {
        let nowhere = Place::new(None, None);
        let plan = Plan::new(&residential()).expect("a calendar");
        let layers = Layers {
            local: None,
            overridden: None,
            calendar: Some(Calendar { plan: Ok(&plan), of_profile: None }),
            profile: Some(("main-roads", 80)),
            place: &nowhere,
            default_pct: 100,
        };
        let at = "2025-11-21T20:00:00Z";
        check(&layers, at, (80, ControlReason::Default, None, None));
        let light = layers.light(unix_ms(at)).expect("light");
        assert!(light.under[0].source.contains("where the lamp stands"), "{light:?}");
        let alone = Layers { profile: None, ..layers };
        assert_eq!(alone.light(unix_ms(at)).expect("light").level_pct, None);
    }

    #[test]
    fn an_override_to_the_running_level_is_a_change_of_reason() {
        let place = berlin();
        let set = overridden(80, "2025-11-21T20:30:00Z", "2025-11-21T21:30:00Z");
        let layers = Layers {
            local: None,
            overridden: Some(&set),
            calendar: None,
            profile: Some(("main-roads", 80)),
            place: &place,
            default_pct: 100,
        };
        let until = Some("2025-11-21T20:30:00Z");
        check(&layers, "2025-11-21T20:00:00Z", (80, ControlReason::Default, until, Some(80)));
    }
}
