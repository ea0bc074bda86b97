"""Paho's Python client against a broker: `paho_client.py PORT VERSION CASE`, VERSION being 3.1.1 or 5.0.

Each case is one function below. It fails by an exception, which ends the process with a non-zero code.
The broker is fresh: no case has to clean up after another one.
"""

import queue
import socket
import sys
from threading import Event

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE_SECS = 20
PORT = int(sys.argv[1])
V5 = sys.argv[2] == "5.0"


class Peer:
    """A connected client: calls wait for their acknowledgement, messages gather in a queue."""

    def __init__(self, name, clean=True, will=None, expiry_secs=300):
        self.messages = queue.Queue()
        self.answers = queue.Queue()
        self.closed = Event()
        self.close_reason = None
        protocol = mqtt.MQTTv5 if V5 else mqtt.MQTTv311
        options = {} if V5 else {"clean_session": clean}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, name, protocol=protocol, reconnect_on_failure=False, **options
        )
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_subscribe = lambda client, data, id, codes, properties: self.answers.put(codes)
        self.client.on_unsubscribe = self.client.on_subscribe
        self.client.on_connect = lambda client, data, flags, code, properties: self.answers.put((flags, code, properties))
        self.client.on_disconnect = self.note_close
        if will is not None:
            self.client.will_set(*will)
        if V5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else expiry_secs
            self.client.connect("127.0.0.1", PORT, clean_start=clean, properties=properties)
        else:
            self.client.connect("127.0.0.1", PORT)
        self.client.loop_start()
        flags, code, self.properties = self.answers.get(timeout=PATIENCE_SECS)
        equal(code, 0)
        self.session_present = flags.session_present

    def note_close(self, client, data, flags, code, properties):
        # Paho reports a server's DISCONNECT and then the closed socket too: the first one tells why.
        if not self.closed.is_set():
            self.close_reason = code
            self.closed.set()

    def subscribe(self, filter, qos=0, **options):
        """Subscribes and returns the code of the SUBACK as a number."""
        if V5:
            properties = options.pop("properties", None)
            self.client.subscribe(filter, options=SubscribeOptions(qos, **options), properties=properties)
        else:
            self.client.subscribe(filter, qos)
        return self.answers.get(timeout=PATIENCE_SECS)[0].value

    def unsubscribe(self, filter):
        self.client.unsubscribe(filter)
        self.answers.get(timeout=PATIENCE_SECS)

    def publish(self, topic, payload, qos=0, retain=False, properties=None):
        """Publishes and waits until the last packet of the hand-shake."""
        info = self.client.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(PATIENCE_SECS)
        assert info.is_published(), f"{topic} at QoS {qos} was not acknowledged"

    def receive(self):
        return self.messages.get(timeout=PATIENCE_SECS)

    def expect(self, topic, payload, qos=0, retain=False):
        message = self.receive()
        got = (message.topic, message.payload.decode(), message.qos, message.retain)
        equal(got, (topic, payload, qos, retain))
        return message

    def leave(self):
        """Disconnects properly."""
        self.client.disconnect()
        assert self.closed.wait(PATIENCE_SECS), "the connection stays open after DISCONNECT"
        self.client.loop_stop()

    def vanish(self):
        """Cuts the connection as a crash would."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        assert self.closed.wait(PATIENCE_SECS), "the client does not notice its own cut"
        self.client.loop_stop()


def equal(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


def connect():
    peer = Peer("first")
    equal(peer.session_present, False)
    peer.leave()
    equal(peer.close_reason, 0)
    unnamed = Peer("")
    if V5:
        assert unnamed.properties.AssignedClientIdentifier, "an id is assigned"
    unnamed.subscribe("a")
    unnamed.publish("a", "hello")
    unnamed.expect("a", "hello")


def unsubscribe():
    peer = Peer("peer")
    peer.subscribe("a")
    peer.subscribe("b")
    peer.publish("a", "1")
    peer.expect("a", "1")
    peer.unsubscribe("a")
    peer.publish("a", "2")
    peer.publish("b", "3")
    peer.expect("b", "3")


def qos_pairs():
    publisher, subscriber = Peer("publisher"), Peer("subscriber")
    for published in range(3):
        for granted in range(3):
            topic = f"pair/{published}/{granted}"
            equal(subscriber.subscribe(topic, granted), granted)
            publisher.publish(topic, "once", published)
            publisher.publish(topic, "again", published)
            subscriber.expect(topic, "once", min(published, granted))
            subscriber.expect(topic, "again", min(published, granted))


def retained():
    publisher, live = Peer("publisher"), Peer("live")
    live.subscribe("state/#", 1)
    for payload in ("on", "off"):
        publisher.publish("state/lamp", payload, 1, retain=True)
        live.expect("state/lamp", payload, 1, retain=False)
        late = Peer(f"late-{payload}")
        late.subscribe("state/+", 1)
        late.expect("state/lamp", payload, 1, retain=True)
    publisher.publish("state/lamp", "", 1, retain=True)
    live.expect("state/lamp", "", 1)
    after = Peer("after")
    after.subscribe("state/#", 1)
    publisher.publish("state/end", "end", 1)
    after.expect("state/end", "end", 1)


def will():
    watcher = Peer("watcher")
    watcher.subscribe("will/#", 1)
    Peer("polite", will=("will/polite", "never", 1)).leave()
    Peer("crashed", will=("will/crashed", "gone", 1, True)).vanish()
    watcher.expect("will/crashed", "gone", 1)
    late = Peer("late")
    late.subscribe("will/#", 1)
    late.expect("will/crashed", "gone", 1, retain=True)


def wildcards():
    publisher = Peer("publisher")
    topics = ["a", "a/b", "a/b/c", "a//c", "b", "/b", "b/", "b/c/d", "c", "c/x/y/z", "d/e"]
    filters = {
        "a/#": ["a", "a/b", "a/b/c", "a//c"],
        "a/+": ["a/b"],
        "a/+/c": ["a/b/c", "a//c"],
        "+": ["a", "b", "c"],
        "+/b": ["a/b", "/b"],
        "b/+": ["b/"],
        "+/+/d": ["b/c/d"],
        "c/+/+/#": ["c/x/y/z"],
        "#": topics,
    }
    peers = {filter: Peer(f"subscriber-{number}") for number, filter in enumerate(filters)}
    for filter, peer in peers.items():
        peer.subscribe(filter)
        peer.subscribe("end/of/it/all", 0)
    for topic in topics:
        publisher.publish(topic, topic)
    publisher.publish("end/of/it/all", "end")
    for filter, peer in peers.items():
        got = []
        while (topic := peer.receive().topic) != "end/of/it/all":
            got.append(topic)
        equal((filter, got), (filter, filters[filter]))


def shared():
    publisher, plain = Peer("publisher"), Peer("plain")
    plain.subscribe("job/+", 1)
    members = [Peer(f"member-{number}") for number in range(2)]
    for member in members:
        member.subscribe("$share/crew/job/+", 1)
    jobs = [str(number) for number in range(40)]
    for job in jobs:
        publisher.publish("job/dig", job, 1)
    for job in jobs:
        plain.expect("job/dig", job, 1)
    done = gather(members, len(jobs))
    equal(sorted(sum(done, []), key=int), jobs)
    assert all(done), f"one member got every job: {done}"
    # A job that was not acknowledged would rightly go to the other member: the UNSUBACK comes after all PUBACKs left.
    members[0].unsubscribe("$share/crew/job/+")
    members[0].leave()
    for job in jobs:
        publisher.publish("job/dig", job, 1)
    for job in jobs:
        members[1].expect("job/dig", job, 1)


def gather(peers, count):
    """The payloads of `count` messages, listed by the peer that got them."""
    done = [[] for peer in peers]
    common = queue.Queue()
    for number, peer in enumerate(peers):
        peer.client.on_message = lambda client, data, message, number=number: common.put((number, message))
        while not peer.messages.empty():
            common.put((number, peer.messages.get()))
    for _ in range(count):
        number, message = common.get(timeout=PATIENCE_SECS)
        done[number].append(message.payload.decode())
    for peer in peers:
        peer.client.on_message = lambda client, data, message, peer=peer: peer.messages.put(message)
    return done


def takeover():
    first = Peer("twin")
    second = Peer("twin")
    assert first.closed.wait(PATIENCE_SECS), "the older connection stays open"
    if V5:
        equal(first.close_reason, 0x8E)
    second.subscribe("a", 2)
    second.publish("a", "mine", 2)
    second.expect("a", "mine", 2)
    assert not second.closed.is_set(), "the newer connection was closed"


def persistent_session():
    publisher = Peer("publisher")
    sleeper = Peer("sleeper", clean=False)
    equal(sleeper.session_present, False)
    sleeper.subscribe("news/1", 1)
    sleeper.subscribe("news/2", 2)
    sleeper.leave()
    for number in range(50):
        publisher.publish("news/1", f"{number}", 1)
        publisher.publish("news/2", f"{number}", 2)
    sleeper = Peer("sleeper", clean=False)
    equal(sleeper.session_present, True)
    got = [sleeper.receive() for _ in range(100)]
    for qos in (1, 2):
        payloads = [message.payload.decode() for message in got if message.topic == f"news/{qos}"]
        equal(payloads, [f"{number}" for number in range(50)])
    equal({(message.topic, message.qos) for message in got}, {("news/1", 1), ("news/2", 2)})
    publisher.publish("news/1", "live", 1)
    sleeper.expect("news/1", "live", 1)
    sleeper.leave()
    equal(Peer("sleeper", clean=True).session_present, False)


def large_payload():
    peer = Peer("peer")
    peer.subscribe("big", 2)
    payload = "0123456789abcdef" * 65_536
    peer.publish("big", payload, 2)
    equal(peer.receive().payload.decode() == payload, True)


def properties():
    """5.0: what a publisher attaches arrives unchanged, and the subscription's identifier with it."""
    publisher, subscriber = Peer("publisher"), Peer("subscriber")
    identifier = Properties(PacketTypes.SUBSCRIBE)
    identifier.SubscriptionIdentifier = 268_435_455
    subscriber.subscribe("ask", 1, properties=identifier)
    sent = Properties(PacketTypes.PUBLISH)
    sent.PayloadFormatIndicator = 1
    sent.MessageExpiryInterval = 1000
    sent.ContentType = "text/plain"
    sent.ResponseTopic = "answer"
    sent.CorrelationData = b"\x00\x01"
    sent.UserProperty = [("key", "one"), ("key", "two")]
    publisher.publish("ask", "question", 1, properties=sent)
    got = subscriber.expect("ask", "question", 1).properties
    equal(got.PayloadFormatIndicator, 1)
    assert 990 <= got.MessageExpiryInterval <= 1000, got.MessageExpiryInterval
    equal((got.ContentType, got.ResponseTopic, got.CorrelationData), ("text/plain", "answer", b"\x00\x01"))
    equal(got.UserProperty, [("key", "one"), ("key", "two")])
    equal(got.SubscriptionIdentifier, [268_435_455])


