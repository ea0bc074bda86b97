//! Where one scene plays: the broker's address, names that nobody else uses, and the door for its connections.
//!
//! Every run of a scene has its own client ids and topics, so that scenes run side by side and twice. What a
//! scene leaves behind in the broker (kept sessions, retained messages) is swept away after it.

use std::collections::{BTreeSet, HashMap};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use longwire_proto::packet::{Connect, Packet, Will};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{QoS, Version, encode};

use crate::Settings;
use crate::failure::{Check, Failure};
use crate::message::Message;
use crate::peer::Peer;
use crate::transcript::Transcript;

/// How long a scene waits for something that must come; generous, because nobody waits when all is well.
const PATIENCE: Duration = Duration::from_secs(10);
/// Session expiry of sessions that a scene keeps, seconds.
const KEEP_SECS: u32 = 300;

/// Kept sessions and retained topics that are still in the broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leftovers(Arc<Mutex<LeftoverNames>>);

#[derive(Debug, Default)]
struct LeftoverNames {
    clients: BTreeSet<String>,
    topics: BTreeSet<String>,
}

impl Leftovers {
    /// A topic that holds a retained message now.
    pub(crate) fn retained(&self, topic: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).topics.insert(topic.to_owned());
    }

    fn session(&self, client_id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clients.insert(client_id.to_owned());
    }
}

/// One run of one scene in one version.
pub(crate) struct Stage<'a> {
    /// Where to connect, and how long this broker waits for things.
    pub(crate) settings: &'a Settings,
    /// The version its connections speak unless they say otherwise.
    pub(crate) version: Version,
    /// Everything that happened.
    pub(crate) transcript: Transcript,
    tag: String,
    leftovers: Leftovers,
    dialled: Mutex<HashMap<String, u32>>,
}

impl<'a> Stage<'a> {
    /// A fresh stage.
    pub(crate) fn new(settings: &'a Settings, version: Version) -> Self {
        Stage {
            settings,
            version,
            transcript: Transcript::new(),
            tag: unused_tag(),
            leftovers: Leftovers::default(),
            dialled: Mutex::default(),
        }
    }

    /// Whether this run speaks 5.0.
    pub(crate) fn v5(&self) -> bool {
        self.version == Version::V5
    }

    /// A topic (or filter) below this run's own first level.
    pub(crate) fn topic(&self, below: &str) -> String {
        format!("scene{}/{below}", self.tag)
    }

    /// The share `group` of a filter below this run's own first level.
    pub(crate) fn shared(&self, group: &str, below: &str) -> String {
        format!("$share/{group}{}/{}", self.tag, self.topic(below))
    }

    /// This run's own first level.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// The client id behind a name of this scene.
    pub(crate) fn client_id(&self, name: &str) -> String {
        format!("{}{name}", self.tag)
    }

    /// A connection that has said nothing yet.
    pub(crate) fn dial(&self, name: &str) -> Check<Peer> {
        self.dial_as(name, self.version)
    }

    /// A connected client with a clean session that ends with its connection.
    pub(crate) fn connect(&self, name: &str) -> Check<Peer> {
        self.login(name).open()
    }

    /// A connected client that is subscribed to this filter.
    pub(crate) fn subscriber(&self, name: &str, filter: &str, qos: u8) -> Check<Peer> {
        let mut peer = self.connect(name)?;
        peer.subscribe(filter, qos)?;
        Ok(peer)
    }

    /// A CONNECT to be described further.
    pub(crate) fn login(&self, name: &str) -> Login<'_> {
        Login {
            stage: self,
            name: name.to_owned(),
            id: self.client_id(name),
            version: self.version,
            clean: true,
            keep_alive_secs: 60,
            will: None,
            properties: PropertiesBuf::new(),
        }
    }

    /// How late a timer of the broker may fire; some brokers look at their clocks every few seconds only.
    pub(crate) fn timer_slack(&self) -> Duration {
        Duration::from_millis(if self.settings.lenient { 6500 } else { 2500 })
    }

    /// Lets time pass.
    pub(crate) fn sleep_ms(&self, millis: u64) {
        self.transcript.note("(scene)", &format!("waits {millis} ms"));
        std::thread::sleep(Duration::from_millis(millis));
    }

    /// Ends the sessions and clears the retained messages that the scene left; failures here prove nothing.
    pub(crate) fn sweep(&self) {
        let left = std::mem::take(&mut *self.leftovers.0.lock().unwrap_or_else(PoisonError::into_inner));
        for client_id in &left.clients {
            if let Ok(peer) = self.login("sweeper").id(client_id).open() {
                peer.disconnect();
            }
        }
        if left.topics.is_empty() {
            return;
        }
        if let Ok(mut peer) = self.connect("sweeper") {
            for topic in &left.topics {
                peer.publish(&Message::new(topic, "").retain());
            }
            peer.disconnect();
        }
    }

    fn dial_as(&self, name: &str, version: Version) -> Check<Peer> {
        let stream = TcpStream::connect_timeout(&self.settings.address, PATIENCE)
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .map_err(|error| Failure::Unreachable(format!("{}: {error}", self.settings.address)))?;
        let name = self.numbered(name);
        let (lenient, log, left) = (self.settings.lenient, self.transcript.clone(), self.leftovers.clone());
        Ok(Peer::new(&name, version, stream, PATIENCE, lenient, log, left))
    }

    /// The second connection under one name is called `name#2` in the transcript.
    fn numbered(&self, name: &str) -> String {
        let mut dialled = self.dialled.lock().unwrap_or_else(PoisonError::into_inner);
        let count = dialled.entry(name.to_owned()).or_default();
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}#{count}") }
    }
}

