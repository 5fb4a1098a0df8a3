//! Whole stories with the real hub, for clients that are not ours: they speak the text encoding.

mod text;
