//! Whether a newer descriptor set still reads what was written by an older one, and the other way
//! round: in protobuf, where numbers and types count, and in JSON, where names do.
//!
//! What may change: new files, messages, fields, values and oneofs of new fields; comments; options;
//! `optional` on a field that stays singular. What may go: a field or a value, if its number and its
//! name are reserved from then on, so that nobody gives them another meaning.

use std::fmt;
use std::ops::Range;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::sets::{DescriptorSet, is_own};
use super::types::Types;

/// One way in which a newer set breaks readers or writers of the older one. The names are full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incompatibility {
    /// All of a file got other names.
    Package {
        /// Its name.
        file: String,
        /// The package before.
        from: String,
        /// The package now.
        to: String,
    },
    /// A message or an enum is gone.
    Removed {
        /// Which.
        name: String,
    },
    /// A field has another type.
    Type {
        /// Which.
        field: String,
        /// The type before.
        from: String,
        /// The type now.
        to: String,
    },
    /// A field is repeated, a map or a single value where it was another of these.
    Cardinality {
        /// Which.
        field: String,
        /// How it was.
        from: &'static str,
        /// How it is.
        to: &'static str,
    },
    /// A field went into a oneof, out of one, or from one to another.
    Oneof {
        /// Which.
        field: String,
    },
    /// A number has another name, so JSON would lose the value.
    Renamed {
        /// The message or enum.
        of: String,
        /// The number of the field or value.
        number: i64,
        /// The name before.
        from: String,
        /// The name now.
        to: String,
    },
    /// A field or value is gone, and someone may use its number again.
    NumberFree {
        /// The message or enum.
        of: String,
        /// The number.
        number: i64,
        /// The name that it had.
        name: String,
    },
    /// A field or value is gone, and someone may use its name again.
    NameFree {
        /// The message or enum.
        of: String,
        /// The name.
        name: String,
    },
    /// What was reserved is not reserved any more.
    Unreserved {
        /// The message or enum.
        of: String,
        /// The numbers, as in `4 to 6`, or the name.
        what: String,
    },
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package { file, from, to } => {
                write!(f, "the package of {file} was `{from}` and is `{to}`")
            }
            Self::Removed { name } => write!(f, "{name} is gone"),
            Self::Type { field, from, to } => write!(f, "{field} was {from} and is {to}"),
            Self::Cardinality { field, from, to } => write!(f, "{field} was {from} and is {to}"),
            Self::Oneof { field } => write!(f, "{field} stands in another oneof"),
            Self::Renamed { of, number, from, to } => {
                write!(f, "number {number} of {of} was `{from}` and is `{to}`")
            }
            Self::NumberFree { of, number, name } => {
                write!(f, "`{name}` of {of} is gone and its number {number} is not reserved")
            }
            Self::NameFree { of, name } => {
                write!(f, "`{name}` of {of} is gone and its name is not reserved")
            }
            Self::Unreserved { of, what } => write!(f, "{what} of {of} is not reserved any more"),
        }
    }
}

/// Everything in which `newer` breaks with `older`, for what stands in the own files of `set`, the
/// set's older version. In the order of the files.
///
/// Cost: once through both; milliseconds for a thousand messages.
pub fn incompatibilities(
    set: &DescriptorSet,
    older: &Types,
    newer: &Types,
) -> Vec<Incompatibility> {
    let mut found = Vec::new();
    let mut moved = Vec::new();
    for file in older.pool.files().filter(|file| set.has_file(file.name())) {
        let now = newer.pool.get_file_by_name(file.name());
        if let Some(now) = now.filter(|now| now.package_name() != file.package_name()) {
            let (from, to) = (file.package_name().to_owned(), now.package_name().to_owned());
            found.push(Incompatibility::Package { file: file.name().to_owned(), from, to });
            // Everything in it has another name; to list it all would hide the reason.
            moved.push(file.name().to_owned());
        }
    }
    let stays = |file: &str| set.has_file(file) && !moved.iter().any(|moved| moved == file);
    for message in older.pool.all_messages().filter(|message| is_own(set, message)) {
        if !stays(message.parent_file().name()) {
            continue;
        }
        match newer.pool.get_message_by_name(message.full_name()) {
            Some(now) => compare_messages(&message, &now, &mut found),
            None => found.push(Incompatibility::Removed { name: message.full_name().to_owned() }),
        }
    }
    for values in older.pool.all_enums().filter(|values| stays(values.parent_file().name())) {
        match newer.pool.get_enum_by_name(values.full_name()) {
            Some(now) => compare_enums(&values, &now, &mut found),
            None => found.push(Incompatibility::Removed { name: values.full_name().to_owned() }),
        }
    }
    found
}

