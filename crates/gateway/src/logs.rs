//! Logs of what passed: one line per call on standard output, and bounded, redacted tails of the journal
//! as JSON lines (contract 1.17). Neither is durable, and neither can fail or delay a request.

pub mod calls;
pub mod sink;
pub mod tail;
