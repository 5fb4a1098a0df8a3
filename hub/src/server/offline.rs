//! What is done on the data folder itself, while no hub runs on it: the first token, the proof of the
//! audit log.

use std::ops::ControlFlow;
use std::path::Path;

use super::ServeError;
use crate::access::{CredentialId, Token, directory};
use crate::audit::{Actor, Broken, Head, Intact, Limits, Mark, Record, Verb, Verifier};
use crate::broker::audit::{Stored, operations};
use crate::broker::credentials::person;
use crate::broker::registry::{json, operation};
use crate::clock::Now;
use crate::store::{self, Operation, Records, Store, StoreError, Table};

/// Issues a token into the store of a hub that isn't running.
///
/// # Errors
/// The folder can't be opened; a hub that runs on it is one reason.
pub fn issue_token_offline(
    data_folder: &Path,
    role: &str,
    name: &str,
) -> Result<(CredentialId, Token), ServeError> {
    let now = Now::read();
    let mut opened = open(data_folder, now)?;
    let token = Token::generate();
    let id = directory::credential_id(&token.hash());
    let credential = json(&person(role, name, now));
    let record = Record::done(Actor::offline(), Verb::IssueToken, id.as_str())
        .detail(format!("{} {name}", role));
    let issued = operation(Table::Token, &token.hash().0, Some(credential));
    commit_audited(&mut opened.store, now, vec![issued], &[record])?;
    Ok((id, token))
}

/// Walks the audit log of a hub that isn't running; `noted` is a head that was shown once.
///
/// # Errors
/// The folder can't be opened or read.
pub fn verify_offline(
    data_folder: &Path,
    noted: Option<Head>,
) -> Result<Result<Intact, Broken>, ServeError> {
    let opened = open(data_folder, Now::read())?;
    Ok(verify(&*opened.store.records(), noted)?)
}

/// Opens the folder of a hub that isn't running, as it was left.
///
/// # Errors
/// A hub runs on it, it is damaged, or an import into it has not finished.
pub(super) fn open(data_folder: &Path, now: Now) -> Result<store::Opened, ServeError> {
    let settings = store::OpenSettings::new(data_folder.to_owned());
    let opened = store::open(&settings, now.unix_ms / 1000)?;
    if let Some(aside) = &opened.quarantined {
        // What begins empty here would hide from the next start that there was something.
        return Err(ServeError::SetAside { aside: aside.clone() });
    }
    super::transfer::refuse_unfinished(&opened.store, data_folder)?;
    Ok(opened)
}

/// Commits changes and the records that tell of them.
pub(super) fn commit_audited(
    store: &mut dyn Store,
    now: Now,
    mut changes: Vec<Operation>,
    records: &[Record],
) -> Result<(), StoreError> {
    let mut chain = Stored::read(&*store.records())?.chain(Limits::default());
    let writes = records.iter().flat_map(|record| chain.append(now.unix_ms, record));
    changes.extend(operations(writes.collect()));
    store.commit(&changes)
}

