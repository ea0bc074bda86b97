//! The client library against a server that does what a script says, on a real socket.

mod acknowledging;
mod blocking;
mod closing;
mod driver;
mod identity;
mod requesting;
mod server;
