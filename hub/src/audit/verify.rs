//! The proof that a chain is whole: fed with its records in order, it names the first that is not.

use std::collections::VecDeque;

use super::chain::{Hash, Head, Mark, from_hex, hash_of};
use super::record::Entry;

/// A chain that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intact {
    /// The number of its first record.
    pub first: u64,
    /// The last record; its number is below `first` if there is none.
    pub head: Head,
}

/// Where a chain is not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {n} {why}")]
pub struct Broken {
    /// The first record that is wrong.
    pub n: u64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Walks a chain from its start.
#[derive(Debug)]
pub struct Verifier {
    first: u64,
    head: Head,
    /// What is known of later records: of the marks, of the head, of what someone noted. In order.
    known: VecDeque<Head>,
}

const CHANGED: &str = "was changed";
const MISSING: &str = "is missing";
const UNREADABLE: &str = "can't be read";

impl Verifier {
    /// A chain that begins here.
    pub fn new(start: Mark) -> Self {
        let head = Head { n: start.first.saturating_sub(1), hash: start.previous };
        Self { first: start.first, head, known: VecDeque::new() }
    }

    /// The record with this number must have this hash. What lies before the start is not looked at.
    ///
    /// # Errors
    /// It was walked past, and has another.
    pub fn expect(&mut self, known: Head) -> Result<(), Broken> {
        if known.n == self.head.n && known.hash != self.head.hash {
            return Err(Broken { n: known.n, why: CHANGED });
        }
        if known.n > self.head.n {
            let at = self.known.partition_point(|other| other.n <= known.n);
            self.known.insert(at, known);
        }
        Ok(())
    }

    /// Takes the next record: the number under which it is stored, and its line.
    ///
    /// # Errors
    /// It doesn't continue the chain. A changed record shows at the one after it, and is named.
    pub fn walk(&mut self, n: u64, line: &[u8]) -> Result<(), Broken> {
        let next = self.head.n + 1;
        if n != next {
            return Err(Broken { n: next, why: MISSING });
        }
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else {
            return Err(Broken { n, why: UNREADABLE });
        };
        if entry.n != n || entry.line() != line {
            return Err(Broken { n, why: CHANGED });
        }
        if from_hex(&entry.previous) != Some(self.head.hash) {
            // The one before has another hash than it had; at the start there is none before.
            return Err(Broken { n: self.head.n.max(self.first), why: CHANGED });
        }
        self.reach(Head { n, hash: hash_of(line) })
    }

    /// All records were there.
    ///
    /// # Errors
    /// The chain went on.
    pub fn finish(&self) -> Result<Intact, Broken> {
        match self.known.front() {
            Some(_) => Err(Broken { n: self.head.n + 1, why: MISSING }),
            None => Ok(Intact { first: self.first, head: self.head }),
        }
    }

    /// The hash and number that the walk is at.
    pub fn head(&self) -> Head {
        self.head
    }

    fn reach(&mut self, head: Head) -> Result<(), Broken> {
        self.head = head;
        while let Some(known) = self.known.front().filter(|known| known.n == head.n) {
            if known.hash != head.hash {
                return Err(Broken { n: head.n, why: CHANGED });
            }
            self.known.pop_front();
        }
        Ok(())
    }
}

impl Head {
    /// What a mark says of the record before its block.
    pub fn before(mark: &Mark) -> Self {
        Self { n: mark.first.saturating_sub(1), hash: mark.previous }
    }

    /// As people note it: number and hash.
    pub fn parse(text: &str) -> Option<Self> {
        let (n, hash) = text.split_once(':')?;
        let hash: Hash = from_hex(hash)?;
        Some(Self { n: n.parse().ok()?, hash })
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.n, super::chain::hex(&self.hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::{Chain, Limits, Write};
    use crate::audit::{Actor, Record, Verb};

    #[test]
    fn a_chain_that_nobody_touched_is_intact() {
        let (lines, chain) = chain(2000);
        assert_eq!(verify(&lines, &chain), Ok(Intact { first: 1, head: chain.head() }));
    }

    #[test]
    fn a_record_that_was_changed_taken_out_or_put_in_is_named() {
        for n in [1, 2, 7, 19, 20] {
            let (mut lines, chain) = chain(20);
            let at = n as usize - 1;
            let text = String::from_utf8(lines[at].1.clone()).expect("text");
            lines[at].1 = text.replace("lamp", "lomp").into_bytes();
            assert_eq!(verify(&lines, &chain), Err(Broken { n, why: CHANGED }));
            lines.remove(at);
            assert_eq!(verify(&lines, &chain), Err(Broken { n, why: MISSING }));
            lines.insert(at, (n, b"{}".to_vec()));
            assert_eq!(verify(&lines, &chain), Err(Broken { n, why: UNREADABLE }));
        }
    }

    #[test]
    fn two_records_that_changed_places_are_caught() {
        let (mut lines, chain) = chain(20);
        let (a, b) = (lines[4].1.clone(), lines[5].1.clone());
        (lines[4].1, lines[5].1) = (b, a);
        assert_eq!(verify(&lines, &chain), Err(Broken { n: 5, why: CHANGED }));
    }

    #[test]
    fn a_space_more_is_a_change() {
        let (mut lines, chain) = chain(3);
        lines[1].1.push(b' ');
        assert_eq!(verify(&lines, &chain), Err(Broken { n: 2, why: CHANGED }));
    }

    #[test]
    fn a_chain_that_lost_its_oldest_block_is_proved_from_its_new_start() {
        let (mut lines, mut chain) = chain(3000);
        chain.forget_oldest();
        lines.drain(..1024);
        let intact = verify(&lines, &chain).expect("whole from there on");
        assert_eq!((intact.first, intact.head.n), (1025, 3000));
    }

    #[test]
    fn a_chain_that_was_written_anew_differs_from_what_was_noted() {
        let noted = chain(10).1.head();
        let (lines, chain) = chain_of(20, "others");
        let mut verifier = Verifier::new(chain.start());
        verifier.expect(Head::parse(&noted.to_string()).expect("as it is shown")).expect("later");
        let walked = lines.iter().try_for_each(|(n, line)| verifier.walk(*n, line));
        assert_eq!(walked, Err(Broken { n: 10, why: CHANGED }));
    }

    fn chain(count: u64) -> (Vec<(u64, Vec<u8>)>, Chain) {
        chain_of(count, "lamp-1")
    }

    fn chain_of(count: u64, object: &str) -> (Vec<(u64, Vec<u8>)>, Chain) {
        let mut chain = Chain::resume(Limits::default(), None, Vec::new());
        let record = Record::done(Actor::hub(), Verb::AddDevice, object);
        let writes = (0..count).flat_map(|at| chain.append(at, &record)).collect::<Vec<_>>();
        let lines = writes.into_iter().filter_map(|write| match write {
            Write::Entry(n, line) => Some((n, line)),
            Write::Mark(_) | Write::Head(_) | Write::Forget(..) => None,
        });
        (lines.collect(), chain)
    }

    fn verify(lines: &[(u64, Vec<u8>)], chain: &Chain) -> Result<Intact, Broken> {
        let mut verifier = Verifier::new(chain.start());
        verifier.expect(chain.head())?;
        lines.iter().try_for_each(|(n, line)| verifier.walk(*n, line))?;
        verifier.finish()
    }
}