fn verify(
    records: &dyn Records,
    noted: Option<Head>,
) -> Result<Result<Intact, Broken>, StoreError> {
    let stored = Stored::read(records)?;
    let known = known(&stored, noted);
    let chain = stored.chain(Limits::default());
    let mut verifier = Verifier::new(chain.start());
    let mut walked = known.into_iter().try_for_each(|head| verifier.expect(head));
    records.visit(Table::Audit, &[], &mut |key, line| {
        if walked.is_ok() {
            // A key that is no number is a record that nobody wrote.
            let n = key.try_into().map_or(0, u64::from_be_bytes);
            walked = verifier.walk(n, line);
        }
        if walked.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(walked.and_then(|()| verifier.finish()))
}

fn known(stored: &Stored, noted: Option<Head>) -> Vec<Head> {
    let marks = stored.marks.iter().map(|mark: &Mark| Head::before(mark));
    marks.chain(stored.head).chain(noted).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::audit::Wanted;
    use crate::broker::{Broker, Settings};
    use crate::clock;
    use crate::metrics::Metrics;
    use crate::store::{MemoryStore, Writer, WriterSettings};
    use crate::twin::Rules;

    #[test]
    fn a_record_that_was_tampered_with_in_the_store_is_named() {
        let mut store = store_of(3000);
        let intact = verify(&*store.records(), None).expect("readable").expect("whole");
        assert_eq!((intact.first, intact.head.n), (1, 3000));

        let key = 1500_u64.to_be_bytes();
        let mut line = Vec::new();
        let read = store.records().visit(Table::Audit, &key, &mut |_, value| {
            line = value.to_vec();
            ControlFlow::Break(())
        });
        read.expect("readable");
        let text = String::from_utf8(line).expect("text").replace("operator", "viewer");
        let tampered = operation(Table::Audit, &key, Some(text.into_bytes().into()));
        store.commit(&[tampered]).expect("it takes all");

        let broken = verify(&*store.records(), None).expect("readable").expect_err("caught");
        assert_eq!(broken.to_string(), "record 1500 was changed");
    }

    #[test]
    fn records_that_were_cut_off_at_the_end_are_missed() {
        let mut store = store_of(10);
        let cut = operation(Table::Audit, &10_u64.to_be_bytes(), None);
        store.commit(&[cut]).expect("it takes all");
        let broken = verify(&*store.records(), None).expect("readable").expect_err("caught");
        assert_eq!(broken.to_string(), "record 10 is missing");
    }

    #[test]
    fn a_log_that_was_written_anew_differs_from_the_head_that_was_noted() {
        let noted = verify(&*store_of(10).records(), None).expect("readable").expect("whole").head;
        let mut store = store_of(4);
        let other = Record::done(Actor::hub(), Verb::RemoveDevice, "lamp-1");
        commit_audited(&mut store, Now::read(), vec![], &vec![other; 20]).expect("taken");
        let broken = verify(&*store.records(), Some(noted)).expect("readable");
        assert_eq!(broken.expect_err("caught").n, 10);
    }

    #[tokio::test]
    async fn what_retention_leaves_is_proved_also_after_a_restart() {
        let store = MemoryStore::default();
        let broker = hub_on(&store).await;
        for _ in 0..2100 {
            broker.audit(Now::read(), record()).expect("taken");
        }
        broker.audit_tick(Now::read());
        broker.audit_durably(Now::read(), record()).await.expect("on disk");
        let intact = verify(&*store.records(), None).expect("readable").expect("whole");
        assert_eq!((intact.first, intact.head.n), (1025, 2102), "one of them tells what went");
        drop(broker);

        let broker = hub_on(&store).await;
        broker.audit_durably(Now::read(), record()).await.expect("on disk");
        let intact = verify(&*store.records(), None).expect("readable").expect("whole");
        assert_eq!((intact.first, intact.head.n), (1025, 2103));
        let page = broker.audit_page(&Wanted {
            what: "forget".to_owned(),
            limit: 10,
            ..Wanted::default()
        });
        assert_eq!(page.expect("readable").records[0].object, "records 1 to 1024");
    }

    async fn hub_on(store: &MemoryStore) -> Arc<Broker> {
        let audit = Limits { records_max: 1024, ..Limits::default() };
        let settings = Settings { audit, ..Settings::default() };
        let (rules, metrics) = (Rules::with_built_in(vec![]), Arc::new(Metrics::new()));
        let restored = Broker::restore(settings, rules, metrics, store, Now::read());
        let (broker, _) = restored.expect("readable");
        let weak = Arc::downgrade(&broker);
        let on_commit = move |tickets| {
            if let Some(broker) = weak.upgrade() {
                broker.committed(tickets);
            }
        };
        let (store, settings) = (Box::new(store.clone()), WriterSettings::default());
        let writer = Writer::start(store, settings, clock::mono, on_commit, |_| {});
        broker.begin(writer.expect("a thread"), Now::read()).await.expect("the store takes it");
        broker
    }

    fn record() -> Record {
        Record::done(Actor::hub(), Verb::AddDevice, "lamp-1")
    }

    fn store_of(count: usize) -> MemoryStore {
        let mut store = MemoryStore::default();
        let record = Record::done(Actor::offline(), Verb::IssueToken, "id").detail("operator ann");
        commit_audited(&mut store, Now::read(), vec![], &vec![record; count]).expect("taken");
        store
    }
}
