//! The simulator: the real shards, the journal and the log of a broker in one thread, under clients who do what clients
//! do, from a seed. Time, threads, wires and the disk are data here; nothing else is replaced.
//!
//! # How a history is made
//!
//! A [`plan::Plan`] is drawn from a seed (or from the bytes of a fuzz input): how many shards, which limits, which
//! clients, and a list of decisions, each of them one thing that happens. A [`history::History`] carries them out on a
//! [`world::World`] and keeps a model of MQTT beside it, which knows only what clients can know: who subscribed since
//! when, what was published and acknowledged. In the end everybody comes back and reads, and then every session ends.
//!
//! # What may be reordered, and what may not
//!
//! - Mail between any two (worker to worker, worker to journal, journal to worker) keeps its order and is never lost;
//!   mail from different senders may overtake each other, and any letter may wait for any time.
//! - A worker takes some of its letters and reads some of its sockets, in any order of sockets. Its turn is cut in two:
//!   what others do between the halves finds the inputs taken and neither mail nor bytes gone out. Retained publications
//!   take their order and are posted in one step, as under the server's lock.
//! - The journal takes any number of letters into a block; a letter is never cut. The log completes blocks in their
//!   order, at any later time. What it completes is applied and answered in log order.
//! - Bytes of one connection arrive in order. A connection that ends may lose what was not read, from any byte on.
//!   A connection that was left for a newer one may end much later than that one begins.
//! - The clock stands still or jumps.
//!
//! # What is checked
//!
//! - At every step: bounds of `limits.rs`; no client that keeps the rules is accused. At every packet that a client
//!   gets: answers come in the order of what they answer; PUBACK, PUBREC, PUBREL, SUBACK and CONNACK only after the log
//!   holds what they promise; a QoS 2 message and its packet id stand in one block. A delivery is covered by a
//!   subscription, not older than it, unchanged, in its publisher's order, not delivered before, of the right QoS and
//!   identifiers, within Receive Maximum and Maximum Packet Size, not expired, not of a will that was taken back.
//! - When everything has settled: everything acknowledged has reached everybody whom it was promised to, and some member
//!   of each shared group; nobody waits for an answer; who was there saw as the last value of a topic what is retained.
//! - When all sessions have ended: no entry is left anywhere, and the log is empty.
//!
//! What needs a disk is not here yet: restarts, torn blocks, and what recovery makes of them.
//!
//! # Teeth
//!
//! With the feature `teeth`, faults are built into broker and journal, one or more for each rule of ARCHITECTURE.md;
//! `longwire_broker::teeth` lists them. `cargo xtask sim --teeth` lets one after the other bite and succeeds if each is
//! noticed within 200 seeds. Two records of one ticket in two blocks are noticed by looking at the blocks, since
//! nothing is lost without a disk to lose it.
//!
//! # How to read a failure
//!
//! The story of a shortened history has one line for each decision that did something, with its number in front: who,
//! what, and what arrived. Lines of workers, journal and log say who was allowed to go on; what is not there did not
//! happen. The last line is the promise that was broken, and where that is checked. "Everybody comes back" marks the end of the decisions.

#[cfg(feature = "teeth")]
pub mod biting;
mod choices;
pub mod client;
pub mod history;
mod kept;
mod model;
pub mod plan;
pub mod search;
pub mod shrink;
mod tap;
pub mod trial;
pub mod world;
