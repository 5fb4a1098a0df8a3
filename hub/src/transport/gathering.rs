//! How far what is gathered for one connection is from being written.

/// How far the task is that writes what was gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gathering {
    /// Nothing is.
    Not,
    /// It was called.
    Called,
    /// It lets others go first.
    Waits,
}

impl Gathering {
    /// Whether the task has yet to be called for what came.
    pub(super) fn call(&mut self) -> bool {
        let is_first = *self == Self::Not;
        if is_first {
            *self = Self::Called;
        }
        is_first
    }

    /// Whether the task, having its turn, lets others go first: once a call, or it would never write.
    pub(super) fn lets_others_go_first(&mut self) -> bool {
        let is_called = *self == Self::Called;
        *self = if is_called { Self::Waits } else { Self::Not };
        is_called
    }
}

#[cfg(test)]
mod tests {
    use super::Gathering;

    #[test]
    fn who_gathers_lets_others_go_first_once_however_much_comes_meanwhile() {
        let mut gathering = Gathering::Not;
        assert!(gathering.call());
        assert!(!gathering.call(), "its task is on its way");
        assert!(gathering.lets_others_go_first());
        assert!(!gathering.call(), "its task waits for its turn");
        assert!(!gathering.lets_others_go_first(), "it had to wait already");
        assert!(gathering.call());
    }
}
