//! Which reader a message is for: the first stream whose filter matches its topic, or else the general one.
//!
//! Every reader has a bounded queue of its own. Neighbours: `shared` holds the streams, so that they can be added at any
//! time; the driver sends.

use longwire_proto::topic;
use tokio::sync::mpsc;

use crate::message::Delivery;

/// The way to one reader.
pub(crate) type Sender = mpsc::Sender<Delivery>;

#[derive(Debug)]
pub(crate) struct Routes {
    streams: Vec<(String, Sender)>,
    /// For what matches no stream; gone once the client has ended.
    general: Option<Sender>,
}

impl Routes {
    pub(crate) fn new(general: Sender) -> Self {
        Routes { streams: Vec::new(), general: Some(general) }
    }

    /// Adds a stream; it has no messages if the client has ended.
    pub(crate) fn add(&mut self, filter: String, sender: Sender) {
        if self.general.is_some() {
            self.streams.push((filter, sender));
        }
    }

    /// The reader for a topic. A stream whose reader is gone is none any more.
    pub(crate) fn find(&mut self, name: &str) -> Option<&Sender> {
        self.streams.retain(|(_, sender)| !sender.is_closed());
        let stream = self.streams.iter().find(|(filter, _)| {
            let filter = topic::shared(filter).map_or(filter.as_str(), |shared| shared.filter);
            topic::matches(filter, name)
        });
        stream.map(|(_, sender)| sender).or(self.general.as_ref())
    }

    /// There will be no further message.
    pub(crate) fn end(&mut self) {
        self.streams.clear();
        self.general = None;
    }
}
