//! Descriptor sets that are added to the built-in types, and how they become one set of types.
//!
//! A set comes from another build, with other tools and at another time, so what it brings beside its
//! own files is not trusted to be what this crate has: the built-in files stand as they are, a set may
//! repeat them only unchanged, and the files of `google/protobuf/` are always those of this crate.
//!
//! ```text
//!   FileDescriptorSet ─▶ decode ─▶ own files ─┐
//!   FileDescriptorSet ─▶ decode ─▶ own files ─┴─▶ compose ─▶ Types
//! ```

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldOptions, FileDescriptorProto, FileDescriptorSet,
    MessageOptions,
};

use super::schema;
use super::types::{ANY, TypesError};

/// Where the files are that belong to protobuf itself.
const WELL_KNOWN: &str = "google/protobuf/";

/// The files of one set that are neither built in nor of protobuf itself.
#[derive(Debug, Clone, PartialEq)]
pub struct DescriptorSet {
    own: BTreeMap<String, FileDescriptorProto>,
}

impl DescriptorSet {
    /// Reads an encoded `google.protobuf.FileDescriptorSet`. Comments in it are dropped.
    ///
    /// # Errors
    /// It is none, has two files of one name, has no file of its own, or says something else than
    /// this crate of a built-in message. Whether its imports are there is seen by
    /// [`super::Types::with`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TypesError> {
        let problem = |problem: String| TypesError::Descriptors { problem };
        let set = FileDescriptorSet::decode(bytes)
            .map_err(|error| problem(format!("it is none: {error}")))?;
        let mut own = BTreeMap::new();
        let mut redefined = Vec::new();
        for mut file in set.file {
            file.source_code_info = None;
            let name = file.name().to_owned();
            if name.starts_with(WELL_KNOWN) {
                continue;
            }
            if let Some(built_in) = schema::pool().get_file_by_name(&name) {
                redefined.extend(differences(&file, built_in.file_descriptor_proto()));
                continue;
            }
            redefined.extend(names(&file).filter(|name| is_built_in(name)));
            if own.insert(name.clone(), file).is_some() {
                return Err(problem(format!("it has two files `{name}`")));
            }
        }
        if !redefined.is_empty() {
            return Err(TypesError::Redefined { names: redefined });
        }
        if own.is_empty() {
            return Err(problem("it has no file of its own".to_owned()));
        }
        Ok(Self { own })
    }

    /// The names of its own files, in order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(String::as_str)
    }

    /// Full names of its own messages, those inside of others included.
    pub fn messages(&self) -> Vec<String> {
        let mut found = Vec::new();
        for file in self.own.values() {
            let mut waiting: Vec<(String, &DescriptorProto)> = file
                .message_type
                .iter()
                .rev()
                .map(|of| (full(file.package(), of.name()), of))
                .collect();
            while let Some((name, message)) = waiting.pop() {
                let inner = message.nested_type.iter().rev().filter(|inner| !is_map_entry(inner));
                waiting.extend(inner.map(|inner| (full(&name, inner.name()), inner)));
                found.push(name);
            }
        }
        found
    }

    /// Whether this file is one of its own.
    pub(super) fn has_file(&self, name: &str) -> bool {
        self.own.contains_key(name)
    }
}

/// The built-in types and those of all sets, each under its name.
///
/// # Errors
/// Two sets have different files of one name, or the files together are not usable.
pub(super) fn compose(sets: &[(&str, &DescriptorSet)]) -> Result<DescriptorPool, TypesError> {
    let mut files: BTreeMap<&str, (&str, &FileDescriptorProto)> = BTreeMap::new();
    for (set, content) in sets {
        for (name, file) in &content.own {
            match files.get(name.as_str()) {
                Some((_, known)) if *known == file => {}
                Some((other, _)) => {
                    let problem = format!(
                        "`{name}` is different in `{other}` and in `{set}`; \
                         keep shared files in one set"
                    );
                    return Err(TypesError::Descriptors { problem });
                }
                None => {
                    files.insert(name, (*set, file));
                }
            }
        }
    }
    let mut pool = schema::pool().clone();
    let own: Vec<FileDescriptorProto> = files.values().map(|(_, file)| (*file).clone()).collect();
    let imported = well_known_imports(&pool, &own);
    link(&mut pool, imported.into_iter().chain(own))?;
    if pool.get_message_by_name(ANY).is_some() {
        return Err(TypesError::Any);
    }
    Ok(pool)
}