fn compare_messages(
    older: &MessageDescriptor,
    newer: &MessageDescriptor,
    found: &mut Vec<Incompatibility>,
) {
    let reserved = Reserved {
        of: older.full_name(),
        ranges: newer.reserved_ranges().map(wide).collect(),
        names: newer.reserved_names().collect(),
    };
    for field in older.fields() {
        match newer.get_field(field.number()) {
            Some(now) => compare_fields(&field, &now, found),
            None => reserved.check_gone(i64::from(field.number()), field.name(), found),
        }
    }
    let ranges: Vec<_> = older.reserved_ranges().map(wide).collect();
    reserved.check_kept(&ranges, older.reserved_names(), found);
}

fn compare_fields(
    older: &FieldDescriptor,
    newer: &FieldDescriptor,
    found: &mut Vec<Incompatibility>,
) {
    if older.name() != newer.name() {
        found.push(Incompatibility::Renamed {
            of: older.parent_message().full_name().to_owned(),
            number: older.number().into(),
            from: older.name().to_owned(),
            to: newer.name().to_owned(),
        });
    }
    let field = || older.full_name().to_owned();
    let (from, to) = (shape(older), shape(newer));
    if from != to {
        found.push(Incompatibility::Cardinality { field: field(), from, to });
        return;
    }
    let (from, to) = (type_of(older), type_of(newer));
    if from != to {
        found.push(Incompatibility::Type { field: field(), from, to });
    }
    if oneof(older) != oneof(newer) {
        found.push(Incompatibility::Oneof { field: field() });
    }
}

fn compare_enums(older: &EnumDescriptor, newer: &EnumDescriptor, found: &mut Vec<Incompatibility>) {
    let inclusive = |range: std::ops::RangeInclusive<i32>| {
        i64::from(*range.start())..i64::from(*range.end()) + 1
    };
    let reserved = Reserved {
        of: older.full_name(),
        ranges: newer.reserved_ranges().map(inclusive).collect(),
        names: newer.reserved_names().collect(),
    };
    for value in older.values() {
        // One number may have several names.
        let mut same = newer.values().filter(|now| now.number() == value.number()).peekable();
        match same.peek().map(|now| now.name().to_owned()) {
            None => reserved.check_gone(value.number().into(), value.name(), found),
            Some(_) if same.any(|now| now.name() == value.name()) => {}
            Some(now) => found.push(Incompatibility::Renamed {
                of: older.full_name().to_owned(),
                number: value.number().into(),
                from: value.name().to_owned(),
                to: now,
            }),
        }
    }
    let ranges: Vec<_> = older.reserved_ranges().map(inclusive).collect();
    reserved.check_kept(&ranges, older.reserved_names(), found);
}

/// What the newer version reserves.
struct Reserved<'n> {
    of: &'n str,
    ranges: Vec<Range<i64>>,
    names: Vec<&'n str>,
}

impl Reserved<'_> {
    fn check_gone(&self, number: i64, name: &str, found: &mut Vec<Incompatibility>) {
        let (of, name) = (self.of.to_owned(), name.to_owned());
        if !self.names.contains(&name.as_str()) {
            found.push(Incompatibility::NameFree { of: of.clone(), name: name.clone() });
        }
        if !self.ranges.iter().any(|range| range.contains(&number)) {
            found.push(Incompatibility::NumberFree { of, number, name });
        }
    }

    fn check_kept<'o>(
        &self,
        ranges: &[Range<i64>],
        names: impl Iterator<Item = &'o str>,
        found: &mut Vec<Incompatibility>,
    ) {
        let of = || self.of.to_owned();
        for range in ranges.iter().filter(|range| !self.covers(range)) {
            let what = match range.end - range.start {
                1 => format!("number {}", range.start),
                _ => format!("numbers {} to {}", range.start, range.end - 1),
            };
            found.push(Incompatibility::Unreserved { of: of(), what });
        }
        for name in names.filter(|name| !self.names.contains(name)) {
            found.push(Incompatibility::Unreserved { of: of(), what: format!("`{name}`") });
        }
    }

    /// Whether the ranges together hold all of this one.
    fn covers(&self, range: &Range<i64>) -> bool {
        let mut next = range.start;
        while next < range.end {
            let Some(further) = self.ranges.iter().find(|held| held.contains(&next)) else {
                return false;
            };
            next = further.end;
        }
        true
    }
}

fn wide(range: Range<u32>) -> Range<i64> {
    range.start.into()..range.end.into()
}

fn shape(field: &FieldDescriptor) -> &'static str {
    match field.cardinality() {
        _ if field.is_map() => "a map",
        Cardinality::Repeated => "repeated",
        Cardinality::Required => "required",
        Cardinality::Optional => "a single value",
    }
}

/// The oneof in which the field stands; `optional` is none, though the compiler writes it as one.
fn oneof(field: &FieldDescriptor) -> Option<String> {
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    oneof.map(|oneof| oneof.name().to_owned())
}

fn type_of(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            format!("map<{}, {}>", type_of(&key), type_of(&value))
        }
        Kind::Message(message) if field.is_group() => format!("group {}", message.full_name()),
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}"),
    }
}
