//! The HTTP side of the hub, as its users meet it: resources with versions, conflicts, and the
//! description that it gives of itself.

mod conditions;
mod described;
mod page;
mod races;
mod resources;
