//! One connection on which every feature is tried, and what its CONNACK says about limits.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use longwire_client::{
    AcknowledgeError, Client, ConnectError, Connected, Message, Messages, PropertiesBuf, Property,
    Publication, QoS, ReasonCode, SubscribeError, Subscription, Version,
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use super::finding::{Findings, Outcome};
use crate::server::ServerArgs;

/// How long `$SYS` may take: what is retained comes at once.
const SYS_PATIENCE: Duration = Duration::from_secs(1);
/// A subscription identifier to be seen again.
const IDENTIFIER: u32 = 268_435_455;

/// Tries everything in this version.
///
/// # Errors
/// The connection cannot be made once more, or broke; the text says why.
pub(super) async fn run(
    server: &ServerArgs,
    patience: Duration,
    version: Version,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut options =
        server.options(patience)?.version(version).keep_alive(Duration::from_secs(u16::MAX.into()));
    if version == Version::V5 {
        options = options
            .session_expiry(Duration::MAX)
            .connect_property(Property::RequestResponseInformation(true));
    }
    let (client, messages) = Client::connect(options).await.map_err(|error| match error {
        ConnectError::Options(error) => error.to_string(),
        ConnectError::Failed(cause) => cause.to_string(),
    })?;
    let connected = client.connected().await.map_err(|cause| cause.to_string())?;
    let mut trial = Trial::new(&client, messages, &connected, version, patience);
    trial.tell_name(findings).await;
    tell_limits(&connected, version, findings);
    trial.tell_features(findings).await;
    let mut farewell = PropertiesBuf::new();
    if version == Version::V5 {
        farewell.push(Property::SessionExpiryInterval(0));
    }
    client.disconnect_with(ReasonCode::Success, farewell.as_properties()).await;
    Ok(())
}

/// What CONNACK says; before 5.0 it says nothing.
fn tell_limits(connected: &Connected, version: Version, findings: &mut Findings) {
    if version < Version::V5 {
        return;
    }
    let limits = &connected.limits;
    let told = |number: u32, most: u32, unit: &str| {
        if number == most {
            (Value::Null, "no limit told".to_owned())
        } else {
            (json!(number), format!("{number} {unit}"))
        }
    };
    let (value, text) =
        told(limits.receive_maximum.into(), u16::MAX.into(), "messages of QoS 1 and 2 at a time");
    findings.add("receive maximum", "receive_maximum", value, text);
    let (value, text) = told(limits.packet_size_max, u32::MAX, "bytes");
    findings.add("largest packet", "maximum_packet_size", value, text);
    let aliases = limits.topic_alias_maximum;
    findings.add("topic aliases", "topic_alias_maximum", json!(aliases), aliases.to_string());
    let (value, text) = told(connected.keep_alive_secs.into(), u16::MAX.into(), "s at most");
    findings.add("keep-alive", "server_keep_alive", value, text);
    // A broker that shortens the session that was asked for says so.
    let expiry = limits.session_expiry_secs.unwrap_or(u32::MAX);
    let (value, text) = told(expiry, u32::MAX, "s at most");
    findings.add("session expiry", "session_expiry_interval", value, text);
    let response = connected.properties.as_properties().response_information();
    findings.add(
        "response information",
        "response_information",
        json!(response),
        response.map_or("none", |information| information),
    );
}

/// The connection and the topics of a trial.
struct Trial<'a> {
    client: &'a Client,
    messages: Messages,
    connected: &'a Connected,
    version: Version,
    patience: Duration,
    /// Beginning of topics that nobody else has.
    base: String,
}

impl<'a> Trial<'a> {
    fn new(
        client: &'a Client,
        messages: Messages,
        connected: &'a Connected,
        version: Version,
        patience: Duration,
    ) -> Self {
        let base = format!("longwire-probe/{:016x}", RandomState::new().hash_one(0));
        Trial { client, messages, connected, version, patience, base }
    }

    /// Who it is, if `$SYS` tells.
    async fn tell_name(&mut self, findings: &mut Findings) {
        let outcome = match self.subscribe("$SYS/broker/#", None).await {
            Ok(()) => {
                let mut came = false;
                let deadline = Instant::now() + SYS_PATIENCE.min(self.patience);
                while let Some(message) = self.next(deadline).await {
                    came = true;
                    if message.topic == "$SYS/broker/version" {
                        findings.is_called(message.text().into_owned());
                        break;
                    }
                }
                if came { Outcome::Works } else { Outcome::Fails("nothing came within a second".to_owned()) }
            }
            Err(why) => Outcome::Fails(why),
        };
        let _ = self.client.unsubscribe(&["$SYS/broker/#"]).await;
        findings.tried("$SYS topics", "sys", outcome);
    }

    async fn tell_features(&mut self, findings: &mut Findings) {
        let limits = self.connected.limits;
        self.tell_qos(findings).await;
        let outcome = if limits.retain_available { self.retain().await } else { announced() };
        findings.tried("retained messages", "retain", outcome);
        let outcome = if limits.wildcards_available {
            self.delivers("+/wildcard", "one/wildcard", false).await
        } else {
            announced()
        };
        findings.tried("wildcards", "wildcards", outcome);
        let outcome =
            if limits.shared_available { self.delivers("shared", "shared", true).await } else { announced() };
        findings.tried("shared subscriptions", "shared_subscriptions", outcome);
        if self.version == Version::V5 {
            let outcome =
                if limits.subscription_identifiers_available { self.identifies().await } else { announced() };
            findings.tried("subscription identifiers", "subscription_identifiers", outcome);
        }
    }

