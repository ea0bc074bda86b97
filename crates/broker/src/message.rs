//! One application message on its way through the broker: borrowed while it is routed, owned once it has to wait.
//!
//! Both forms carry exactly what a subscriber may see and what routing needs. Topic alias and subscription
//! identifiers are gone, and the expiry interval has become a moment, so that waiting time counts by itself.

use std::sync::Arc;

use longwire_proto::QoS;
use longwire_proto::property::{Properties, Property};

use crate::address::SessionRef;

/// Milliseconds since 1970. The caller's clock; it may be advanced from one wall-clock reading by a monotonic one.
pub type Millis = u64;

/// A moment that never comes.
pub const NEVER: Millis = u64::MAX;

/// A message borrowed from the packet, batch or record it came in.
#[derive(Clone, Copy, Debug)]
pub struct MessageView<'a> {
    /// The session that published it; used for No Local `[MQTT-3.8.3-3]`.
    pub publisher: SessionRef,
    /// Client id of the publisher, for No Local beyond the life of its session; empty for the broker itself.
    pub publisher_id: &'a str,
    /// QoS of the publication.
    pub qos: QoS,
    /// RETAIN of the publication.
    pub retain: bool,
    /// When it expires, or [`NEVER`].
    pub expires_at: Millis,
    /// Topic name, never empty.
    pub topic: &'a str,
    /// Properties a subscriber receives unchanged, in their order `[MQTT-3.3.2-18]`.
    pub properties: Properties<'a>,
    /// Payload.
    pub payload: &'a [u8],
}

impl MessageView<'_> {
    /// True once the message may not be delivered any more `[MQTT-3.3.2-5]`.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires_at <= now
    }

    /// Seconds left to announce `[MQTT-3.3.2-6]`, rounded up so that a living message never says 0;
    /// `None` if it does not expire.
    pub fn expiry_secs_left(&self, now: Millis) -> Option<u32> {
        if self.expires_at == NEVER {
            return None;
        }
        let left = self.expires_at.saturating_sub(now).div_ceil(1_000);
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Bytes of content, as the bounds of queues and stores count them.
    pub fn len(&self) -> usize {
        self.publisher_id.len() + self.topic.len() + self.properties.as_bytes().len() + self.payload.len()
    }

    /// True if there is no content at all, which cannot happen: a topic has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An owned copy that many may share.
    pub fn to_message(&self) -> Arc<Message> {
        let mut content = Vec::with_capacity(self.len());
        let head = self.write_content(&mut content);
        Arc::new(Message { head, content: content.into_boxed_slice() })
    }

    /// Appends the content to `content` and returns the head that finds it again.
    pub(crate) fn write_content(&self, content: &mut Vec<u8>) -> Head {
        content.extend_from_slice(self.publisher_id.as_bytes());
        content.extend_from_slice(self.topic.as_bytes());
        content.extend_from_slice(self.properties.as_bytes());
        content.extend_from_slice(self.payload);
        Head {
            publisher: self.publisher,
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
            publisher_id_bytes: self.publisher_id.len() as u16,
            topic_bytes: self.topic.len() as u16,
            property_bytes: self.properties.as_bytes().len() as u32,
        }
    }
}

/// Everything about a message but its content, with the lengths that cut the content into parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) publisher: SessionRef,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) expires_at: Millis,
    pub(crate) publisher_id_bytes: u16,
    pub(crate) topic_bytes: u16,
    pub(crate) property_bytes: u32,
}

impl Head {
    /// The message whose content is `content`, as [`MessageView::write_content`] wrote it.
    pub(crate) fn view<'a>(&self, content: &'a [u8]) -> MessageView<'a> {
        let (publisher_id, rest) = content.split_at(usize::from(self.publisher_id_bytes));
        let (topic, rest) = rest.split_at(usize::from(self.topic_bytes));
        let (properties, payload) = rest.split_at(self.property_bytes as usize);
        MessageView {
            publisher: self.publisher,
            publisher_id: text(publisher_id),
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
            topic: text(topic),
            properties: Properties::from_checked(properties),
            payload,
        }
    }
}

/// Text that was a `str` when it was written.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("content is cut where it was joined, so its text is still text")
}

/// An owned message.
#[derive(Debug)]
pub struct Message {
    head: Head,
    content: Box<[u8]>,
}

impl Message {
    /// A message from stored parts; `None` if they do not fit together.
    pub(crate) fn from_parts(head: Head, content: &[u8]) -> Option<Message> {
        let (_, rest) = content.split_at_checked(usize::from(head.publisher_id_bytes))?;
        let (_, rest) = rest.split_at_checked(usize::from(head.topic_bytes))?;
        rest.split_at_checked(head.property_bytes as usize)?;
        let texts = &content[..usize::from(head.publisher_id_bytes) + usize::from(head.topic_bytes)];
        let (publisher_id, topic) = texts.split_at(usize::from(head.publisher_id_bytes));
        std::str::from_utf8(publisher_id).ok()?;
        std::str::from_utf8(topic).ok()?;
        Some(Message { head, content: content.into() })
    }

    /// The same message, of a publisher whose session lives elsewhere by now.
    pub fn with_publisher(&self, publisher: SessionRef) -> Message {
        Message { head: Head { publisher, ..self.head }, content: self.content.clone() }
    }

    /// The message as everything that routes or delivers reads it.
    pub fn view(&self) -> MessageView<'_> {
        self.head.view(&self.content)
    }

    /// Bytes of content.
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// True if there is no content at all, which cannot happen: a topic has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }
}

/// True for the properties of a publication that subscribers receive as they are. The expiry interval travels as a
/// moment; alias and subscription identifiers belong to one hop `[MQTT-3.3.4-6]`, the will delay to the will.
pub(crate) fn is_forwarded(property: &Property<'_>) -> bool {
    !matches!(
        property,
        Property::TopicAlias(_)
            | Property::MessageExpiryInterval(_)
            | Property::SubscriptionIdentifier(_)
            | Property::WillDelayInterval(_)
    )
}
