//! The audit trail as a stream, for whoever collects standard output.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::chain::content;
use super::{AuditSink, Chain, Entry, Ticket};

/// Lines written to a stream. Between starts the chain goes on from where the store was last told it stood, so the
/// lines written after that moment and before an abrupt end are followed by their numbers once more.
pub struct StreamSink<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    stream: W,
    chain: Chain,
    line: Vec<u8>,
}

impl<W: Write + Send> StreamSink<W> {
    /// Writes to `stream`, going on after `chain`.
    pub fn new(stream: W, chain: Chain) -> Self {
        Self { state: Mutex::new(State { stream, chain, line: Vec::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write + Send> AuditSink for StreamSink<W> {
    fn record(&self, entry: &Entry<'_>) -> io::Result<()> {
        let state = &mut *self.lock();
        state.line.clear();
        content(&mut state.line, entry);
        let link = state.chain.complete(&mut state.line);
        state.stream.write_all(&state.line)?;
        state.stream.flush()?;
        state.chain.advance(link);
        Ok(())
    }

    fn queue(&self, entry: &Entry<'_>) -> Ticket {
        Ticket::settled(&self.record(entry)) // Whoever reads the stream sees each line as it comes.
    }

    fn settle(&self, ticket: &Ticket) -> io::Result<()> {
        ticket.outcome().unwrap_or(Ok(()))
    }

    fn synced_head(&self) -> io::Result<(u64, [u8; 32])> {
        let state = self.lock();
        Ok((state.chain.number, state.chain.link)) // Whether the reader keeps it is the reader's business.
    }

    fn reopen(&self) -> io::Result<()> {
        Ok(())
    }
}
