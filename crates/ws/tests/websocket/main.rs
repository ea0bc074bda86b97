//! Both sides of a WebSocket against each other, and against what a rude peer sends.

mod rules;
mod streams;
mod upgrade;