/// A CONNECT under construction.
#[derive(Clone)]
pub(crate) struct Login<'a> {
    stage: &'a Stage<'a>,
    name: String,
    id: String,
    version: Version,
    clean: bool,
    keep_alive_secs: u16,
    will: Option<Message>,
    properties: PropertiesBuf,
}

impl Login<'_> {
    /// Resumes or creates a session that outlives its connection.
    pub(crate) fn keep(self) -> Self {
        self.clean(false).expiry(KEEP_SECS)
    }

    /// Clean session (3.1.1) or Clean Start (5.0).
    pub(crate) fn clean(mut self, clean: bool) -> Self {
        self.clean = clean;
        self
    }

    /// 5.0: session expiry in seconds.
    pub(crate) fn expiry(self, secs: u32) -> Self {
        self.with(Property::SessionExpiryInterval(secs))
    }

    /// 5.0: how many QoS 1 and 2 messages may be open towards this client.
    pub(crate) fn receive_maximum(self, count: u16) -> Self {
        self.with(Property::ReceiveMaximum(count))
    }

    /// Keep-alive in seconds.
    pub(crate) fn keep_alive(mut self, secs: u16) -> Self {
        self.keep_alive_secs = secs;
        self
    }

    /// A will; its properties are the will properties.
    pub(crate) fn will(mut self, will: Message) -> Self {
        self.will = Some(will);
        self
    }

    /// Another client id than the one behind the name.
    pub(crate) fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// Another version than that of the run.
    pub(crate) fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// One more 5.0 property.
    pub(crate) fn with(mut self, property: Property<'_>) -> Self {
        self.properties.push(property);
        self
    }

    /// What its client is called in this scene.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Connects and expects to be accepted.
    pub(crate) fn open(&self) -> Check<Peer> {
        let mut peer = self.knock()?;
        peer.expect_connack()?;
        Ok(peer)
    }

    /// Connects and expects Session Present to be this.
    pub(crate) fn open_with_session(&self, present: bool) -> Check<Peer> {
        let peer = self.open()?;
        if peer.connack.session_present == present {
            return Ok(peer);
        }
        Err(peer.differs(
            format_args!("CONNACK with session present {}", u8::from(present)),
            format_args!("session present {}", u8::from(!present)),
        ))
    }

    /// Sends CONNECT and reads nothing.
    pub(crate) fn knock(&self) -> Check<Peer> {
        let mut peer = self.stage.dial_as(&self.name, self.version)?;
        if !self.clean {
            self.stage.leftovers.session(&self.id);
        }
        self.with_packet(|connect| peer.send(connect));
        Ok(peer)
    }

    /// The wire form of the CONNECT.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.with_packet(|connect| {
            encode::packet(connect, self.version, &mut bytes).expect("scenes describe encodable CONNECTs");
        });
        bytes
    }

    fn with_packet(&self, use_it: impl FnOnce(&Packet<'_>)) {
        let v5 = self.version == Version::V5;
        let shown = |properties| if v5 { properties } else { Properties::EMPTY };
        let will = self.will.as_ref().map(|will| Will {
            qos: QoS::from_bits(will.qos).expect("scenes name QoS 0, 1 or 2"),
            retain: will.retain,
            topic: &will.topic,
            payload: &will.payload,
            properties: shown(will.props()),
        });
        if let Some(will) = self.will.as_ref().filter(|will| will.retain) {
            self.stage.leftovers.retained(&will.topic);
        }
        use_it(&Packet::Connect(Connect {
            version: self.version,
            bridge: false,
            clean_start: self.clean,
            keep_alive_secs: self.keep_alive_secs,
            client_id: &self.id,
            will,
            user_name: None,
            password: None,
            properties: shown(self.properties.as_properties()),
        }));
    }
}

/// Letters and digits that no other run has, here or in another process.
pub(crate) fn unused_tag() -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}p{:x}n{count:x}", since.as_millis() & 0xFFFF_FFFF, std::process::id())
}
