//! Requests and their answers.

use std::time::Duration;

use crate::server::{Link, PATIENCE, Seen, Server};
use longwire_client::{
    Client, Message, Messages, Options, PropertiesBuf, Property, Publication, QoS, ReasonCode, RequestError,
    Version,
};
use longwire_proto::packet::{Ack, Packet, PacketId, Publish};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// An asking client, and the connection of its server.
struct Scene {
    link: Link,
    client: Client,
    messages: Messages,
}

type Asking = JoinHandle<Result<Message, RequestError>>;

impl Scene {
    async fn new(properties: &[Property<'_>]) -> Self {
        let server = Server::new().await;
        let connecting = tokio::spawn(Client::connect(server.options()));
        let (link, _) = server.welcome_with(false, properties).await;
        let (client, messages) = connecting.await.expect("no panic").expect("accepted");
        Scene { link, client, messages }
    }

    fn ask(&self, question: &str, qos: QoS, limit: Duration) -> Asking {
        let (client, question) = (self.client.clone(), Publication::new("ask", question).qos(qos));
        tokio::spawn(async move { client.request(question, limit).await })
    }

    /// Grants the subscription to the topic for answers.
    async fn grant(&mut self) -> String {
        let Seen::Subscribe(id, mut filters) = self.link.expect().await else { panic!("no subscription") };
        self.link.suback(id, &[1]).await;
        filters.remove(0)
    }

    /// The question that comes next: where its answer goes, and what marks it.
    async fn question(&mut self) -> (String, Vec<u8>) {
        let packet = self.link.packet().await;
        let mut place = None;
        packet.read(|packet| {
            let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
            let topic = publish.properties.response_topic().expect("a place").to_owned();
            place = Some((topic, publish.properties.correlation_data().expect("a mark").to_vec()));
        });
        place.expect("it was read")
    }

    async fn answer(&mut self, topic: &str, mark: &[u8], payload: &str) {
        let properties = PropertiesBuf::from_iter([Property::CorrelationData(mark)]);
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: properties.as_properties(),
            payload: payload.as_bytes(),
        };
        self.link.send(&Packet::Publish(publish)).await;
    }
}

async fn outcome(asking: Asking) -> Result<String, RequestError> {
    let answer = timeout(PATIENCE, asking).await.expect("in time").expect("no panic");
    answer.map(|message| message.text().into_owned())
}

/// Two at once, answered the other way round; and an answer that was never asked for goes nowhere.
#[tokio::test]
async fn answers_find_their_requests() {
    let mut scene = Scene::new(&[]).await;
    let first = scene.ask("1", QoS::AtMostOnce, PATIENCE);
    let topic = scene.grant().await;
    assert!(topic.starts_with("responses/longwire"), "{topic}");
    let (place, first_mark) = scene.question().await;
    assert_eq!(place, topic);
    let second = scene.ask("2", QoS::AtMostOnce, PATIENCE);
    let (place, second_mark) = scene.question().await;
    assert_eq!(place, topic, "subscribed to once");
    scene.answer(&topic, b"nonsense", "lost").await;
    scene.answer(&topic, &second_mark, "two").await;
    scene.answer(&topic, &first_mark, "one").await;
    assert_eq!(outcome(second).await.expect("an answer"), "two");
    assert_eq!(outcome(first).await.expect("an answer"), "one");
    assert!(scene.messages.try_recv().is_none());
}

#[tokio::test]
async fn the_servers_response_information_is_the_base_of_the_topic() {
    let mut scene = Scene::new(&[Property::ResponseInformation("answers/kitchen/")]).await;
    let asking = scene.ask("1", QoS::AtMostOnce, PATIENCE);
    let topic = scene.grant().await;
    assert!(topic.starts_with("answers/kitchen/longwire"), "{topic}");
    let (_, mark) = scene.question().await;
    scene.answer(&topic, &mark, "one").await;
    outcome(asking).await.expect("an answer");
}

#[tokio::test]
async fn a_request_without_an_answer_is_given_up() {
    let mut scene = Scene::new(&[]).await;
    let asking = scene.ask("1", QoS::AtMostOnce, Duration::from_millis(300));
    let topic = scene.grant().await;
    let (_, mark) = scene.question().await;
    let failed = outcome(asking).await;
    assert!(matches!(failed, Err(RequestError::Timeout(_))), "{failed:?}");
    // Too late: nobody gets it, and the next one gets its own.
    scene.answer(&topic, &mark, "late").await;
    let asking = scene.ask("2", QoS::AtMostOnce, PATIENCE);
    let (_, mark) = scene.question().await;
    scene.answer(&topic, &mark, "two").await;
    assert_eq!(outcome(asking).await.expect("an answer"), "two");
    assert!(scene.messages.try_recv().is_none());
}

#[tokio::test]
async fn a_request_that_reaches_nobody_is_told_so_at_once() {
    let mut scene = Scene::new(&[]).await;
    let asking = scene.ask("1", QoS::AtLeastOnce, PATIENCE);
    scene.grant().await;
    let Seen::Publish { id, .. } = scene.link.expect().await else { panic!("no question") };
    let id = PacketId::new(id).expect("an id");
    scene.link.send(&Packet::PubAck(Ack::new(id, ReasonCode::NoMatchingSubscribers))).await;
    let failed = outcome(asking).await;
    assert!(matches!(failed, Err(RequestError::NobodyListens)), "{failed:?}");
}

#[tokio::test]
async fn requests_need_5_0_and_set_their_properties_themselves() {
    let options = Options::new("h").version(Version::V311);
    let prepared = Client::prepare(options).expect("valid");
    let refused = prepared.client().request(Publication::new("t", ""), PATIENCE).await;
    assert!(matches!(refused, Err(RequestError::NeedsVersion5)), "{refused:?}");
    let prepared = Client::prepare(Options::new("h")).expect("valid");
    let own = Publication::new("t", "").property(Property::ResponseTopic("mine"));
    let refused = prepared.client().request(own, PATIENCE).await;
    assert!(matches!(refused, Err(RequestError::Property)), "{refused:?}");
}
