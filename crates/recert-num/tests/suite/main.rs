//! Numbers against 50-digit arithmetic. One program, so that it is linked once.

mod million;
mod oracle;
