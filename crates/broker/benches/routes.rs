//! Speed of the index: how long a publish looks for its subscribers, and what a storm of subscriptions costs.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use longwire_broker::address::{HashKey, SessionRef};
use longwire_broker::routes::{FilterId, Receiver, Routes, Target, TargetOptions};

criterion_group!(benches, exact, mixed, many_matches, storm, crowd);
criterion_main!(benches);

fn exact(criterion: &mut Criterion) {
    let mut routes = Routes::new(HashKey(1, 2));
    for number in 0..1_000_000 {
        routes.subscribe(&exact_filter(number), target(number));
    }
    let mut topics = Topics::any_of(1_000_000);
    let mut found = Vec::new();
    let mut group = criterion.benchmark_group("1,000,000 exact filters");
    group.bench_function("one hot topic", |bencher| {
        bencher.iter(|| routes.matching(black_box("site/000711/device/00004711/state"), &mut found));
    });
    group.bench_function("any topic", |bencher| {
        bencher.iter(|| routes.matching(topics.next(), &mut found));
    });
    group.bench_function("nobody's topic", |bencher| {
        bencher.iter(|| routes.matching(black_box("site/000000/device/00000000/none"), &mut found));
    });
    group.finish();
}

fn mixed(criterion: &mut Criterion) {
    let mut routes = Routes::new(HashKey(1, 2));
    for number in 0..900_000 {
        routes.subscribe(&exact_filter(number), target(number));
    }
    for number in 0..100_000 {
        routes.subscribe(&wildcard_filter(number), target(number));
    }
    let mut topics = Topics::any_of(900_000);
    let mut found = Vec::new();
    let mut group = criterion.benchmark_group("100,000 wildcard filters among 1,000,000");
    group.bench_function("one hot topic", |bencher| {
        bencher.iter(|| routes.matching(black_box("site/000711/device/00004711/state"), &mut found));
    });
    group.bench_function("any topic", |bencher| {
        bencher.iter(|| routes.matching(topics.next(), &mut found));
    });
    group.finish();
}

fn many_matches(criterion: &mut Criterion) {
    let mut routes = Routes::new(HashKey(1, 2));
    let filters =
        ["a/b/c/d", "a/b/c/+", "a/b/+/d", "a/+/c/d", "+/b/c/d", "#", "a/#", "a/b/#", "a/b/c/#", "+/+/+/+"];
    for (number, filter) in filters.iter().enumerate() {
        routes.subscribe(filter, target(number as u32));
    }
    let mut found = Vec::new();
    criterion.bench_function("10 matches", |bencher| {
        bencher.iter(|| routes.matching(black_box("a/b/c/d"), &mut found));
    });
    assert_eq!(found.len(), filters.len());
}

fn storm(criterion: &mut Criterion) {
    let exact: Vec<String> = (0..100_000).map(exact_filter).collect();
    let wildcard: Vec<String> = (0..100_000).map(wildcard_filter).collect();
    let mut group = criterion.benchmark_group("100,000 sessions subscribe and leave");
    group.sample_size(10);
    for (name, filters) in [("exact", &exact), ("wildcard", &wildcard)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || Routes::new(HashKey(1, 2)),
                |mut routes| subscribe_and_leave(&mut routes, filters.iter().map(String::as_str)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn crowd(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("15,000 sessions subscribe and leave");
    group.sample_size(10);
    group.bench_function("one filter", |bencher| {
        bencher.iter_batched(
            || Routes::new(HashKey(1, 2)),
            |mut routes| subscribe_and_leave(&mut routes, (0..15_000).map(|_| "everybody/listens")),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// One session a filter subscribes; then all leave in the same order.
fn subscribe_and_leave<'a>(routes: &mut Routes, filters: impl Iterator<Item = &'a str>) {
    let ids: Vec<FilterId> =
        filters.zip(0..).map(|(filter, number)| routes.subscribe(filter, target(number)).0).collect();
    for (id, number) in ids.into_iter().zip(0..) {
        routes.unsubscribe(id, target(number).receiver());
    }
    assert!(routes.is_empty());
}

/// 33 characters.
fn exact_filter(number: u32) -> String {
    format!("site/{:06}/device/{number:08}/state", number % 1_000)
}

fn wildcard_filter(number: u32) -> String {
    match number % 3 {
        0 => format!("site/+/device/{number:08}/state"),
        1 => format!("site/{:06}/device/{number:08}/#", number % 1_000),
        _ => format!("+/{:06}/device/{number:08}/+", number % 1_000),
    }
}

fn target(number: u32) -> Target {
    let receiver = Receiver::Session(SessionRef { slot: number, generation: 0, shard: 0 });
    Target::new(receiver, TargetOptions::from_bits(0).expect("QoS 0 without options"), 0)
}

/// Topics in an arbitrary order, side by side, so that only the index is out of the cache, as when a packet brings
/// the topic.
struct Topics {
    text: String,
    at: usize,
}

impl Topics {
    /// A million topics out of the first `count`.
    fn any_of(count: u32) -> Self {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut text = String::new();
        for _ in 0..1_000_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            text += &exact_filter((random % u64::from(count)) as u32);
        }
        Topics { text, at: 0 }
    }

    fn next(&mut self) -> &str {
        let start = self.at;
        self.at = (start + 33) % self.text.len();
        &self.text[start..start + 33]
    }
}
