//! The descriptors that this crate was built with.
//!
//! They are constants that have to be unpacked: the one value here is written once, from bytes inside
//! the program, and never changes.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::messages::DESCRIPTORS;

static BUILT_IN: LazyLock<(DescriptorPool, MessageDescriptor)> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the build wrote these descriptors");
    let envelope =
        pool.get_message_by_name("lamplighter.v1.Envelope").expect("the schema has an envelope");
    (pool, envelope)
});

/// All types of both schemas.
pub(super) fn pool() -> &'static DescriptorPool {
    &BUILT_IN.0
}

/// The envelope.
pub(super) fn envelope() -> &'static MessageDescriptor {
    &BUILT_IN.1
}
