//! Orders, with the secrets and the container that they made.

use model::{Absent, Container, ContainerSecret, Order, Secret};

use super::tables::{Answer, Tables, Tally};
use super::transaction::{Beside, Transaction};
use crate::Limit;

impl<T: Tables, B: Beside<T::Error>> Transaction<'_, T, B> {
    /// Adds an order with the secrets that were made, and the container they are in.
    pub(super) fn create_order(
        &mut self,
        order: &Order,
        secrets: &[(Secret, Vec<u8>)],
        container: Option<(&Container, &[ContainerSecret])>,
        limit: Limit,
    ) -> Answer<(), T> {
        self.require_room(&order.project, Tally::Orders, limit, order.created)?;
        self.witness()?;
        let project = self.ensure_project(&order.project)?;
        let mut made = Vec::with_capacity(secrets.len());
        for (secret, sealed) in secrets {
            made.push((secret.id, self.add_made_secret(project, secret, sealed)?));
        }
        if let Some((container, parts)) = container {
            let row = |part: &ContainerSecret| {
                let found = made.iter().find(|(id, _)| *id == part.secret);
                found.map(|(_, row)| *row).ok_or(Absent::Reference(part.secret))
            };
            let rows = parts.iter().map(row).collect::<Result<Vec<_>, _>>()?;
            self.insert_container(project, container, parts, &rows)?;
        }
        self.here.insert_order(project, order)
    }
}
