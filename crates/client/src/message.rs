//! What travels: messages received, messages to publish, and filters to subscribe to, all owned.

use longwire_proto::packet::{PacketId, Publish, SubscribeOptions};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{QoS, client as machine};

use crate::acknowledge::Acknowledgement;

/// A message from the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// QoS of this delivery.
    pub qos: QoS,
    /// It was stored before the subscription (or, with Retain As Published, published as retained).
    pub retain: bool,
    /// It may have been delivered before.
    pub dup: bool,
    /// Packet id; there with QoS 1 and 2.
    pub packet_id: Option<PacketId>,
    /// Properties; empty before 5.0.
    pub properties: PropertiesBuf,
}

impl Message {
    /// The payload as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.payload)
    }

    /// The properties, to be looked up by name.
    pub fn properties(&self) -> Properties<'_> {
        self.properties.as_properties()
    }

    pub(crate) fn from_packet(publish: &Publish<'_>) -> Self {
        let mut properties = PropertiesBuf::new();
        properties.extend_raw(publish.properties);
        Message {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            properties,
        }
    }
}

/// A message on its way to the application, with the right to acknowledge it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) acknowledgement: Acknowledgement,
}

/// A message to publish.
///
/// ```
/// use longwire_client::{Property, Publication, QoS};
///
/// let publication = Publication::new("kitchen/7/temperature", "21.5")
///     .qos(QoS::AtLeastOnce)
///     .retain(true)
///     .property(Property::MessageExpiryInterval(60));
/// # let _ = publication;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    topic: String,
    payload: Vec<u8>,
    qos: QoS,
    retain: bool,
    properties: PropertiesBuf,
}

impl Publication {
    /// A message of QoS 0 that is not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Publication {
            topic: topic.into(),
            payload: payload.into(),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: PropertiesBuf::new(),
        }
    }

    /// The QoS.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// Whether the server keeps it for later subscribers; with an empty payload, removes what it kept.
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// Adds a property. 5.0 only.
    pub fn property(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    /// Adds properties in their wire form. 5.0 only.
    pub fn properties(mut self, properties: Properties<'_>) -> Self {
        self.properties.extend_raw(properties);
        self
    }

    pub(crate) fn as_machine(&self) -> machine::Publication<'_> {
        machine::Publication {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            retain: self.retain,
            properties: self.properties.as_properties(),
        }
    }
}

/// Filters to subscribe to by one request.
///
/// ```
/// use longwire_client::{QoS, Subscription};
///
/// // One filter, or several:
/// let one = Subscription::from(("kitchen/#", QoS::AtLeastOnce));
/// let several = Subscription::from([("kitchen/#", QoS::AtLeastOnce), ("hall/+/door", QoS::AtMostOnce)]);
/// // The long form, with what 5.0 offers:
/// let marked = Subscription::new().filter("kitchen/#", QoS::ExactlyOnce).identifier(7);
/// # let _ = (one, several, marked);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscription {
    pub(crate) filters: Vec<(String, SubscribeOptions)>,
    pub(crate) properties: PropertiesBuf,
}

impl Subscription {
    /// No filter yet; a request needs at least one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a filter with plain options.
    pub fn filter(self, filter: impl Into<String>, qos: QoS) -> Self {
        self.filter_with(filter, SubscribeOptions::with_qos(qos))
    }

    /// Adds a filter with all options. Anything but the QoS is 5.0 only.
    pub fn filter_with(mut self, filter: impl Into<String>, options: SubscribeOptions) -> Self {
        self.filters.push((filter.into(), options));
        self
    }

    /// Has the server mark the messages of these filters with this number, 1 to 268,435,455. 5.0 only.
    pub fn identifier(self, identifier: u32) -> Self {
        self.property(Property::SubscriptionIdentifier(identifier))
    }

    /// Adds a property. 5.0 only.
    pub fn property(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }
}

impl From<(&str, QoS)> for Subscription {
    fn from((filter, qos): (&str, QoS)) -> Self {
        Subscription::new().filter(filter, qos)
    }
}

impl<const N: usize> From<[(&str, QoS); N]> for Subscription {
    fn from(filters: [(&str, QoS); N]) -> Self {
        Subscription::from(filters.as_slice())
    }
}

impl From<&[(&str, QoS)]> for Subscription {
    fn from(filters: &[(&str, QoS)]) -> Self {
        let add =
            |subscription: Subscription, (filter, qos): &(&str, QoS)| subscription.filter(*filter, *qos);
        filters.iter().fold(Subscription::new(), add)
    }
}