/// Adds files to a pool. The library below panics where it tells of some contradictions, so that is an
/// error here; the pool is of no use after one.
fn link(
    pool: &mut DescriptorPool,
    files: impl Iterator<Item = FileDescriptorProto>,
) -> Result<(), TypesError> {
    let add = AssertUnwindSafe(|| {
        pool.add_file_descriptor_protos(files).map_err(|error| error.to_string())
    });
    let contradicts = |_| Err("it contradicts itself".to_owned());
    let added = catch_unwind(add).unwrap_or_else(contradicts);
    added.map_err(|problem| TypesError::Descriptors { problem })
}

/// Files of protobuf itself that these files import and the pool hasn't yet.
fn well_known_imports(
    pool: &DescriptorPool,
    files: &[FileDescriptorProto],
) -> Vec<FileDescriptorProto> {
    let known = DescriptorPool::global();
    let mut found: Vec<FileDescriptorProto> = Vec::new();
    let mut wanted: Vec<String> = files.iter().flat_map(|file| file.dependency.clone()).collect();
    while let Some(name) = wanted.pop() {
        let is_there = pool.get_file_by_name(&name).is_some()
            || found.iter().any(|file| file.name() == name)
            || !name.starts_with(WELL_KNOWN);
        if !is_there && let Some(file) = known.get_file_by_name(&name) {
            let file = file.file_descriptor_proto().clone();
            wanted.extend(file.dependency.iter().cloned());
            found.push(file);
        }
    }
    found
}

/// The built-in message or enum with this name.
fn is_built_in(name: &str) -> bool {
    let pool = schema::pool();
    pool.get_message_by_name(name).is_some() || pool.get_enum_by_name(name).is_some()
}

/// Full names of a file's messages and enums at the top.
fn names(file: &FileDescriptorProto) -> impl Iterator<Item = String> {
    let messages = file.message_type.iter().map(|message| message.name());
    let enums = file.enum_type.iter().map(|values| values.name());
    messages.chain(enums).map(|name| full(file.package(), name))
}

/// What is not the same in two files of one name.
fn differences(file: &FileDescriptorProto, ours: &FileDescriptorProto) -> Vec<String> {
    let mut found = Vec::new();
    if file.package() != ours.package() {
        found.push(format!("package {}", file.package()));
    }
    for message in &file.message_type {
        let same = ours.message_type.iter().any(|our| plain(our) == plain(message));
        found.extend((!same).then(|| full(file.package(), message.name())));
    }
    for values in &file.enum_type {
        let same = ours.enum_type.iter().any(|our| plain_enum(our) == plain_enum(values));
        found.extend((!same).then(|| full(file.package(), values.name())));
    }
    found
}

/// A message without what compilers write in different ways and no reader sees.
fn plain(message: &DescriptorProto) -> DescriptorProto {
    let mut plain = message.clone();
    plain.options = plain.options.and_then(|options| {
        options
            .map_entry
            .map(|_| MessageOptions { map_entry: options.map_entry, ..MessageOptions::default() })
    });
    for field in plain.field.iter_mut().chain(&mut plain.extension) {
        field.json_name = None;
        field.options = field.options.take().and_then(|options| {
            options
                .packed
                .map(|_| FieldOptions { packed: options.packed, ..FieldOptions::default() })
        });
    }
    for oneof in &mut plain.oneof_decl {
        oneof.options = None;
    }
    plain.enum_type = plain.enum_type.iter().map(plain_enum).collect();
    plain.nested_type = plain.nested_type.iter().map(self::plain).collect();
    plain
}

fn plain_enum(values: &EnumDescriptorProto) -> EnumDescriptorProto {
    let mut plain = values.clone();
    plain.options = None;
    for value in &mut plain.value {
        value.options = None;
    }
    plain
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(MessageOptions::map_entry)
}

fn full(outer: &str, name: &str) -> String {
    if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") }
}

/// Whether a message stands in one of the set's own files, and not as the entry of a map.
pub(super) fn is_own(set: &DescriptorSet, message: &MessageDescriptor) -> bool {
    !message.is_map_entry() && set.has_file(message.parent_file().name())
}
