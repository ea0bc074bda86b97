//! What the codec costs per packet: `cargo bench -p longwire-proto`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use longwire_proto::decode::{self, Receiver, Rules};
use longwire_proto::encode::{self, AckKind};
use longwire_proto::packet::{Ack, Publish};
use longwire_proto::property::{Properties, PropertiesBuf, Property};
use longwire_proto::{Packet, PacketId, QoS, ReasonCode, Version, topic};

const TOPIC: &str = "plant/7/line/3/temperature";

/// One message to be measured.
struct Sample {
    name: &'static str,
    version: Version,
    qos: QoS,
    payload_len: usize,
    properties: PropertiesBuf,
}

impl Sample {
    fn new(name: &'static str, version: Version, qos: QoS, payload_len: usize) -> Self {
        Sample { name, version, qos, payload_len, properties: PropertiesBuf::new() }
    }

    fn publish<'a>(&'a self, payload: &'a [u8]) -> Publish<'a> {
        Publish {
            dup: false,
            qos: self.qos,
            retain: false,
            topic: TOPIC,
            packet_id: (self.qos != QoS::AtMostOnce).then_some(PacketId::MIN),
            properties: self.properties.as_properties(),
            payload,
        }
    }
}

fn samples() -> Vec<Sample> {
    let mut with_properties = Sample::new("properties", Version::V5, QoS::AtLeastOnce, 64);
    with_properties.properties = PropertiesBuf::from_iter([
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(60),
        Property::ContentType("application/json"),
        Property::ResponseTopic("plant/7/answers"),
        Property::UserProperty("trace", "0af7651916cd43dd8448eb211c80319c"),
    ]);
    vec![
        Sample::new("small_v311_qos0", Version::V311, QoS::AtMostOnce, 16),
        Sample::new("small_v5_qos0", Version::V5, QoS::AtMostOnce, 16),
        Sample::new("small_v5_qos1", Version::V5, QoS::AtLeastOnce, 16),
        Sample::new("large_v5_qos1", Version::V5, QoS::AtLeastOnce, 16 * 1024),
        with_properties,
    ]
}

fn rules(version: Version) -> Rules {
    Rules { version, receiver: Receiver::Server, packet_size_max: u32::MAX, strict_text: true }
}

fn publish(criterion: &mut Criterion) {
    for sample in samples() {
        let payload = vec![b'x'; sample.payload_len];
        let packet = sample.publish(&payload);
        let mut bytes = Vec::new();
        encode::publish(&packet, sample.version, &mut bytes).expect("samples are encodable");

        let mut group = criterion.benchmark_group("publish");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("decode", sample.name), |bencher| {
            let rules = rules(sample.version);
            bencher.iter(|| decode::packet(black_box(&bytes), &rules).is_ok());
        });
        group.bench_function(BenchmarkId::new("encode", sample.name), |bencher| {
            let mut out = Vec::with_capacity(bytes.len());
            bencher.iter(|| {
                out.clear();
                encode::publish(black_box(&packet), sample.version, &mut out)
            });
        });
    }
}

fn puback(criterion: &mut Criterion) {
    let ack = Ack::new(PacketId::MIN, ReasonCode::Success);
    let mut bytes = Vec::new();
    encode::packet(&Packet::PubAck(ack), Version::V5, &mut bytes).expect("a PUBACK is encodable");

    let mut group = criterion.benchmark_group("puback");
    group.bench_function("decode", |bencher| {
        let rules = rules(Version::V5);
        bencher.iter(|| decode::packet(black_box(&bytes), &rules).is_ok());
    });
    group.bench_function("encode", |bencher| {
        let mut out = Vec::with_capacity(bytes.len());
        bencher.iter(|| {
            out.clear();
            encode::ack(AckKind::PubAck, black_box(&ack), Version::V5, &mut out);
        });
    });
}

fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topic");
    for filter in [TOPIC, "plant/+/line/+/temperature", "plant/7/#"] {
        group.bench_function(BenchmarkId::new("matches", filter), |bencher| {
            bencher.iter(|| topic::matches(black_box(filter), black_box(TOPIC)));
        });
    }
}

fn properties(criterion: &mut Criterion) {
    let samples = samples();
    let filled = samples.last().map_or(Properties::EMPTY, |sample| sample.properties.as_properties());
    let mut group = criterion.benchmark_group("properties");
    group.bench_function("look_up_absent", |bencher| bencher.iter(|| black_box(filled).topic_alias()));
    group.bench_function("iterate", |bencher| bencher.iter(|| black_box(filled).iter().count()));
}

criterion_group!(benches, publish, puback, matching, properties);
criterion_main!(benches);