    /// Each QoS that a message keeps from publisher to subscriber.
    async fn tell_qos(&mut self, findings: &mut Findings) {
        let topic = format!("{}/qos", self.base);
        let mut kept = Vec::new();
        let mut why = None;
        match self.subscribe(&topic, None).await {
            Err(refused) => why = Some(refused),
            Ok(()) => {
                for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    match self.publish(&topic, qos, false, "qos").await {
                        Err(refused) => why = why.or(Some(format!("QoS {}: {refused}", qos as u8))),
                        Ok(()) => match self.message(&topic).await {
                            Some(message) if message.qos == qos => kept.push(qos as u8),
                            Some(message) => {
                                why = why
                                    .or(Some(format!("QoS {} arrives as {}", qos as u8, message.qos as u8)));
                            }
                            None => why = why.or(Some(format!("QoS {} does not arrive", qos as u8))),
                        },
                    }
                }
            }
        }
        let mut text = kept.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        if let Some(why) = why {
            text = format!("{}; {why}", if text.is_empty() { "none" } else { &text });
        }
        findings.add("QoS", "qos", json!(kept), text);
    }

    /// Retains a message, subscribes, and removes it again.
    async fn retain(&mut self) -> Outcome {
        let topic = format!("{}/retained", self.base);
        let qos = self.connected.limits.qos_max.min(QoS::AtLeastOnce);
        if let Err(why) = self.publish(&topic, qos, true, "retained").await {
            return Outcome::Fails(why);
        }
        let outcome = match self.subscribe(&topic, None).await {
            Err(why) => Outcome::Fails(why),
            Ok(()) => match self.message(&topic).await {
                Some(message) if message.retain => Outcome::Works,
                _ => Outcome::Fails("what was retained did not come".to_owned()),
            },
        };
        match self.publish(&topic, qos, true, "").await {
            Ok(()) => outcome,
            Err(why) => Outcome::Fails(format!("'{topic}' could not be removed again: {why}")),
        }
    }

    /// Whether a message on a topic comes through a filter, both below the base.
    async fn delivers(&mut self, filter: &str, topic: &str, shared: bool) -> Outcome {
        let filter = format!("{}{}/{filter}", if shared { "$share/longwire-probe/" } else { "" }, self.base);
        let topic = format!("{}/{topic}", self.base);
        match self.exchange(&filter, &topic).await {
            Ok(_) => Outcome::Works,
            Err(why) => Outcome::Fails(why),
        }
    }

    /// Whether a message names its subscription.
    async fn identifies(&mut self) -> Outcome {
        let topic = format!("{}/identified", self.base);
        match self.exchange(&topic, &topic).await {
            Err(why) => Outcome::Fails(why),
            Ok(message) if message.properties().subscription_identifiers().eq([IDENTIFIER]) => Outcome::Works,
            Ok(_) => Outcome::Fails("messages do not carry them".to_owned()),
        }
    }

    /// Subscribes, publishes, and returns what came.
    async fn exchange(&mut self, filter: &str, topic: &str) -> Result<Message, String> {
        let identifier = (filter == topic).then_some(IDENTIFIER);
        self.subscribe(filter, identifier).await?;
        self.publish(topic, QoS::AtMostOnce, false, "probe").await?;
        self.message(topic).await.ok_or_else(|| "the message did not come".to_owned())
    }

    async fn subscribe(&self, filter: &str, identifier: Option<u32>) -> Result<(), String> {
        let mut subscription = Subscription::new().filter(filter, QoS::ExactlyOnce);
        if let Some(identifier) = identifier.filter(|_| self.version == Version::V5) {
            subscription = subscription.identifier(identifier);
        }
        match timeout(self.patience, self.client.subscribe(subscription)).await {
            Err(_) => Err("the subscription was not answered".to_owned()),
            Ok(Err(SubscribeError::Refused { reason, .. })) => Err(spelled(reason)),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(_)) => Ok(()),
        }
    }

    async fn publish(&self, topic: &str, qos: QoS, retain: bool, payload: &str) -> Result<(), String> {
        let publication = Publication::new(topic, payload).qos(qos).retain(retain);
        let accepted = self.client.publish(publication).await.map_err(|error| error.to_string())?;
        match timeout(self.patience, accepted.acknowledged()).await {
            Err(_) => Err("the message was not acknowledged".to_owned()),
            Ok(Err(AcknowledgeError::Refused(reason))) => Err(spelled(reason)),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// The message on this topic, if it comes in time; others are passed over.
    async fn message(&mut self, topic: &str) -> Option<Message> {
        let deadline = Instant::now() + self.patience;
        loop {
            let message = self.next(deadline).await?;
            if message.topic == topic {
                return Some(message);
            }
        }
    }

    async fn next(&mut self, deadline: Instant) -> Option<Message> {
        timeout_at(deadline, self.messages.recv()).await.ok()?
    }
}

/// CONNACK says that there is no such thing.
fn announced() -> Outcome {
    Outcome::Fails("the broker says so when a client connects".to_owned())
}

fn spelled(reason: ReasonCode) -> String {
    format!("{} (0x{:02X})", reason.name(), reason as u8)
}