def topic_alias():
    """5.0: a topic may be named once and numbered after that."""
    publisher, subscriber = Peer("publisher"), Peer("subscriber")
    assert publisher.properties.TopicAliasMaximum >= 1, "the broker takes no alias"
    subscriber.subscribe("a/long/topic", 1)
    alias = Properties(PacketTypes.PUBLISH)
    alias.TopicAlias = 1
    publisher.publish("a/long/topic", "1", 1, properties=alias)
    publisher.publish("", "2", 1, properties=alias)
    subscriber.expect("a/long/topic", "1", 1)
    subscriber.expect("a/long/topic", "2", 1)


def subscription_options():
    """5.0: No Local, Retain As Published and Retain Handling."""
    peer, other = Peer("peer"), Peer("other")
    other.publish("old", "kept", 1, retain=True)
    peer.subscribe("own", 1, noLocal=True)
    peer.subscribe("old", 1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
    peer.subscribe("flag", 1, retainAsPublished=True)
    peer.publish("own", "not for me", 1)
    other.publish("flag", "flagged", 1, retain=True)
    peer.expect("flag", "flagged", 1, retain=True)
    other.publish("own", "for you", 1)
    peer.expect("own", "for you", 1)
    peer.subscribe("old", 1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
    other.publish("own", "still nothing old", 1)
    peer.expect("own", "still nothing old", 1)


if __name__ == "__main__":
    globals()[sys.argv[3]]()
