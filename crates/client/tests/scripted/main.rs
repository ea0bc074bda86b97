//! The client library against a server that does what a script says, on a real socket.

mod blocking;
mod driver;
mod server;
