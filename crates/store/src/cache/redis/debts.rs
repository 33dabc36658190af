//! Room `store`: values that a tenant has changed or forgotten while Redis could not be told. They
//! are removed there before the tenant reads again, so that nothing old comes back.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use misy_core::TenantId;

/// Names kept for a tenant; with more of them everything of the tenant is removed.
const NAMES_MAX: usize = 32;

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Debt {
    Names(HashSet<String>),
    All,
}

/// What every tenant owes.
#[derive(Debug, Default)]
pub(super) struct Debts {
    /// Each with a number that tells it from what it was before.
    owed: Mutex<HashMap<TenantId, (Debt, u64)>>,
    any: AtomicBool,
}

impl Debts {
    fn owed(&self) -> MutexGuard<'_, HashMap<TenantId, (Debt, u64)>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, tenant: TenantId, name: String) {
        let mut owed = self.owed();
        let (debt, number) = owed.entry(tenant).or_insert_with(|| (Debt::Names(HashSet::new()), 0));
        *number += 1;
        if let Debt::Names(names) = debt {
            names.insert(name);
            if names.len() > NAMES_MAX {
                *debt = Debt::All;
            }
        }
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn add_all(&self, tenant: TenantId) {
        let mut owed = self.owed();
        let number = owed.get(&tenant).map_or(0, |(_, number)| *number);
        owed.insert(tenant, (Debt::All, number + 1));
        self.any.store(true, Ordering::Release);
    }

    /// What a tenant owes, and the number to settle it by.
    pub(super) fn of(&self, tenant: TenantId) -> Option<(Debt, u64)> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.owed().get(&tenant).cloned()
    }

    /// Forgets a debt, unless it has grown.
    pub(super) fn settle(&self, tenant: TenantId, number: u64) {
        let mut owed = self.owed();
        if owed.get(&tenant).is_some_and(|(_, now)| *now == number) {
            owed.remove(&tenant);
        }
        self.any.store(!owed.is_empty(), Ordering::Release);
    }

    pub(super) fn debtors(&self, at_most: usize) -> Vec<TenantId> {
        self.owed().keys().copied().take(at_most).collect()
    }
}

#[cfg(test)]
mod tests {
    use misy_core::id::TypedId;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_debt_that_grew_while_it_was_settled_stays() {
        let debts = Debts::default();
        debts.add(tenant(1), "a".to_owned());
        let (_, number) = debts.of(tenant(1)).expect("owed");
        debts.add(tenant(1), "b".to_owned());
        debts.settle(tenant(1), number);
        let (debt, number) = debts.of(tenant(1)).expect("still owed");
        assert_eq!(debt, Debt::Names(HashSet::from(["a".to_owned(), "b".to_owned()])));
        debts.settle(tenant(1), number);
        assert_eq!(debts.of(tenant(1)), None);
    }

    #[test]
    fn many_names_become_everything_of_that_tenant_and_of_no_other() {
        let debts = Debts::default();
        debts.add(tenant(2), "a".to_owned());
        for number in 0..=NAMES_MAX {
            debts.add(tenant(1), number.to_string());
        }
        assert_eq!(debts.of(tenant(1)).map(|(debt, _)| debt), Some(Debt::All));
        assert!(matches!(debts.of(tenant(2)), Some((Debt::Names(_), _))));
        assert_eq!(debts.debtors(10).len(), 2);
    }
}
